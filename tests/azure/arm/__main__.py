"""Runs the server by hand, with all that is behind it, until it is interrupted: `python -m tests.azure.arm FOLDER`.

Writes FOLDER/azure.yaml, a manifest for it, and FOLDER/env, the variables of its owner, which a shell reads by `.`.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from tests.azure.arm.server import ArmServer

_MANIFEST = """project: txlookup
team: team4
owner: kim
env: test
ttl: 2099-12-31
target: azure
profile: cloud-test
azure:
  subscription: {arm.subscription}
  location: koreacentral
  endpoint: {arm.endpoint}
  authority: {arm.authority}
  ca_file: {arm.ca_bundle}
  allow: {{tests: 127.0.0.1}}
"""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ArmServer.running(real=True) as arm:
        (folder / "azure.yaml").write_text(_MANIFEST.format(arm=arm))
        env = folder / "env"
        env.touch(0o600)
        env.write_text("".join(f"export {name}='{value}'\n" for name, value in arm.environment().items()))
        sys.stdout.write(f"{arm.endpoint}\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
