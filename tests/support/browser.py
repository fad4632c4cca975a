"""A headless Chromium, driven over a pipe by its own protocol: what a page shows, and what it complains of.

Owns the process and its folder. There is no debugging port, so nothing else on the machine can drive it.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = shutil.which("chromium")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
          "--hide-scrollbars", "--force-color-profile=srgb", "about:blank")
# The browser wants its pipe as descriptors 3 and 4, whatever they are here.
_AS_3_AND_4 = ("import os, sys; r, w = (os.dup(int(n)) for n in sys.argv[1:3]); r, w = os.dup2(r, 90), os.dup2(w, 91); "
               "os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])")
_PATIENCE_S = 20.0


class Browser:
    """One page in one browser. `complaints` are errors of its console, of its policy and of its scripts."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._rest = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self.complaints: list[str] = []
        [target] = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser; what it says meanwhile is listened to."""
        id_ = next(self._ids)
        asked = {"id": id_, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        while True:
            said = self._hear()
            if said.get("id") == id_:
                assert "error" not in said, said
                return dict(said["result"])
            self._note(said)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            got = os.read(self._read, 1 << 20)
            assert got, "the browser has gone"
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, said: dict[str, Any]) -> None:
        given = said.get("params", {})
        match said.get("method"):
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(given["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "assert"):
                self.complaints.append(json.dumps(given["args"])[:500])
            case _:
                pass

    def go(self, url: str) -> None:
        """Open an address."""
        self.call("Page.navigate", url=url)

    def say(self, expression: str) -> Any:
        """The JSON value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> Any:
        """The first true value of an expression (true for an element); fails where there is none for a long while. What
        throws is not yet true: the page may still be loading."""
        deadline = time.monotonic() + _PATIENCE_S
        tried = f"(() => {{ try {{ const v = {expression}; return v instanceof Node || v }} catch {{ return 0 }} }})()"
        while time.monotonic() < deadline:
            if value := self.say(tried):
                return value
            time.sleep(0.05)
        raise AssertionError(f"it never came true: {expression}; {self.complaints}; "
                             f"{str(self.say('document.body.innerText'))[:1500]}")

    def press(self, key: str, code: int) -> None:
        """One key, down and up."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for type_ in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=type_, key=key, code="Space" if key == " " else key, text=text,
                      windowsVirtualKeyCode=code)

    def looks(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """The window's size and what its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme",
                                                           "value": "dark" if dark else "light"}])

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser(folder: Path, flags: Sequence[str] = ()) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`; it ends with the block."""
    assert COMMAND is not None
    (their_read, write), (read, their_write) = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _AS_3_AND_4, str(their_read), str(their_write), COMMAND, f"--user-data-dir={folder}",
         *flags, *_FLAGS], pass_fds=(their_read, their_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)
    os.close(their_read)
    os.close(their_write)
    try:
        yield Browser(write, read)
    finally:
        os.close(write)  # The browser ends when its pipe does.
        os.close(read)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
