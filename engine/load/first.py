"""Writes a first manifest.

Owns: the text that a new user starts from. Must not: repeat defaults that the profile holds, except as examples in
comments.
"""

from __future__ import annotations

import json
import re
from datetime import date

from engine.policy.naming import ENV_SHORT

_TEXT = """\
# One environment. `txplan validate FILE` checks it, `txplan plan FILE` shows what would be done.
# `txplan schema` prints the JSON Schema of this file, for editors that complete and explain it.

project: {project}   # tokens of every resource's name: lower-case letters and digits
team: {team}
owner: {owner}
env: {env}
ttl: {ttl}   # on or before this day somebody decides: extend or destroy
target: local   # everything runs on this machine, with real servers
profile: cloud-test   # holds all other values; whatever is set below wins
{names}
# backfill:
#   source:
#     files:   # Parquet, JSONL or CSV; paths are relative to this file
#       orders: data/orders-*.parquet
#       ledger: data/ledger-*.parquet
#
# hubs:
#   ledger: {{partitions: 4, retention: 7d}}
#   order: {{partitions: 4, retention: 7d}}
#
# consumer: {{replicas: 2}}
#
# slo: {{api_p95: 100ms}}
#
# secrets:   # where a secret comes from; its text never stands here
#   api-token: {{from_env: API_TOKEN}}
"""


def first_manifest(owner: str, env: str, project: str, team: str, ttl: date) -> str:
    """A commented manifest that is valid at once where the tokens are (lower-case letters and digits)."""
    names = "" if env in ENV_SHORT else f"names: {{env_short: {_scalar(env[:4])}}}\n"
    return _TEXT.format(project=_scalar(project), team=_scalar(team), owner=_scalar(owner), env=_scalar(env),
                        ttl=ttl.isoformat(), names=names)


def _scalar(text: str) -> str:
    """`text` as YAML text: in quotes unless it is a plain word that YAML reads as text."""
    plain = re.fullmatch(r"[a-z0-9]*[a-z][a-z0-9]*", text) and text not in ("null", "true", "false")
    # 1e5 is a number to YAML.
    return text if plain and not re.fullmatch(r"[0-9]+e[0-9]+", text) else json.dumps(text)
