"""ARM's error shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ArmError(Exception):
    """Answered as {"error": {"code", "message", "details"}} with its status and headers."""

    def __init__(self, status: int, code: str, message: str, *, details: Sequence[tuple[str, str, str]] = (),
                 headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}
        self.details = details

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = [{"code": c, "target": t, "message": m} for c, t, m in self.details]
        return {"error": error}


def not_found(what: str, group: str | None = None) -> ArmError:
    where = f" under resource group '{group}'" if group else ""
    return ArmError(404, "ResourceNotFound", f"The Resource '{what}'{where} was not found. For more details please go "
                    "to https://aka.ms/ARMResourceNotFoundFix")


def bad(code: str, message: str, target: str | None = None) -> ArmError:
    return ArmError(400, code, message, details=[(code, target, message)] if target else ())
