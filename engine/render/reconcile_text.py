"""A reconciliation as text: the tables' counts, the samples, what a repair would write and wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.model.duration import spoken
from engine.render.paint import Paint
from engine.render.words import safe

_CLASSES = ("missing", "extra", "stale", "diverged")
_MEANING = {"missing": "in the source, and not in the store", "extra": "loaded into the store, and not in the source",
            "stale": "older in the store than in the source", "diverged": "of the same age and other content"}
_OTHERS = {"streamed": "brought or renewed by the stream beyond the source", "in_flight": "in flight",
           "refused": "refused by the contract (see the DLQ)"}


def compared(result: Mapping[str, Any], samples: Sequence[Mapping[str, Any]], paint: Paint) -> str:
    """The counts, the samples and the verdict; ending in a newline."""
    return "\n".join(_compared(result, samples, paint)) + "\n"


def _compared(result: Mapping[str, Any], samples: Sequence[Mapping[str, Any]], paint: Paint) -> Iterator[str]:
    yield f"Source against store, up to {_second(result['fence'])}: what is stamped later may be in flight."
    for table, books in result["tables"].items():
        yield (f"  {paint(table, 'strong')}  source {books['source_rows']:,} · store {books['store_rows']:,} rows, "
               f"{books['differing_segments']:,} of {books['segments']:,} segments differ")
        for name in _CLASSES:
            if books[name]:
                count = f"{books[name]:,} {name}"
                yield f"    {paint(count, 'bad')}: {_MEANING[name]}"
                yield from (f"      {_sample(s)}" for s in samples if (s["table"], s["class"]) == (table, name))
        others = [f"{books[name]:,} {words}" for name, words in _OTHERS.items() if books[name]]
        if others:
            yield paint(f"    no difference: {'; '.join(others)}", "dim")
    took = f"in {spoken(result['seconds'])}, {result['peak_mib']} MiB at most"
    if result["differences"]:
        differ = f"{result['differences']:,} {'row differs' if result['differences'] == 1 else 'rows differ'}"
        yield f"{paint(differ, 'bad')} ({took})."
    else:
        yield f"{paint('Equal', 'good')} ({took})."


def _sample(sample: Mapping[str, Any]) -> str:
    parts = [safe(str(sample["key"]))]
    if sample["columns"]:
        parts.append(f"differs in {', '.join(sample['columns'])}")
    for side in ("source", "store"):
        if sample[side]:
            parts.append(f"{side} version {sample[side]['version']} of {_second(sample[side]['stamp'])}")
    return " · ".join(parts)


def _second(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp):%Y-%m-%dT%H:%M:%SZ}"


def plan(result: Mapping[str, Any], paint: Paint) -> str:
    """What a repair will write, and what it leaves."""
    lines = ["Repair, by the store's own upsert:"]
    for table, books in result["tables"].items():
        wanted = [f"{paint('+', 'good')} insert {books['missing']:,}"] if books["missing"] else []
        wanted += [f"{paint('~', 'warn')} update {books['stale']:,}"] if books["stale"] else []
        left = [f"{books[name]:,} {name}" for name in ("extra", "diverged") if books[name]]
        if wanted or left:
            words = f"{'; '.join(wanted) or 'nothing'}" + (f"; left as they are: {', '.join(left)}" if left else "")
            lines.append(f"  {table}  {words}")
    return "\n".join(lines) + "\n"


def repaired(result: Mapping[str, Any], paint: Paint) -> str:
    """What a repair wrote."""
    wrote = ", ".join(f"{rows:,} into {table}" for table, rows in result["repaired"].items() if rows) or "nothing"
    return f"{paint('Written', 'good')}: {wrote}.\n"
