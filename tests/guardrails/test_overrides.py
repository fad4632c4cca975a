"""Overrides: what may be accepted, by whom it is asked for, and where it is kept."""

from __future__ import annotations

import pytest

from engine.model.diagnostic import Refused
from engine.model.verdict import Override
from engine.planning import guardrails

RAILS = guardrails.discover()


def refused(*names: str, reason: str | None = "known") -> tuple[set[str], int]:
    with pytest.raises(Refused) as problem:
        guardrails.asked_overrides(names, reason, RAILS)
    return {d.code for d in problem.value.diagnostics}, problem.value.exit_code


def test_names_and_rules_are_unique_and_listed_in_order() -> None:
    assert len({g.name for g in RAILS}) == len(RAILS)
    assert all(g.meaning.endswith(".") and g.rule.startswith("P") for g in RAILS)


def test_what_the_policy_allows_is_kept_with_its_reason() -> None:
    kept = guardrails.asked_overrides(("blast-radius", "blast-radius"), " known ", RAILS)
    assert kept == (Override("blast-radius", "known"),)


def test_what_it_does_not_allow_is_refused() -> None:
    assert refused("destroys-only-its-own") == ({"override-refused"}, 3)
    assert refused("blast-radios") == ({"override-unknown"}, 1)
    assert refused("blast-radius", reason=None) == ({"override-without-reason"}, 1)
    assert refused("blast-radius", reason=" ") == ({"override-without-reason"}, 1)
