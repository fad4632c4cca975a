"""What smoke and gate steps share: a proof holds for one subject, and is due again when that is another.

The subject is the step's own spec with what is live: the schema's revision and, where the step proves the service
(`of_service` in its spec), the cutover and the apps with their revisions, replicas and what they
were started with. A proof is never carried over to another
subject, and what the service does not feel (a tag, a retention) makes no proof due.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.kinds import wiring
from engine.kinds.base import Needs, because_upstream, unreadable
from engine.kinds.records import active_cutover, last_proof, live_revisions, why_unreadable
from engine.model.address import Address
from engine.model.change import Action, Decision, Reason
from engine.model.observation import Observation
from engine.model.step import Step
from engine.model.value import Attributes, Value, digest
from engine.providers.base import Capabilities


def subject(spec: Attributes, needs: Needs) -> str:
    """The digest of what a proof taken now would be about."""
    live: dict[str, Value] = {"spec": spec, "schema": live_revisions(needs.database)}
    if spec["of_service"]:
        record = active_cutover(needs.database)
        live["cutover"] = record.id if record else None
        for app in (wiring.CONSUMER, wiring.API):
            state = needs.apps.describe(app.name)
            live[app.name] = [state.revision, state.replicas, dict(state.environment)] if state else None
    return digest(live)


def observe_proof(step: Step, capabilities: Capabilities) -> Observation:
    """The newest proof of the step, and whether it is about what is live."""
    needs = Needs(capabilities)
    if why := why_unreadable(needs.database):
        return unreadable(step.address, why)
    proof = last_proof(needs.database, str(step.address))
    if proof is None:
        return Observation(step.address, exists=False)
    current = proof.subject == subject(step.spec, needs)
    return Observation(step.address, exists=True, attributes={"outcome": proof.outcome, "current": current},
                       notes={"at": proof.finished_at.isoformat(), "detail": proof.detail})


def decide_proof(step: Step, seen: Observation, upstream: Mapping[Address, Action]) -> Decision:
    """Run it where it never passed, its subject is another, or what it proves is about to change."""
    if not seen.exists:
        return Decision(Action.RUN, (Reason("absent", "It never ran here."),))
    because = because_upstream(upstream, "What it proves changes")
    if because:
        return Decision(Action.RUN, because)
    if seen.attributes["outcome"] != "pass":
        return Decision(Action.RUN, (Reason("not-passed", f"Its last answer was {seen.attributes['outcome']}."),))
    if not seen.attributes["current"]:
        return Decision(Action.RUN, (Reason("other-subject", "Its last pass was about another revision, schema or "
                                            "cutover."),))
    return Decision(Action.NOOP)
