"""Holds the lock file against published advisories, with pip-audit: `make audit`.

Owns the verdict. pip-audit says "no known vulnerabilities" also where it could look nothing up (a mirror without the
advisory interface); that is no verdict here. Exit codes: 0 looked up and clean, 1 a vulnerable version, 2 not checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
TOOL = ("-m", "uv", "tool", "run", "--from", "pip-audit>=2.10", "pip-audit")
CLEAN, VULNERABLE, UNCHECKED = 0, 1, 2


def verdict(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Exit code and lines for pip-audit's JSON report. One package that was not looked up leaves the whole unchecked,
    unless another is known to be vulnerable."""
    found = report["dependencies"]
    lines = [
        f"{package['name']} {package['version']}: {advisory['id']}, "
        f"fixed in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for package in found
        for advisory in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in found if "skip_reason" in package]
    if skipped:
        shown = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        lines.append(f"Not looked up: {len(skipped)} of {len(found)} packages ({shown}).")
    if any(package.get("vulns") for package in found):
        return VULNERABLE, lines
    if skipped or not found:
        return UNCHECKED, [*lines, "No advisories can be had here, so nothing is known of these versions."]
    return CLEAN, [f"{len(found)} packages were looked up; no advisory names one of these versions."]


def audited(service: str) -> tuple[int, list[str]]:
    """The verdict by one of pip-audit's services."""
    done = subprocess.run(
        [sys.executable, *TOOL, "--disable-pip", "--requirement", str(LOCK), "--vulnerability-service", service,
         "--format", "json", "--progress-spinner", "off", "--timeout", "15"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        return verdict(json.loads(done.stdout))
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return UNCHECKED, [f"pip-audit could not ask {service}: {last[:300]}"]


def main() -> int:
    """The first service that can be asked decides."""
    for service in ("pypi", "osv"):
        code, lines = audited(service)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        if code != UNCHECKED:
            return code
    sys.stdout.write("The dependencies were NOT checked.\n")
    return UNCHECKED


if __name__ == "__main__":
    sys.exit(main())
