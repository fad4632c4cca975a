"""Evidence as JSON, as it is kept."""

from __future__ import annotations

import json

from engine.model.codec import encode
from engine.model.evidence import Evidence
from engine.render.paint import Paint


def render(id_: str, record: Evidence, paint: Paint) -> str:
    """One line: the record with its id."""
    return json.dumps({"id": id_, **encode(record)}, ensure_ascii=False) + "\n"
