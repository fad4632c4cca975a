"""What a hostile producer sends: bytes, JSON that is none, and objects that are nearly right.

Owns the strategies. Must not know what becomes of a payload.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from streamapp.contract import LedgerEntry, PaymentOrder

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(
    ["12.50", "-0.01", "2026-01-02T03:04:05Z", "PAYMENT", "PAYMENT_ORDER", "a\0b"]
)  # fmt: skip
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
NAMES = st.sampled_from([*LedgerEntry._fields, *PaymentOrder._fields, "type", "source_version", "source_created_at"])
_GOOD = [
    {"tx_id": "t", "wallet_id": "w", "type": "PAYMENT", "amount": "1", "created_at": "2026-01-02T03:04:05Z",
     "related_id": "po", "related_type": "PAYMENT_ORDER", "version": 3, "updated_at": "2026-01-02T03:04:05+09:00"},
    {"order_id": "po", "amount": "1", "status": "PAID", "created_at": "2026-01-02T03:04:05.5Z", "user_id": "u"},
]  # fmt: skip
_TEXTS = [json.dumps(one).encode() for one in _GOOD]
#: What stands for a value, or in the middle of one, in JSON and beside it.
_PIECES = [
    b"NaN", b"Infinity", b"-0", b"1e400", b"1" * 40, b'"' + b"9" * 40 + b'"', b"null", b"{}", b"[[[[", b'"\\u0000"',
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b"\x00", b"\xef\xbb\xbf", b'"9999-12-31T23:59:59-01:00"',
    b'"0001-01-01T00:00:00+01:00"', b'"2026-02-30T00:00:00Z"', b'"2026-01-01T24:00:00Z"', b'"2026-01-01T00:00:60Z"',
    b'"-.5"', b'"1."', b'"\xd9\xa1"', b"9223372036854775808", b'"tx_id": "again",', b'"version": true,', b"//", b"'",
]  # fmt: skip


@st.composite
def _spliced(draw: st.DrawFn) -> bytes:
    """A right payload with up to three places overwritten."""
    raw = draw(st.sampled_from(_TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        at, gone = draw(st.integers(0, len(raw))), draw(st.integers(0, 30))
        raw = raw[:at] + draw(st.sampled_from(_PIECES) | st.binary(max_size=4)) + raw[at + gone :]
    return raw


@st.composite
def _revalued(draw: st.DrawFn) -> bytes:
    """A right payload in which one value is another piece of text, which may or may not be JSON."""
    fields: dict[str, Any] = draw(st.sampled_from(_GOOD))
    name = draw(st.sampled_from(sorted(fields)))
    marked = json.dumps({**fields, name: "@@"}).encode()
    return marked.replace(b'"@@"', draw(st.sampled_from(_PIECES)))


HOSTILE = st.one_of(st.binary(max_size=60), _spliced(), _revalued(), st.sampled_from(_TEXTS),
                    st.lists(st.sampled_from([*_PIECES, b"{", b"}", b":", b",", b'"tx_id"', b'"amount"']), max_size=12)
                    .map(b"".join))  # fmt: skip
