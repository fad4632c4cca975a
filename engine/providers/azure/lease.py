"""One apply an environment, across machines: a lease on a blob; without a place for one, this machine's lock.

Owns: taking, renewing and giving back the lease, and who holds it (in the blob's metadata). Must not: outlive its
holder; a lease that nobody renews ends after a minute.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from engine.model.diagnostic import Refused, error
from engine.providers.azure.credentials import Credential
from engine.providers.azure.site import Site
from engine.providers.base import Lock, LockHolder, LockStanding
from engine.providers.local.lock import FileLock

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

_LEASE_S = 60
_RENEW_S = 20.0


def lock_of(site: Site, credential: Credential, state_dir: Path) -> Lock:
    """The lease where the manifest names a place for it, else this machine's file."""
    if site.state is None:
        return FileLock(state_dir, site.environment.name)
    return BlobLock(site, credential)


class BlobLock:
    """A Lock: `<state>/locks/<environment>`."""

    def __init__(self, site: Site, credential: Credential) -> None:
        self._site, self._credential = site, credential

    @contextmanager
    def acquire(self, purpose: str) -> Iterator[LockHolder]:
        """Hold the lease for the block; Refused with exit code 6, naming the holder, where another has it."""
        blob = self._blob()
        holder = LockHolder(_who(), socket.gethostname(), os.getpid(), datetime.now(UTC), purpose)
        try:
            # A blob that is there already says so in one of two ways, by whether somebody holds it.
            with suppress(ResourceExistsError, ResourceModifiedError):
                blob.upload_blob(b"", overwrite=False)
            lease = blob.acquire_lease(lease_duration=_LEASE_S)
            blob.set_blob_metadata(_told(holder), lease=lease)
        except ResourceExistsError:
            raise self._refused() from None
        except AzureError as problem:
            raise self._away(problem) from None
        done = threading.Event()

        def renew() -> None:
            while not done.wait(_RENEW_S):
                with suppress(AzureError):  # The next turn tries again, well before the lease ends.
                    lease.renew()

        keeper = threading.Thread(target=renew, daemon=True)
        keeper.start()
        try:
            yield holder
        finally:
            done.set()
            keeper.join(5.0)
            with suppress(AzureError):
                blob.set_blob_metadata({}, lease=lease)  # The next one's refusals name nobody who is gone.
                lease.release()

    def holder(self) -> LockHolder | None:
        """Who holds it now, or None."""
        state, holder = self._seen()
        return holder if state == "leased" else None

    def standing(self) -> LockStanding | None:
        """Who took it and did not give it back; whether that one's process lives, no other machine can tell."""
        state, holder = self._seen()
        return None if state in ("", "available") else LockStanding(holder, state == "leased", None)

    def break_open(self, holder: LockHolder | None) -> None:
        """End `holder`'s lease at once, who is not asked and goes on; Refused where another has it by now."""
        from azure.storage.blob import BlobLeaseClient

        standing = self.standing()
        if standing is not None and standing.holder != holder:
            raise self._refused()
        try:
            with suppress(ResourceNotFoundError, ResourceExistsError):  # Nobody ever took it, or nobody has it now.
                BlobLeaseClient(self._blob()).break_lease(lease_break_period=0)
        except AzureError as problem:
            raise self._away(problem) from None

    def _seen(self) -> tuple[str, LockHolder | None]:
        """The lease's state (empty where nobody ever took it), and who took it last."""
        try:
            properties = self._blob().get_blob_properties()
        except ResourceNotFoundError:
            return "", None
        except AzureError as problem:
            raise self._away(problem) from None
        told = {key: unquote(value) for key, value in (properties.metadata or {}).items()}
        holder = None
        with suppress(KeyError, ValueError):
            holder = LockHolder(told["who"], told["host"], int(told["pid"]), datetime.fromisoformat(told["since"]),
                                told["purpose"])
        return str(properties.lease.state), holder

    def _blob(self) -> BlobClient:
        from azure.storage.blob import BlobClient

        assert self._site.state is not None
        account, _, container = self._site.state.partition("//")[2].partition("/")
        return BlobClient(f"https://{account}", container, f"locks/{self._site.environment.name}",
                          credential=self._credential, connection_verify=self._site.verify,
                          retry_total=3, initial_backoff=1, increment_base=2)

    def _refused(self) -> Refused:
        holder = self.holder()
        by = "another process" if holder is None else (
            f"{holder.who}@{holder.host} (pid {holder.pid}) since {holder.since:%Y-%m-%d %H:%M:%S} UTC: "
            f"{holder.purpose}")
        return Refused([error("locked", f"{self._site.environment.name} is locked by {by}",
                              mend="wait until it is done; a holder that was killed loses it after a minute")],
                       exit_code=6)

    def _away(self, problem: AzureError) -> Refused:
        return Refused([error("lock-away", f"The lock at {self._site.state} cannot be reached.", str(problem)[:300],
                              "See that azure.state names a container, and that you may write its blobs.")])


def _told(holder: LockHolder) -> dict[str, str]:
    """The holder as a blob's metadata, which are headers: nothing but ASCII."""
    found = {"who": holder.who, "host": holder.host, "pid": str(holder.pid), "since": holder.since.isoformat(),
             "purpose": holder.purpose}
    return {key: quote(value, safe=" :+@") for key, value in found.items()}


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
