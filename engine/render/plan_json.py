"""A plan as JSON, as `schemas/plan.schema.json` describes it."""

from __future__ import annotations

import json

from engine.model.plan import Plan
from engine.planning.planfile import plan_to_json
from engine.render.paint import Paint


def render(plan: Plan, paint: Paint) -> str:
    """One JSON object on one line; the same data as a plan file."""
    return json.dumps(plan_to_json(plan), ensure_ascii=False) + "\n"
