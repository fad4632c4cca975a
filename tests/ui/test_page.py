"""The page in a real browser: what it shows and how it looks, its policy, and that a keyboard is enough.

The pictures that it takes are kept in the test's folder, to be looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.address import Address
from engine.model.change import Action
from engine.model.diagnostic import error
from engine.model.event import StepFailed, StepStarted, StepSucceeded
from tests.support import browser
from tests.ui.stage import NOW, State, named, tree

TXPLAN = str(Path(sys.executable).with_name("txplan"))
pytestmark = pytest.mark.skipif(browser.COMMAND is None, reason="there is no chromium on this machine")
EVIL = "<img src=x onerror=document.title='owned'>"

# Text whose colour stands out too little from what is behind it (WCAG 2 AA), by the browser's own computed colours.
FAINT = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 :
    ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  return [...document.querySelectorAll("body *:not(svg *, script, option, noscript, :disabled)")].filter((e) =>
    e.offsetParent && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => {
      const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(ground(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 120)];
    }).filter(([ratio]) => ratio < 4.5);
})()"""

# What a screen reader needs and does not find.
UNTOLD = """(() => {
  const all = (q) => [...document.querySelectorAll(q)], bad = [];
  if (all("h1").length !== 1 || all("main").length !== 1) bad.push("one h1, one main");
  for (const e of all("nav:not([aria-label]), section:not([aria-labelledby]), img:not([alt])")) bad.push(e.outerHTML);
  for (const e of all("svg")) if (!e.closest("[aria-hidden]") && !(e.getAttribute("role") === "img" &&
    e.getAttribute("aria-label"))) bad.push(e.outerHTML.slice(0, 99));
  for (const e of all("table")) if (!e.caption?.textContent || e.querySelector("th:not([scope])")) bad.push("table");
  for (const e of all("button, a, summary"))
    if (!(e.textContent.trim() || e.getAttribute("aria-label"))) bad.push(e.outerHTML);
  for (const e of all("input, select")) if (!e.labels.length) bad.push(e.outerHTML);
  const levels = all("h1, h2, h3").filter((e) => e.offsetParent).map((e) => Number(e.tagName[1]));
  levels.forEach((level, i) => {
    if (i && level > levels[i - 1] + 1) bad.push(`heading ${level} after ${levels[i - 1]}`); });
  const ids = all("[id]").map((e) => e.id);
  if (new Set(ids).size !== ids.length) bad.push("ids twice");
  return bad;
})()"""


@contextmanager
def serving(state: State) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`txplan ui` over a state folder, and the address that it printed."""
    process = subprocess.Popen([TXPLAN, "ui", "--json"], env={**os.environ, "TXPLAN_STATE_DIR": str(state.folder)},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate()


def test_the_page(many: State, tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    evil = replace(tree(1)[0], address=Address("file", EVIL), waits_for=frozenset({named(0)}))
    shutil.copytree(many.folder, state.folder)
    small = state.plan(*tree(8), evil, name="dev-eva")
    with state.lock("dev-eva"), serving(state) as (process, url), browser.browser(tmp_path / "profile") as page:
        state.begin(small, 2, 1)
        page.looks()
        page.go(url)
        page.until("document.querySelectorAll('#steps tbody tr').length === 9")
        assert page.say("location.href").endswith("/") and "token" not in page.say("document.documentElement.outerHTML")
        assert page.say("[...document.querySelectorAll('.node')].length") == 9

        # What the journal gains is seen without asking for it, and a hostile text is a text.
        failed = error("gate-fail", EVIL, EVIL, EVIL)
        state.journal("dev-eva").append(
            StepSucceeded(NOW, named(2), Action.CREATE, 1.0), StepStarted(NOW, evil.address, Action.CREATE),
            StepFailed(NOW, evil.address, Action.CREATE, 1.0, failed))
        page.until("document.querySelector('.node.failed') && document.querySelector('#steps .badge.failed')")
        page.until("document.querySelector('#announce').textContent.includes('1 failed')")
        row = page.say("document.querySelector('#steps tbody tr').innerText")
        assert row.count(EVIL) == 2
        page.say("document.querySelector('#steps tbody button').focus()")
        page.press("Enter", 13)
        page.until("document.querySelector('#detail-body pre')")
        assert page.say("document.querySelector('#detail').innerText").count(EVIL) >= 3
        assert page.say("[document.images.length, document.title.includes('owned')]") == [0, False]
        page.picture(tmp_path / "detail.png")

        # The keyboard alone: closed, back to where it was, filtered, and past the navigation.
        page.press("Escape", 27)
        page.until("!document.querySelector('#detail').open")
        page.until("document.activeElement.closest('#steps')")
        page.say("document.querySelector('[data-key=state-failed]').focus()")
        page.press(" ", 32)
        page.until("document.querySelectorAll('#steps tbody tr').length === 1")
        assert page.until("document.activeElement.dataset.key === 'state-failed' && "
                          "document.activeElement.getAttribute('aria-pressed') === 'true'")
        page.press(" ", 32)
        page.until("document.querySelectorAll('#steps tbody tr').length === 9")
        page.say("document.activeElement.blur()")
        page.call("Page.reload")
        page.until("document.querySelectorAll('#steps tbody tr').length === 9")  # The tab keeps its token.
        page.press("Tab", 9)
        assert page.say("document.activeElement.className") == "skip"
        page.press("Enter", 13)
        page.until("document.activeElement.id === 'main'")

        looks_right(page, tmp_path)
        in_pages(page, tmp_path)
        assert page.complaints == []

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130 and url.partition("=")[2] not in out + err and "Traceback" not in err
        page.until("document.querySelector('#trouble').innerText.includes('does not answer')")
        page.say("sessionStorage.clear()")


def looks_right(page: browser.Browser, folder: Path) -> None:
    """Light, dark and narrow: readable, told to who cannot see it, and no wider than the window."""
    page.picture(folder / "light.png")
    assert page.say(UNTOLD) == [] and page.say(FAINT) == []
    light = page.say("getComputedStyle(document.body).backgroundColor")
    page.looks(dark=True)
    assert page.say("getComputedStyle(document.body).backgroundColor") != light
    assert page.say(FAINT) == []
    page.picture(folder / "dark.png")
    page.looks(width=360, height=800)
    assert page.say("document.documentElement.scrollWidth") <= 360
    page.picture(folder / "narrow.png")
    page.looks()


def in_pages(page: browser.Browser, folder: Path) -> None:
    """30,000 steps, in another environment: in pages, and never more of them in the page than it shows."""
    page.until("document.querySelector('[data-key=env-dev-kim]')")
    page.say("document.querySelector('[data-key=env-dev-kim]').click()")
    page.until("document.querySelector('#steps tbody')?.rows.length === 30 && document.querySelector('.bands')")
    assert page.say("document.querySelector('#name').textContent") == "dev-kim"
    assert page.say("document.querySelectorAll('*').length") < 1500 and page.say(UNTOLD) == []
    first = page.say("document.querySelector('#steps tbody tr').innerText")
    page.say("document.querySelector('[data-key=next]').click()")
    page.until(f"document.querySelector('#steps tbody tr').innerText !== {json.dumps(first)}")
    page.say("document.querySelector('#text').focus()")
    page.call("Input.insertText", text="f29999")
    page.until("document.querySelector('#steps tbody').rows.length === 1")
    page.picture(folder / "many.png")
