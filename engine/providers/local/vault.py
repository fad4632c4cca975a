"""Secrets of one environment in an encrypted file.

Owns: the file, its key (apart from it), versions and fingerprints. Must not: put a value into an error, or hand one
out other than by `get`. The key protects copies of the file (backups, a moved folder), not against its own user.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.model.diagnostic import Refused, error
from engine.model.value import Attributes, SecretRef
from engine.providers.base import Context, Foreign
from engine.providers.local.files import locked, write_private
from engine.providers.local.home import Home

_MAGIC = b"txplan-vault-1\n"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class Vault:
    """A SecretStore. Each change rewrites the file whole, under a lock, with a new nonce."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def key_file(self) -> Path:
        """The key, 0600, in another folder than the file."""
        return self._home.path / "keys" / "vault.key"

    @property
    def file(self) -> Path:
        """The encrypted file, 0600."""
        return self._home.path / "vault" / "secrets.bin"

    def describe(self, name: str) -> SecretRef | None:
        """The secret's version and fingerprint, or None."""
        if not self.file.exists():
            return None
        entry = self._read().get(name)
        return None if entry is None else SecretRef(name, entry["version"], self.fingerprint(entry["value"]))

    def fingerprint(self, value: str) -> str:
        """HMAC of the value under a key of its own, 64 bits of it in hexadecimal."""
        key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"txplan fingerprint").derive(self._key())
        return hmac.new(key, value.encode(), sha256).hexdigest()[:16]

    def set(self, name: str, value: str) -> SecretRef:
        """Store a value as a new version; the same value again makes no new version."""
        with self._changing():
            entries = self._read()
            entry = entries.get(name, {"version": 0, "value": None})
            if entry["value"] != value:
                entry = {"version": entry["version"] + 1, "value": value}
                self._write({**entries, name: entry})
        return SecretRef(name, entry["version"], self.fingerprint(value))

    def get(self, name: str) -> str:
        """The current value; Refused where there is none."""
        entries = self._read()
        entry = entries.get(name)
        if entry is None:
            raise Refused([error("no-secret", f"The vault holds no secret {name!r}.",
                                 f"It holds {', '.join(sorted(entries)) or 'none'}.",
                                 "Name one of those, or apply the manifest that declares it.")])
        return str(entry["value"])

    def delete(self, name: str) -> None:
        """Forget the secret; none is no error. One in a file that cannot be opened is left to go with the file: it
        could not be taken out, and writing the file anew would hide what is wrong with it."""
        if not self.file.exists():
            return
        with self._changing():
            try:
                entries = self._read()
            except Refused:
                return
            if entries.pop(name, None) is not None:
                self._write(entries)

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        return sorted(self._read()) if self.file.exists() else []

    # The files; used by the resource type too

    def create(self) -> None:
        """Make the key and an empty file where they are missing."""
        self._home.folder("keys")
        self._home.folder("vault")
        with self._changing():
            if self.file.exists():
                self._read()
                return
            if not self.key_file.exists():
                write_private(self.key_file, secrets.token_bytes(_KEY_BYTES))
            self._write({})

    def _changing(self) -> Any:
        if self._home.group() is None or not self.file.parent.exists():
            raise _no_vault()
        return locked(self.file.parent / ".lock")

    def _key(self) -> bytes:
        others = stat.S_IRWXG | stat.S_IRWXO
        exposed = [path for path in (self.key_file, self.file) if path.exists() and path.stat().st_mode & others]
        if exposed:
            raise Refused([error("vault-exposed", f"{exposed[0]} can be opened by others than its owner",
                                 "its content must be held for known",
                                 f"run: chmod 600 {exposed[0]}; then rotate the secrets")])
        try:
            key = self.key_file.read_bytes()
        except FileNotFoundError:
            if self.file.exists():
                raise Refused([error("vault-key-missing", f"the vault's key {self.key_file} is gone",
                                     mend="put it back, or destroy the environment and build it anew")]) from None
            raise _no_vault() from None
        if len(key) != _KEY_BYTES:
            raise self._tampered()
        return key

    def _read(self) -> dict[str, dict[str, Any]]:
        key = self._key()
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            raise _no_vault() from None
        body = content.removeprefix(_MAGIC)
        if body == content:
            raise self._tampered()
        try:
            plain = AESGCM(key).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], self._bound_to())
        except (InvalidTag, ValueError):
            raise self._tampered() from None
        return dict(json.loads(plain))

    def _write(self, entries: Mapping[str, Any]) -> None:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._key()).encrypt(nonce, json.dumps(entries).encode(), self._bound_to())
        write_private(self.file, _MAGIC + nonce + sealed)

    def _bound_to(self) -> bytes:
        # Another environment's file is refused even with its key beside it.
        return _MAGIC + self._home.instance.encode()

    def _tampered(self) -> Refused:
        return Refused([error("vault-tampered", f"the vault {self.file} is not as txplan wrote it",
                              mend="put the file back, or destroy the environment and build it anew")])


class VaultType:
    """The resource type `vault`: {name, tags}."""

    type = "vault"
    immutable: frozenset[str] = frozenset()
    grows: frozenset[str] = frozenset()

    def __init__(self, home: Home, vault: Vault) -> None:
        self._home, self._vault = home, vault

    def observe(self, name: str) -> Attributes | None:
        """The recorded name and tags."""
        return self._home.record(self.type, name) if self._vault.file.exists() else None

    def apply(self, name: str, spec: Attributes, context: Context) -> None:
        """Make it, or record its new tags."""
        self._vault.create()
        self._home.save_record(self.type, name, spec)

    def ready(self, name: str) -> str | None:
        """None where it can be read."""
        self._vault.names()
        return None

    def delete(self, name: str, context: Context) -> None:
        """Remove the secrets and the key."""
        if self._home.record(self.type, name) is None:
            return
        self._vault.file.unlink(missing_ok=True)
        self._vault.key_file.unlink(missing_ok=True)
        self._home.drop_record(self.type, name)

    def foreign(self, name: str) -> Sequence[Foreign]:
        """Nothing: the vault is one file."""
        return []

    def inventory(self) -> Sequence[str]:
        """The recorded vaults."""
        return self._home.records(self.type)


def _no_vault() -> Refused:
    return Refused([error("no-vault", "the environment has no vault", mend="apply the manifest first")])
