"""The SQL that revisions will run, and what a linter finds in it, for the reader of a plan.

Owns: the part of Alembic's offline script that is the revision's own, and calling squawk. Must not: run SQL, decide
anything, or fail a plan: what cannot be told is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from engine.kinds.contracting import offline_sql
from engine.model.value import Value

_LINT_S = 20.0
_OWN = re.compile(r"^-- Running upgrade [^\n]*\n(.*?)^(?:INSERT INTO|UPDATE) \S*alembic_version\b",
                  re.DOTALL | re.MULTILINE)
_VERSION_TABLE = re.compile(r"^CREATE TABLE \S*alembic_version \(.*?^\);\n", re.DOTALL | re.MULTILINE)


def explained(folder: Path, pending: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """`scripts`: the SQL of each pending revision, {title, text}; `lint`: a line for each finding, with the script's
    line."""
    scripts: list[Value] = []
    lint: list[Value] = []
    for revision in pending:
        name = str(revision["revision"])
        text, findings = _explained(folder, str(revision["down"]), name, str(revision["digest"]))
        scripts.append({"title": f"SQL of {name}", "text": text})
        lint += [f"lint: {name} {finding}" for finding in findings]
    return {"scripts": scripts, "lint": lint}


@cache
def _explained(folder: Path, down: str, revision: str, digest: str) -> tuple[str, tuple[str, ...]]:
    """`digest` is the revision's, so that an edited file is read anew."""
    try:
        script = offline_sql(folder, down, revision)
    except Exception as problem:
        # A revision is somebody's code: one that asks the live database something cannot be told beforehand.
        return f"-- It cannot be told beforehand: {type(problem).__name__}: {problem}", ()
    found = _OWN.search(_VERSION_TABLE.sub("", script))
    text = (found[1] if found else script).strip()
    return text, lint(text)


def lint(text: str) -> tuple[str, ...]:
    """What squawk finds, as `line N: message (rule)`; one line saying so where there is no squawk."""
    try:
        ran = subprocess.run([Path(sys.executable).with_name("squawk"), "--reporter", "json",
                              "--assume-in-transaction", "--stdin-filepath", "revision.sql"],
                             input=text, capture_output=True, text=True, timeout=_LINT_S, check=False)
        findings = json.loads(ran.stdout or "[]")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ("was not looked at: squawk does not run here",)
    return tuple(f"line {f['line'] + 1}: {f['message']} ({f['rule_name']})" for f in findings)
