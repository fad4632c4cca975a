"""Plans in every format: a comment's size is kept and what is folded is said; no value breaks out of its place."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine.model.address import Address
from engine.model.change import Action, Change, Diff, Reason
from engine.model.plan import Plan
from engine.render import formats, renderer
from engine.render.paint import plain
from engine.render.plan_markdown import LIMIT
from tests.support.filekind import plan_of

HOSTILE = "</details><script>alert(1)</script> ``` | [x](y) <b> `` &amp; \n# head"


def many(count: int, text: str) -> Plan:
    """A plan of `count` updates, every tenth of which replaces."""
    return plan_of(*(
        Change(Address("resource", f"n{i:05}"), Action.REPLACE if i % 10 == 9 else Action.UPDATE,
               {"name": f"name-{i}"}, frozenset({Address("resource", f"n{i // 3:05}")} if i else ()), "0" * 64, None,
               (Reason("why", text),), (Diff("size", i, i + 1),), {"note": text})
        for i in range(count)))


@pytest.mark.parametrize(("count", "text"), [(500, "x" * 300), (500, "ü" * 3000), (30_000, "x" * 300)])
def test_markdown_fits_a_comment(count: int, text: str) -> None:
    shown = renderer("plan", "markdown")(many(count, text), plain)
    assert len(shown.encode()) <= LIMIT
    whole = shown.count("<details>")
    listed = len(re.findall(r"^- `~ resource\.|^- `± resource\.", shown, flags=re.M))
    folded = re.search(r"\*\*(\d+) of (\d+) steps are folded", shown)
    assert folded and (int(folded[1]), int(folded[2])) == (count - whole, count)
    left = re.search(r"\*\*(\d+) more steps are left out", shown)
    assert whole + listed + (int(left[1]) if left else 0) == count
    if count == 500:
        assert all(f"resource.n{i:05}" in shown for i in range(count))
    assert "resource.n00009</code> replace" in shown, "what destroys is shown whole before the rest"


def test_a_small_plan_is_not_folded() -> None:
    shown = renderer("plan", "markdown")(many(20, "why"), plain)
    assert shown.count("<details>") == shown.count("</details>") == 20
    assert "folded" not in shown


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        held = dict(attrs)
        assert not {"src", "onclick", "onload", "style"} & set(held)
        if held.get("id"):
            self.ids.append(str(held["id"]))
        if held.get("href"):
            self.links.append(str(held["href"]))
        if tag not in ("meta", "rect", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_whole_and_asks_nobody() -> None:
    text = renderer("plan", "html")(many(30, HOSTILE), plain)
    page = Page(text)
    assert page.open == [] and "script" not in page.tags and "b" not in page.tags and "link" not in page.tags
    assert "default-src 'none'" in text and "unsafe-inline" not in text
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert text.count("http") == text.count("http-equiv") + text.count('xmlns="http://www.w3.org/2000/svg"')


def test_html_of_many_steps_says_what_it_leaves_out() -> None:
    assert "<svg" not in renderer("plan", "html")(many(300, "why"), plain)
    assert "300 steps are too many for a picture" in renderer("plan", "html")(many(300, "why"), plain)


def test_no_value_breaks_out_of_markdown() -> None:
    shown = renderer("plan", "markdown")(many(3, HOSTILE), plain)
    assert shown.count("</details>") == shown.count("<details>") == 3
    assert not re.search(r"(?<!\\)<script", shown)


def test_every_format_names_every_step_and_value(tmp_path: Path) -> None:
    for format_ in formats("plan"):
        shown = renderer("plan", format_)(many(15, "the reason"), plain)
        for i in range(15):
            assert f"n{i:05}" in shown
        assert shown.count("the reason") >= 15 and "laptop" in shown and "kim" in shown
