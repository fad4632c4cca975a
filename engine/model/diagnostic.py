"""Diagnostics: what can go wrong for a user, as data.

A diagnostic says what is wrong (summary), why (detail), where (position or address) and how to mend it. Codes are
stable: scripts and tests match on them, never on the prose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from engine.model.address import Address, Position


class Severity(StrEnum):
    """How bad it is: an ERROR stops the run, a WARNING is shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `mend` is an instruction to the reader; `rule` is the policy's number where one applies."""

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    mend: str = ""
    position: Position | None = None
    address: Address | None = None
    rule: str = ""


class Refused(Exception):
    """Carries diagnostics to the one place that shows them; raised where a run cannot go on for its user.

    `exit_code` is what the command line ends with (1 by default; 3 guardrail, 4 gate, 5 stale plan, 6 locked).
    """

    def __init__(self, diagnostics: Iterable[Diagnostic], exit_code: int = 1) -> None:
        self.diagnostics = tuple(diagnostics)
        self.exit_code = exit_code
        super().__init__("; ".join(f"{d.code}: {d.summary}" for d in self.diagnostics))


def error(code: str, summary: str, detail: str = "", mend: str = "", *, position: Position | None = None,
          address: Address | None = None, rule: str = "") -> Diagnostic:
    """A diagnostic of severity ERROR."""
    return Diagnostic(Severity.ERROR, code, summary, detail, mend, position, address, rule)


def warning(code: str, summary: str, detail: str = "", mend: str = "", *, position: Position | None = None,
            address: Address | None = None, rule: str = "") -> Diagnostic:
    """A diagnostic of severity WARNING."""
    return Diagnostic(Severity.WARNING, code, summary, detail, mend, position, address, rule)
