"""A rotation changes a secret and nothing else, whatever else the manifest says by now."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from engine.applying.executor import Failure
from engine.applying.rotation import bring
from engine.kinds import secret, wiring
from engine.kinds.resource import KIND
from engine.kinds.rotating import plan_rotation
from engine.model.change import Action, Change
from engine.model.diagnostic import Refused
from engine.model.step import Step
from engine.model.value import SecretRef
from engine.providers.base import Capabilities, Context, next_of, previous_of

QUIET = Context(lambda _: None, lambda: False)
LIVE = {"name": "pg", "version": "18", "parameters": {}, "admin_secret": wiring.ADMIN_SECRET}


class Server:
    """A resource type in memory."""

    immutable = frozenset({"version"})
    grows: frozenset[str] = frozenset()

    def __init__(self, live: dict[str, Any] | None) -> None:
        self.live, self.done = live, list[str]()

    def observe(self, name: str) -> dict[str, Any] | None:
        return self.live

    def foreign(self, name: str) -> list[Any]:
        return []

    def delete(self, name: str, context: Context) -> None:
        self.done.append("delete")

    def apply(self, name: str, spec: Any, context: Context) -> None:
        self.done.append("apply")

    def ready(self, name: str) -> str | None:
        return None


class Vault:
    """A vault that holds the administrator's password alone."""

    def describe(self, name: str) -> SecretRef | None:
        return SecretRef(name, 1, "f" * 16) if name == wiring.ADMIN_SECRET else None


def environment(live: dict[str, Any] | None, **declared: Any) -> tuple[Server, Capabilities, dict[Any, Step]]:
    server = Server(live)
    vault: Any = Vault()
    steps = {wiring.POSTGRES: Step(wiring.POSTGRES, {"type": "postgres", **LIVE, **declared}),
             wiring.secret(wiring.ADMIN_SECRET): Step(wiring.secret(wiring.ADMIN_SECRET),
                                                      {"source": {"generate_bytes": 32}})}
    resources: Any = {"postgres": server}
    return server, Capabilities(resources, None, secrets=vault), steps  # type: ignore[arg-type]


def stages(capabilities: Capabilities, steps: dict[Any, Step]) -> list[str]:
    return [stage.name for stage in plan_rotation(
        wiring.ADMIN_SECRET, steps, capabilities, lambda address, context: None, timedelta()).stages]


def test_a_server_that_is_as_declared_is_given_another_password() -> None:
    _, capabilities, steps = environment(LIVE)
    assert stages(capabilities, steps) == ["stage", "switch", "server", "retire"]


@pytest.mark.parametrize(("live", "declared"), [
    (LIVE, {"version": "19"}), (LIVE, {"parameters": {"work_mem": "8MB"}}), (None, {})])
def test_a_server_that_waits_for_anything_else_is_left_alone(live: dict[str, Any] | None, declared: Any) -> None:
    server, capabilities, steps = environment(live, **declared)
    with pytest.raises(Refused) as refused:
        stages(capabilities, steps)
    assert refused.value.diagnostics[0].code == "server-pending" and server.done == []


def test_a_secret_goes_with_what_a_cut_off_rotation_has_left() -> None:
    kept = {"api-token", next_of("api-token"), previous_of("api-token"), "another"}
    vault: Any = SimpleNamespace(delete=kept.discard)
    gone = Change(wiring.secret("api-token"), Action.DELETE, {"name": "api-token"}, frozenset(), "", None)
    secret.KIND.apply(gone, Capabilities({}, None, secrets=vault), QUIET)  # type: ignore[arg-type]
    assert kept == {"another"}


def test_a_stage_destroys_nothing() -> None:
    server, capabilities, steps = environment(LIVE, version="19")
    with pytest.raises(Failure) as failure:
        bring(wiring.POSTGRES, steps, {"resource": KIND}, capabilities, QUIET)
    assert failure.value.diagnostic.code == "rotation-destroys" and server.done == []
    needing = {**LIVE, "needs": ["admin-password"]}
    server, capabilities, steps = environment(needing)
    bring(wiring.POSTGRES, steps, {"resource": KIND}, capabilities, QUIET)
    assert server.done == ["apply"]
