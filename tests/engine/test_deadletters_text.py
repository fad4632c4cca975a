"""What came with a record reaches no terminal as it is, and what is shown stands for one content only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.options import Moment
from engine.kinds.deadletters import Content, Letter
from engine.render.deadletters_text import counts, in_full, lines
from engine.render.paint import plain
from engine.render.words import safe

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def letter(topic: str = "ledger", detail: str = "why") -> Letter:
    return Letter(7, topic, 1, 42, "not_json", detail, AT, None, 3)


@given(st.text() | st.binary())
def test_everything_is_printable_and_on_one_line(text: str | bytes) -> None:
    assert safe(text).isprintable()


@given(st.binary(), st.binary())
def test_two_contents_never_look_the_same(one: bytes, other: bytes) -> None:
    assert (safe(one) == safe(other)) == (one == other)


def test_text_that_is_harmless_stays_readable() -> None:
    assert safe('{"name": "김 é", "n": 1}'.encode()) == '{"name": "김 é", "n": 1}'
    assert safe(b"\x1b[31m\x00\xff\n") == r"\x1b[31m\x00\xff\n"
    assert safe("\u202e\u2028\U000e0001") == r"\u202e\u2028\U000e0001"


@given(st.text(), st.text(), st.binary() | st.none(), st.binary() | st.none(), st.integers(1, 50))
def test_nothing_of_a_letter_escapes(
    topic: str, detail: str, key: bytes | None, payload: bytes | None, limit: int
) -> None:
    one = letter(topic, detail)
    for line in (*lines([one], plain), *in_full(Content(one, key, payload), plain, limit), counts({topic: 1})):
        assert line.isprintable()


def test_a_long_payload_says_what_is_left_out() -> None:
    shown = list(in_full(Content(letter(), None, b"x" * 5000), plain, 100))
    assert "5,000 bytes, the first 100 are shown" in shown[-2] and shown[-1].strip() == "x" * 100
    assert list(in_full(Content(letter(), None, b"x" * 5000), plain, None))[-1].strip() == "x" * 5000


@pytest.mark.parametrize(("text", "at"), [
    ("2026-01-02T03:04:05Z", AT), ("2026-01-02T12:04:05+09:00", AT),
])  # fmt: skip
def test_times_with_their_zone(text: str, at: datetime) -> None:
    assert Moment().convert(text, None, None) == at


def test_times_ago() -> None:
    assert abs(Moment().convert("2h", None, None) - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["", "2026-01-02T03:04:05", "2026-01-02", "yesterday", "9" * 30 + "d", "-1h",
                                  "0001-01-01T00:00:00+01:00", "999999d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Moment().convert(text, None, None)
