"""P11.3: the road back is confirmed before: a store whose content nothing brings back is not destroyed unawares."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.model.diagnostic import error, warning
from engine.model.observation import LiveState
from engine.model.plan import Plan
from engine.model.verdict import Verdict
from engine.planning import road_back
from engine.planning.guardrails.verdicts import blocked, listed, passed, warned


class RoadBack:
    """See the module. A test environment is disposable (P2.3), so somebody may answer for what is lost."""

    rule = "P11.3"
    name = "road-back"
    meaning = "A store is destroyed only where a rebuild brings back what it holds."
    overridable = True

    def judge(self, plan: Plan, live: LiveState, now: datetime) -> Iterable[Verdict]:
        """Blocks each store without a way back; warns of what no rebuild makes again."""
        stores = road_back.stores(plan.changes, live)
        for store in stores:
            if store.missing:
                yield blocked(self, store.missing, error(
                    "no-way-back", f"{store.address} holds {store.holds}, and not all of it comes back.", store.missing,
                    'Name a source that brings it back, or accept the loss: --override road-back --reason "..."',
                    address=store.address, rule=self.rule), store.address)
            elif lost := road_back.left_behind(store, plan.changes, live):
                yield warned(self, lost, warning(
                    "not-rebuilt", f"{lost} go with {store.address}, and no rebuild makes them again.",
                    mend="Resolve or export them first where somebody still needs them.", address=store.address,
                    rule=self.rule), store.address)
        if not any(s.missing for s in stores):
            yield passed(self, f"a way back for {listed(s.address for s in stores)}" if stores else
                         "no store is destroyed")


GUARDRAIL = RoadBack()
