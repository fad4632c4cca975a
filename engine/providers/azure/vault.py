"""Secrets in Key Vault: the data plane, by roles.

Owns: values, their versions and keyed fingerprints (in tags, so that a plan reads no value). Must not: put a value into
a tag, a URL or an error.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.policies import RetryPolicy

from engine.model.diagnostic import Refused, error
from engine.model.value import SecretRef
from engine.providers.azure.arm import Arm
from engine.providers.azure.policies import error_of
from engine.providers.azure.site import Site
from engine.providers.base import SecretStore

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient, SecretProperties

API = "2026-02-01"
KEY = "txplan-fingerprint-key"
"""The secret that keys the fingerprints."""

_DATA_API = "7.6"
_FRESH_S = 3.0
_VERSION, _PRINT = "txplan-version", "txplan-fingerprint"


class KeyVault:
    """A SecretStore over the environment's vault."""

    def __init__(self, arm: Arm, site: Site) -> None:
        self._arm, self._site = arm, site
        self._guard = threading.RLock()
        self._client: SecretClient | None = None
        self._listed: tuple[float, dict[str, SecretProperties] | None] = (-_FRESH_S, None)
        self._key: bytes | None = None

    def uri(self) -> str | None:
        """The vault's address; None where there is no vault."""
        live = self._arm.get(self._site.id(f"Microsoft.KeyVault/vaults/{self._site.names['kv']}"), API)
        address = (live or {}).get("properties", {}).get("vaultUri")
        return str(address).rstrip("/") if address else None

    def describe(self, name: str) -> SecretRef | None:
        """Version and fingerprint by the secret's tags, or None; also None where the role to look is still missing,
        which is a step of its own."""
        found = (self._list() or {}).get(name)
        tags = (found.tags or {}) if found is not None else {}
        return SecretRef(name, int(tags.get(_VERSION, "1")), tags.get(_PRINT, "")) if found is not None else None

    def fingerprint(self, value: str) -> str:
        """HMAC of the value under a key that the vault keeps, 64 bits of it in hexadecimal."""
        return hmac.new(self._fingerprint_key(), value.encode(), sha256).hexdigest()[:16]

    def set(self, name: str, value: str) -> SecretRef:
        """Store a value as a new version; the same value again makes no new version."""
        fingerprint, before = self.fingerprint(value), self.describe(name)
        if before is not None and before.fingerprint == fingerprint:
            return before
        version = before.version + 1 if before else 1
        self._store(name, value, {_VERSION: str(version), _PRINT: fingerprint})
        return SecretRef(name, version, fingerprint)

    def get(self, name: str) -> str:
        """The current value; Refused where there is none."""
        with self._told(name):
            value = self._open().get_secret(name).value
        assert value is not None
        return value

    def delete(self, name: str) -> None:
        """Delete the secret; none is no error. The vault keeps it soft-deleted for a while, as it does itself."""
        if self._quiet() is None:
            return
        with self._told(name):
            try:
                self._open().begin_delete_secret(name).wait()
            except ResourceNotFoundError:
                return
            finally:
                self._forget()

    def names(self) -> Sequence[str]:
        """All names but that of the fingerprints' key, sorted."""
        return sorted(name for name in self._list() or {} if name != KEY)

    def allowed(self) -> bool:
        """Whether this principal may read and write secrets by now."""
        self._forget()
        return self._list() is not None

    def versionless(self, name: str) -> str:
        """The address by which an app refers to the newest version."""
        return f"{self.uri()}/secrets/{name}"

    def _fingerprint_key(self) -> bytes:
        with self._guard:
            if self._key is None:
                known = self._list() or {}
                if KEY not in known:
                    self._store(KEY, secrets.token_urlsafe(32), {})
                self._key = self.get(KEY).encode()
            return self._key

    def _store(self, name: str, value: str, tags: dict[str, str]) -> None:
        with self._told(name):
            client = self._open()
            try:
                client.set_secret(name, value, tags=tags)
            except HttpResponseError as problem:
                if problem.status_code != 409:
                    raise
                # The name is taken by one that was deleted a while ago.
                client.begin_recover_deleted_secret(name).wait()
                client.set_secret(name, value, tags=tags)
            finally:
                self._forget()

    def _list(self) -> dict[str, SecretProperties] | None:
        """All secrets by name; None where there is no vault, or no right to look into it yet."""
        with self._guard:
            at, value = self._listed
            if time.monotonic() - at < _FRESH_S:
                return value
            client, found = self._quiet(), None
            if client is not None:
                with self._told("its list"):
                    try:
                        found = {str(p.name): p for p in client.list_properties_of_secrets()}
                    except HttpResponseError as problem:
                        if problem.status_code != 403 or "Connection" in _inner(problem):
                            raise
            self._listed = (time.monotonic(), found)
            return found

    def _forget(self) -> None:
        with self._guard:
            self._listed = (-_FRESH_S, None)

    def _quiet(self) -> SecretClient | None:
        try:
            return self._open()
        except Refused as refused:
            if refused.diagnostics[0].code == "no-vault":
                return None
            raise

    def _open(self) -> SecretClient:
        with self._guard:
            if self._client is None:
                from azure.keyvault.secrets import SecretClient

                address = self.uri()
                if address is None:
                    raise Refused([error("no-vault", "the environment has no vault", mend="apply the manifest first")])
                self._client = SecretClient(
                    address, self._arm.credential, connection_verify=self._site.verify,
                    api_version=_DATA_API,
                    verify_challenge_resource=not self._site.cloud.own,
                    retry_policy=RetryPolicy(retry_total=6, retry_backoff_factor=0.4))
            return self._client

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except ResourceNotFoundError:
            raise Refused([error("no-secret", f"the vault holds no secret {what}",
                                 mend="apply the secrets first")]) from None
        except HttpResponseError as problem:
            code = _inner(problem) or problem.status_code
            raise Refused([error("vault-refused", f"Key Vault refuses {what}: {code}.",
                                 "" if problem.status_code != 403 else "A role takes minutes until the vault acts on "
                                 "it, and a private vault answers inside its network alone.",
                                 "See: txplan doctor MANIFEST.")]) from None
        except AzureError as problem:
            raise Refused([error("vault-away", "Key Vault does not answer.", type(problem).__name__,
                                 "See that this machine reaches it.")]) from None


def allowed(store: SecretStore) -> bool:
    """Whether the vault acts on the deployer's role."""
    return isinstance(store, KeyVault) and store.allowed()


def _inner(problem: HttpResponseError) -> str:
    """The innermost code, such as ForbiddenByRbac."""
    if problem.response is None:
        return ""
    found: Any = problem.error
    code = error_of(problem.response)[0]
    while found is not None and getattr(found, "innererror", None):
        found = found.innererror
        code = str(found.get("code", code) if isinstance(found, dict) else getattr(found, "code", code))
        break
    return code
