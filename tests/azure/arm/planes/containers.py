"""Containers as processes: what an image's program gets, and where its files are.

The image is this checkout: `python` is this interpreter, `/srv/txplan` the checkout's root, `/tmp` and mounted secrets
folders of the container's own. `0.0.0.0` in WEB_HOST becomes the container's address.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.azure.arm import addresses
from tests.azure.arm.clock import stamp
from tests.azure.arm.planes import processes

CHECKOUT = Path(__file__).parents[4]
IMAGE = "/srv/txplan"
"""Where the image has the checkout's files."""

ENTRYPOINT = ("python", "-m", "streamapp")


class Container:
    """One run of a template's first container; `start` may be called again after it ended."""

    def __init__(self, name: str, template: Mapping[str, Any], secrets: Mapping[str, str],
                 more: Mapping[str, str]) -> None:
        self.name, self.address, self.restarts = name, addresses.fresh(), 0
        self._template, self._secrets, self._more = template, secrets, more
        self._folder = tempfile.TemporaryDirectory(prefix="txplan-arm-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.log = self.folder / "log"
        self.log.touch(0o600)
        (self.folder / "tmp").mkdir()
        self.paths = {IMAGE: str(CHECKOUT), "/tmp": str(self.folder / "tmp"), **self._mounts()}
        self.process: subprocess.Popen[bytes] | None = None
        self.before_forgetting: Callable[[], None] = lambda: None

    def _mounts(self) -> dict[str, str]:
        """Volumes of secrets as files, by mount path."""
        volumes = {v["name"]: v for v in self._template.get("volumes") or []}
        found = {}
        for number, mount in enumerate(self.container.get("volumeMounts") or []):
            volume, folder = volumes[mount["volumeName"]], self.folder / f"mount{number}"
            folder.mkdir()
            if volume["storageType"] == "Secret":
                wanted = volume.get("secrets") or [{"secretRef": n, "path": n} for n in self._secrets]
                for item in wanted:
                    file = folder / item.get("path", item["secretRef"])
                    file.touch(0o600)
                    file.write_text(self._secrets[item["secretRef"]])
            found[mount["mountPath"].rstrip("/")] = str(folder)
        return found

    @property
    def container(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._template["containers"][0]
        return found

    def start(self) -> None:
        command = [*(self.container.get("command") or ENTRYPOINT), *(self.container.get("args") or [])]
        command = [sys.executable if word == "python" else self._mapped(word) for word in command]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder),
                       "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", **self._more}
        for item in self.container.get("env") or []:
            value = self._secrets[item["secretRef"]] if item.get("secretRef") else item.get("value") or ""
            environment[item["name"]] = self._mapped(value)
        if environment.get("WEB_HOST") == "0.0.0.0":
            environment["WEB_HOST"] = self.address
        self.process = processes.start(command, environment, self.folder, self.log)

    def _mapped(self, value: str) -> str:
        """A path of the container as one of this machine; the image's own folder inside of a longer text as well."""
        for inside, here in self.paths.items():
            if value == inside or value.startswith(f"{inside}/"):
                return here + value[len(inside):]
        return value.replace(f"{IMAGE}/", f"{self.paths[IMAGE]}/")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def lines(self, more: Callable[[], bool]) -> Iterator[bytes]:
        """The log, each line with its time and stream; goes on while there may be more."""
        with self.log.open("rb") as log:
            rest = b""
            while True:
                last = not more()
                rest += log.read()
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    yield b"%s stdout F %s\n" % (stamp().encode(), line)
                if last:
                    break
                time.sleep(0.02)
            if rest:
                yield b"%s stdout P %s\n" % (stamp().encode(), rest)

    def end(self, grace: float = 10.0) -> None:
        """SIGTERM, then by force; its files go."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def forget(self) -> None:
        self.before_forgetting()
        self._folder.cleanup()
