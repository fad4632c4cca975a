"""The server of the page: routes, how long an answer is good for, and its start and end.

Owns: HTTP. Must not: read an environment itself, listen on anything but the socket that it is given, or log a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import falcon
import psycopg
from falcon.asgi import App, Request, Response

from engine.model.diagnostic import Refused, error
from engine.ui import guard
from engine.ui.board import PAGE, STATES, Wanted
from engine.ui.reader import Reader

SAMPLE_S = 10.0
"""How often every live environment is asked what it measures."""

_LOG = logging.getLogger("txplan.ui")
_STATIC = Path(__file__).with_name("static")
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
          ".css": "text/css; charset=utf-8"}
# For how many seconds an answer is good: what is dear to read is read less often, however many pages ask.
_GOOD_FOR = {"run": 0.5, "environments": 10.0, "service": 4.0, "cutover": 10.0, "gates": 5.0, "books": 10.0,
             "evidence": 10.0}
_KEPT = 256


class Answers:
    """Answers for as long as they are good: one reading at a time of each, in a thread; who asks meanwhile waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()
        self._locks: dict[tuple[str, ...], asyncio.Lock] = {}

    async def get(self, key: tuple[str, ...], good_for: float, work: Callable[[], Any]) -> Any:
        """The value of `work`, or raises the Refused that it ended with; that is kept as long."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            at, found = self._kept.get(key, (0.0, None))
            if key not in self._kept or self._clock() - at > good_for:
                try:
                    found = await asyncio.to_thread(work)
                except Refused as refused:
                    found = refused
                self._kept[key] = self._clock(), found
                while len(self._kept) > _KEPT:
                    self._locks.pop(self._kept.popitem(last=False)[0], None)
        if isinstance(found, Refused):
            raise found
        return found


class _Api:
    """All that is asked for data; every responder but the last reads."""

    def __init__(self, reader: Reader, *, allow_actions: bool) -> None:
        self._reader, self._allow_actions = reader, allow_actions
        self._answers = Answers()

    async def on_get_environments(self, req: Request, resp: Response) -> None:
        """All environments that are watched, and whether anything may be done here."""
        found = await self._answers.get(("environments",), _GOOD_FOR["environments"], self._reader.environments)
        _send(req, resp, {"environments": found, "actions": self._allow_actions})

    async def on_get_part(self, req: Request, resp: Response, name: str, part: str) -> None:
        """One part of an environment."""
        read = self._parts().get(part)
        if read is None:
            raise falcon.HTTPNotFound(title="no-such-part")
        _send(req, resp, await self._answers.get((part, name), _GOOD_FOR[part], lambda: read(name)))

    def _parts(self) -> dict[str, Callable[[str], Any]]:
        reader = self._reader
        return {"run": lambda name: reader.runs(name).summary(), "service": reader.service, "cutover": reader.cutover,
                "gates": reader.gates, "books": reader.books, "evidence": reader.evidence}

    async def on_get_steps(self, req: Request, resp: Response, name: str) -> None:
        """A page of steps: `state` (several by comma), `kind`, `text`, `page`, `size`."""
        states = frozenset(filter(None, (req.get_param("state") or "").split(",")))
        if not states <= set(STATES):
            raise falcon.HTTPBadRequest(title="unknown-state")
        wanted = Wanted(states, req.get_param("kind") or "", req.get_param("text") or "",
                        req.get_param_as_int("page", min_value=1, default=1) or 1,
                        req.get_param_as_int("size", min_value=1, max_value=200, default=PAGE) or PAGE)
        _send(req, resp, await asyncio.to_thread(lambda: self._reader.runs(name).board().page(wanted)))

    async def on_get_step(self, req: Request, resp: Response, name: str) -> None:
        """Everything of the step `address`."""
        address = req.get_param("address", required=True)
        found = await asyncio.to_thread(lambda: self._reader.runs(name).board().one(address))
        if found is None:
            raise falcon.HTTPNotFound(title="no-such-step")
        _send(req, resp, found)

    async def on_get_letters(self, req: Request, resp: Response, name: str) -> None:
        """A page of dead letters: `all` for the resolved ones too, `class`, `page`."""
        resolved, class_ = req.get_param_as_bool("all", default=False) or False, req.get_param("class") or None
        page = req.get_param_as_int("page", min_value=1, max_value=2000, default=1) or 1
        _send(req, resp, await self._answers.get(
            ("letters", name, str(resolved), class_ or "", str(page)), 4.0,
            lambda: self._reader.letters(name, resolved=resolved, error_class=class_, page=page)))

    async def on_get_letter(self, req: Request, resp: Response, name: str, id_: int) -> None:
        """One dead letter with its content."""
        _send(req, resp, await asyncio.to_thread(self._reader.letter, name, id_))

    async def on_post_replay(self, req: Request, resp: Response, name: str, id_: int) -> None:
        """Replay one dead letter, where the server was started for that."""
        if not self._allow_actions:
            raise falcon.HTTPForbidden(title="read-only")
        _send(req, resp, dict(await asyncio.to_thread(self._reader.replay, name, id_)))


class _Page:
    """The page and what it is made of; it holds no data."""

    def __init__(self, file: Path) -> None:
        self._body, self._type = file.read_bytes(), _TYPES[file.suffix]

    async def on_get(self, req: Request, resp: Response) -> None:
        """The file."""
        resp.content_type, resp.data = self._type, self._body


class _Sampler:
    """Asks all environments what they measure, for as long as the server runs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._task: asyncio.Task[None] | None = None

    async def process_startup(self, scope: Any, event: Any) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._forever())

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _forever(self) -> None:
        while True:
            await asyncio.to_thread(self._reader.sample)
            await asyncio.sleep(SAMPLE_S)


def application(reader: Reader, guarding: guard.Guard, *, allow_actions: bool = False) -> App[Request, Response]:
    """The whole server as an ASGI application."""
    app: App[Request, Response] = App(middleware=[guarding, _Sampler(reader)])
    app.add_error_handler(falcon.HTTPError, guard.as_json)
    app.add_error_handler(Refused, _refused)
    app.add_error_handler(Exception, _bug)
    app.add_error_handler(psycopg.Error, _lost)
    for file in _STATIC.iterdir():
        if file.suffix in _TYPES:
            app.add_route("/" if file.name == "index.html" else f"/static/{file.name}", _Page(file))
    api, one = _Api(reader, allow_actions=allow_actions), "/api/environments/{name}"
    app.add_route("/api/environments", api, suffix="environments")
    app.add_route(f"{one}/steps", api, suffix="steps")
    app.add_route(f"{one}/step", api, suffix="step")
    app.add_route(f"{one}/dlq", api, suffix="letters")
    app.add_route(f"{one}/dlq/{{id_:int}}", api, suffix="letter")
    app.add_route(f"{one}/dlq/{{id_:int}}/replay", api, suffix="replay")
    app.add_route(f"{one}/{{part}}", api, suffix="part")
    return app


def _send(req: Request, resp: Response, value: Any) -> None:
    """JSON with a tag, so that a page which has it already gets 304 and changes nothing."""
    body = json.dumps(value, ensure_ascii=False).encode()
    tag = hashlib.sha256(body).hexdigest()[:32]
    resp.etag = tag
    if req.if_none_match and any(given == tag for given in req.if_none_match):
        resp.status = falcon.HTTP_304
        return
    resp.content_type, resp.data = "application/json", body


async def _refused(req: Request, resp: Response, refused: Refused, params: Any) -> None:
    """What the engine refuses, as {refused: [its diagnostics]}. That a part cannot be read now is an answer, and no
    failure of the question; only what there is not is 404."""
    if any(d.code.startswith("unknown-") for d in refused.diagnostics):
        resp.status = falcon.HTTP_404
    resp.media = {"refused": [{"code": d.code, "summary": d.summary, "detail": d.detail, "mend": d.mend}
                              for d in refused.diagnostics]}


async def _lost(req: Request, resp: Response, failure: psycopg.Error, params: Any) -> None:
    """A database that went while it was read; what it said of that stays here."""
    await _refused(req, resp, Refused([error("database-away", "The database went while it was read.")]), params)


async def _bug(req: Request, resp: Response, failure: Exception, params: Any) -> None:
    """A failure that nobody expected: its kind and place, and no word of what it was about."""
    last = failure.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "an unknown place"
    _LOG.error("%s at %s", type(failure).__name__, place)
    resp.status = falcon.HTTP_500
    resp.media = {"refused": [{"code": "bug", "detail": "", "mend": "",
                               "summary": f"This could not be read: {type(failure).__name__} at {place}."}]}
