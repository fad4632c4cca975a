"""Names, tags and consumer groups of an environment: pure functions of the manifest.

Owns: rules P3.3 (names, limits, tags), P3.1 and P7 (consumer groups). Must not: read anything or know a resource's kind
beyond its token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from engine.model.manifest import Manifest, Names
from engine.model.step import Environment

ENV_SHORT: Mapping[str, str] = {"dev": "d", "test": "t", "stage": "s", "prod": "p"}
"""The short form of an env (P3.3); a manifest may set another."""

GROUP_LIMIT = 50
"""Characters of a consumer group's name."""


GROUPS = "bo-sync-"
"""What the consumer groups of all environments begin with (P3.1)."""


class Pattern(Enum):
    """How a name is put together (P3.3)."""

    HYPHENS = "{team}-{project}-{token}-{owner}-{env}"
    JOINED = "{team}{project}{token}{owner}{env}"
    LIMITED = "{team}-{short}-{token}-{owner}-{env_short}"


@dataclass(frozen=True, slots=True)
class Rule:
    """The pattern of a resource's name, and the least and most characters that the service takes."""

    pattern: Pattern
    least: int
    most: int
    made: bool = True
    """Whether an environment has one; the length of a name that nobody gives is no fault."""


RULES: Mapping[str, Rule] = {
    "rg": Rule(Pattern.HYPHENS, 1, 90),
    "law": Rule(Pattern.HYPHENS, 4, 63),
    "ai": Rule(Pattern.HYPHENS, 1, 255),
    "pg": Rule(Pattern.HYPHENS, 3, 63),
    "evh": Rule(Pattern.HYPHENS, 6, 50),
    # A vault's limit is too narrow for the pattern with the full project and env.
    "kv": Rule(Pattern.LIMITED, 3, 24),
    "id": Rule(Pattern.HYPHENS, 3, 128),
    "vnet": Rule(Pattern.HYPHENS, 2, 64),
    "pe": Rule(Pattern.HYPHENS, 2, 64),
    "acr": Rule(Pattern.JOINED, 5, 50),
    "st": Rule(Pattern.JOINED, 3, 24, made=False),
    "caenv": Rule(Pattern.LIMITED, 2, 32),
    "api": Rule(Pattern.LIMITED, 2, 32),
    "con": Rule(Pattern.LIMITED, 2, 32),
    "job": Rule(Pattern.LIMITED, 2, 32),
}
"""The rule of each resource token (P3.3)."""


def name(names: Names, token: str) -> str:
    """The name of the resource `token` (P3.3); raises KeyError for a token without a rule."""
    return RULES[token].pattern.value.format(
        team=names.team, project=names.project, short=names.short, token=token, owner=names.owner, env=names.env,
        env_short=names.env_short)


def all_names(names: Names) -> dict[str, str]:
    """Every resource's name by its token (P3.3)."""
    return {token: name(names, token) for token in RULES}


def names_of(environment: Environment) -> Names:
    """The tokens that the environment's names are built from."""
    return Names(environment.team, environment.project, environment.short, environment.owner, environment.env,
                 environment.env_short)


@dataclass(frozen=True, slots=True)
class BadLength:
    """A name outside its limits; `token` is the resource's, or `consumer-group`."""

    token: str
    name: str
    least: int
    most: int


def bad_lengths(names: Names) -> list[BadLength]:
    """The names that a service would refuse for their length (P3.3)."""
    group = consumer_group(names, 1)
    return [BadLength(token, text, RULES[token].least, RULES[token].most) for token, text in all_names(names).items()
            if RULES[token].made and not RULES[token].least <= len(text) <= RULES[token].most] + (
        [BadLength("consumer-group", group, 1, GROUP_LIMIT)] if len(group) > GROUP_LIMIT else [])


def tags(manifest: Manifest) -> dict[str, str]:
    """The tags of every resource (P3.3): env, owner, project, ttl, and those that the manifest adds."""
    return {**manifest.tags, "env": manifest.names.env, "owner": manifest.names.owner,
            "project": manifest.names.project, "ttl": manifest.ttl.isoformat()}


def consumer_group_prefix(names: Names) -> str:
    """What every consumer group of the environment begins with (P7.1)."""
    return f"{GROUPS}{names.env}-{names.owner}-v"


def strange_groups(names: Names, groups: Iterable[str]) -> list[str]:
    """Consumer groups of other environments (P3.1), sorted."""
    return sorted(g for g in groups if g.startswith(GROUPS) and generation_of(names, g) is None)


def consumer_group(names: Names, generation: int) -> str:
    """The consumer group of a generation, which begins at 1 (P3.1, P7.4)."""
    if generation < 1:
        raise ValueError(f"generation {generation} is below 1")
    return f"{consumer_group_prefix(names)}{generation}"


def generation_of(names: Names, group: str) -> int | None:
    """The generation that `group` names, or None where it is no group of this environment (P7.1)."""
    match = re.fullmatch(re.escape(consumer_group_prefix(names)) + r"([1-9][0-9]{0,8})", group)
    return int(match[1]) if match else None
