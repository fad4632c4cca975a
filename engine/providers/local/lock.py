"""One apply an environment: a lock that is free again when its holder dies.

Owns: the lock file of the environment, which holds who has it. Must not: outlive its use; the file goes with it.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from engine.model.diagnostic import Refused, error
from engine.providers.base import LockHolder, LockStanding
from engine.providers.local.files import remove_if_empty
from engine.providers.local.strays import lives

_PATIENCE_S = 1.0


class FileLock:
    """A Lock: `<state_dir>/locks/<environment>`, held by flock."""

    def __init__(self, state_dir: Path, environment: str) -> None:
        self._path = state_dir.expanduser().absolute() / "locks" / environment
        self._environment = environment

    @contextmanager
    def acquire(self, purpose: str) -> Iterator[LockHolder]:
        """Hold the lock for the block; Refused with exit code 6, naming the holder, where another has it."""
        descriptor = self._take()
        try:
            holder = LockHolder(_who(), socket.gethostname(), os.getpid(), datetime.now(UTC), purpose)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder) | {"since": holder.since.isoformat()}).encode(), 0)
            yield holder
        finally:
            # Removed while it is held: who waits for this file sees that it is gone, and takes the next one. Where the
            # lock was broken open, the file there is somebody else's.
            if self._is_this(descriptor):
                self._path.unlink(missing_ok=True)
            os.close(descriptor)
            self._tidy()

    def holder(self) -> LockHolder | None:
        """Who holds it now, or None."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(descriptor)
        finally:
            os.close(descriptor)
        return None

    def standing(self) -> LockStanding | None:
        """Who took it and did not give it back. The file of a holder that was killed stays until the next one comes."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            left = _read(descriptor)
        finally:
            os.close(descriptor)
        held = self._held()
        here = left is not None and left.host == socket.gethostname()
        return LockStanding(left, held, lives(left.pid) and held if left and here else None)

    def break_open(self, holder: LockHolder | None) -> None:
        """Remove the file: the next holder makes another one, whether this one's holder has ended or not. Refused where
        the file is not `holder`'s any more: while somebody thought it over, another may have taken the lock."""
        standing = self.standing()
        if standing is not None and standing.holder != holder:
            raise self._refused()
        self._path.unlink(missing_ok=True)
        self._tidy()

    def _held(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _tidy(self) -> None:
        if remove_if_empty(self._path.parent):
            remove_if_empty(self._path.parent.parent)

    def _is_this(self, descriptor: int) -> bool:
        with suppress(FileNotFoundError):
            return self._path.stat().st_ino == os.fstat(descriptor).st_ino
        return False

    def _take(self) -> int:
        # Somebody who only asks for the holder has it for a moment, hence the patience.
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            descriptor = self._try()
            if descriptor is not None:
                return descriptor
            if time.monotonic() > deadline:
                raise self._refused()
            time.sleep(0.05)

    def _try(self) -> int | None:
        with suppress(FileNotFoundError):  # A folder that its last holder is just removing.
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_this(descriptor):
                    return descriptor
            except BlockingIOError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        return None

    def _refused(self) -> Refused:
        holder = self.holder()
        by = "another process" if holder is None else (
            f"{holder.who}@{holder.host} (pid {holder.pid}) since {holder.since:%Y-%m-%d %H:%M:%S} UTC: "
            f"{holder.purpose}")
        return Refused([error("locked", f"{self._environment} is locked by {by}",
                              mend="wait until it is done; the lock goes with its process (see it: txplan unlock "
                                   f"{self._environment})")], exit_code=6)


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _read(descriptor: int) -> LockHolder | None:
    with suppress(ValueError, KeyError, TypeError):  # The holder has not written its name yet.
        value = json.loads(os.pread(descriptor, 65_536, 0))
        return LockHolder(**value | {"since": datetime.fromisoformat(value["since"])})
    return None
