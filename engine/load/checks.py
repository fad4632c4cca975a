"""Holds a manifest's values against each other and against the files that they name.

Owns: what JSON Schema cannot say. Must not: look at anything live, or judge what a guardrail judges with the live
environment in hand. Each check leaves values alone that are already known to be wrong.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from datetime import date
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from engine.load.reader import Reader
from engine.load.tree import shorten
from engine.model.diagnostic import Diagnostic, error, warning
from engine.model.manifest import FilesSource, Manifest, Names, PostgresSource
from engine.policy.credentials import credentials
from engine.policy.naming import RULES, bad_lengths

NEEDED_SECRETS = ("postgres-admin", "postgres-migrator", "postgres-consumer", "postgres-api", "api-token")
"""Secrets that every environment has."""

_LARGEST_PREFIX = 21

Finding = tuple[str, Diagnostic]
"""A diagnostic and the dotted path that it is about."""


def check(manifest: Manifest, reader: Reader, today: date) -> None:
    """Run all checks; `reader` takes their findings."""
    for checked in (_credentials, _names, _hubs, _retention, _replicas, _rate, _broker, _secrets, _files, _azure):
        for path, problem in checked(manifest, reader):
            reader.report(path, problem)
    if reader.ok("ttl") and manifest.ttl < today:
        reader.report("ttl", warning("ttl-past", f"the ttl {manifest.ttl} has passed", rule="P3.3",
                                     mend="extend the ttl, or destroy the environment"))


def _credentials(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    own = ("tags", "postgres.parameters")
    for path, value in reader.values.items():
        for found, shape in credentials(path, value, named=path in own):
            # The text itself is shown nowhere.
            yield found, error("secret-in-manifest", f"{found} looks like {shape}", rule="P3.2",
                               mend="make it an entry of secrets, and change it: it has been written down")


def _names(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    if not reader.ok("team", "project", "owner", "env", "names"):
        return
    for bad in bad_lengths(manifest.names):
        limit = f"at most {bad.most}" if len(bad.name) > bad.most else f"at least {bad.least}"
        path = _longest_token(manifest.names, bad.token)
        yield path, error("name-too-long" if len(bad.name) > bad.most else "name-too-short",
                          f"the name {bad.name} ({bad.token}) is {len(bad.name)} characters long; {limit} are allowed",
                          mend=f"choose another {path}", rule="P3.3")


def _longest_token(names: Names, token: str) -> str:
    pattern = RULES[token].pattern.value if token in RULES else "{owner}{env}"
    fields = {"team": names.team, "project": names.project, "owner": names.owner, "env": names.env,
              "short": names.short, "env_short": names.env_short}
    used = [field for field in fields if f"{{{field}}}" in pattern]
    longest = max(used, key=lambda field: len(fields[field]))
    return f"names.{longest}" if longest in ("short", "env_short") else longest


def _hubs(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    ledger, order = manifest.hubs
    if reader.ok("hubs.ledger.name", "hubs.order.name") and ledger.name == order.name:
        yield "hubs.order.name", error("same-name", f"both hubs are named {order.name}",
                                       detail=f"the other at {reader.where('hubs.ledger.name')}",
                                       mend="give each hub a name of its own")


def _retention(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    cutover = manifest.cutover
    for hub in manifest.hubs:
        path = f"hubs.{hub.key}.retention"
        if reader.ok(path, "cutover.skew", "cutover.recovery_buffer") and (
                hub.retention <= cutover.skew + cutover.recovery_buffer):
            yield path, error(
                "retention-too-short", f"{path} does not cover cutover.skew and cutover.recovery_buffer",
                detail=f"{hub.retention} against {cutover.skew} and {cutover.recovery_buffer}, before any backfill",
                mend="keep events longer, or make the buffer shorter", rule="P6.5")


def _replicas(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    if not reader.ok("consumer.replicas", "hubs.ledger.partitions", "hubs.order.partitions"):
        return
    fewest = min(manifest.hubs, key=lambda hub: hub.partitions)
    if manifest.consumer.replicas > fewest.partitions:
        yield "consumer.replicas", error(
            "too-many-replicas", f"{manifest.consumer.replicas} consumers for {fewest.partitions} partitions",
            detail=f"partitions of {fewest.name} at {reader.where(f'hubs.{fewest.key}.partitions')}",
            mend=f"set consumer.replicas to at most {fewest.partitions}, or add partitions")


def _rate(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    if not reader.ok("load.requests_per_s", "api.limits.rate_per_s"):
        return
    asked, allowed = manifest.load.requests_per_s, manifest.api.limits.rate_per_s
    if asked > allowed:
        yield "load.requests_per_s", error(
            "load-over-limit", f"the load asks {asked} look-ups a second, the API answers {allowed}",
            mend=f"set load.requests_per_s to at most {allowed}, or raise api.limits.rate_per_s")


def _broker(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    if not reader.ok("broker"):
        return
    broker = manifest.broker
    if broker.engine != "external":
        for key in ("bootstrap", "security_protocol", "sasl_mechanism", "username", "password", "ca_file"):
            if reader.has(f"broker.{key}"):
                yield f"broker.{key}", warning(
                    "unused-key", f"broker.{key} is for an external broker; the engine is {broker.engine}",
                    mend="take the key out, or set broker.engine to external")
        return
    needed = ["bootstrap"]
    if broker.security_protocol.startswith("SASL"):
        needed += ["sasl_mechanism", "username", "password"]
    for key in needed:
        if not reader.has(f"broker.{key}"):
            yield f"broker.{key}", error("missing-key", f"an external broker of this kind needs broker.{key}",
                                         mend=f"add broker.{key}")


def _secrets(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    if not reader.ok("secrets"):
        return
    known = {secret.name for secret in manifest.secrets}
    for name in NEEDED_SECRETS:
        if name not in known and reader.complete:
            yield "profile", error("missing-key", f"secrets.{name} is missing, and no profile has it",
                                   mend=f"add {name}: {{generate: 32}} to secrets")
    for name in sorted(known):
        if "--" in name:
            yield f"secrets.{name}", error("reserved-name", f"the secret's name {name} holds two hyphens together",
                                           "A rotation keeps a secret's other values under such names.",
                                           "choose another name")
    references = [("broker.password", manifest.broker.password)]
    if isinstance(manifest.backfill.source, PostgresSource):
        references.append(("backfill.source.postgres.password", manifest.backfill.source.password))
    for path, reference in references:
        if reference and reader.ok(path) and reference not in known:
            # What stands there may be the secret's own text: it is not shown.
            yield path, error("unknown-secret", f"{path} names no entry of secrets",
                              mend=f"add the entry, or name one of {', '.join(sorted(known))}")


def _azure(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    """The ranges that JSON Schema cannot read."""
    if manifest.azure is None:
        return
    try:
        space = IPv4Network(manifest.azure.address_space)
    except ValueError as problem:
        yield "azure.address_space", error("not-allowed", f"azure.address_space is no range: {problem}",
                                           mend="write one such as 10.60.0.0/16")
    else:
        if space.prefixlen > _LARGEST_PREFIX:
            yield "azure.address_space", error("out-of-range", f"{space} is too small for the subnets",
                                               mend=f"take one of /{_LARGEST_PREFIX} or larger")
    for name, (first, last) in manifest.azure.allow.items():
        try:
            fits = IPv4Address(first) <= IPv4Address(last)
        except ValueError:
            fits = False
        if not fits:
            yield f"azure.allow.{name}", error("not-allowed", f"azure.allow.{name} is no range of addresses",
                                               mend="write one address, or the first and the last one of a range")


def _files(manifest: Manifest, reader: Reader) -> Iterator[Finding]:
    for section, source in (("backfill", manifest.backfill.source), ("load", manifest.load.source)):
        if isinstance(source, FilesSource):
            for entity, pattern in (("orders", source.orders), ("ledger", source.ledger)):
                path = f"{section}.source.files.{entity}"
                if reader.ok(path) and not _matches(pattern):
                    yield path, error("no-files", f"no file matches {shorten(pattern)}",
                                      mend="check the path; it is relative to the file that declares it")
    if reader.has("migrations") and reader.ok("migrations") and not _is(manifest.migrations, Path.is_dir):
        yield "migrations", error("no-files", f"there is no folder {shorten(manifest.migrations)}", rule="P4.1",
                                  mend="check the path; it is relative to the file that declares it")
    if manifest.broker.ca_file and reader.ok("broker.ca_file") and not _is(manifest.broker.ca_file, Path.is_file):
        yield "broker.ca_file", error("no-files", f"there is no file {shorten(manifest.broker.ca_file)}",
                                      mend="check the path; it is relative to the file that declares it")


def _matches(pattern: str) -> bool:
    return any(_is(path, Path.is_file) for path in glob.iglob(pattern))


def _is(path: str, wanted: Callable[[Path], bool]) -> bool:
    try:
        return wanted(Path(path))
    except OSError:  # such as a name that is too long
        return False
