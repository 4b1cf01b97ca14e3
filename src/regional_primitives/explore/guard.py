"""Who may ask, how much and for how long: this machine's own page only; all other hosts forbidden.

A browser tells under which name it reached the server (Host) and which page asks (Origin). Another
name means that a foreign page has pointed its own name at 127.0.0.1, another origin that a foreign
page asks; both are refused.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BYTES = 1 << 20
"""No question is longer; a state that names every component of a large run takes 100 KB."""
SECONDS = 20.0
"""How long a question may take to arrive, and an answer to be taken any further."""

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_FOREIGN = (403, "only the explorer's own page may ask")
_TOO_LONG = (413, f"a question is at most {MOST_BYTES} bytes long")


class Guard:
    """Stands before the application, and answers what it refuses with one line."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return  # no websockets here

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            refusal, body = self._refusal(Headers(scope=scope)), b""
            if not refusal:
                refusal, body = await _read(Request(scope, receive))
        except ClientDisconnect:
            return  # what has come is no whole question, and nobody is there to be answered
        if refusal:
            status, why = refusal
            await JSONResponse({"error": why}, status)(scope, receive, stamped)
            return
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, stamped)

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        for name in ("host", "origin", "sec-fetch-site", "content-length"):
            # Of two values a reader takes the one or the other, so none can be trusted.
            if len(given := headers.getlist(name)) > 1:
                return 400, f"a question has one header {name}, not {len(given)}"
        # Starlette's TrustedHostMiddleware would let any port pass.
        host = headers.get("host", "")
        if host not in self._hosts:
            return 421, f"this server is {sorted(self._hosts)[0]}, not {host[:100]!r}"
        origin = headers.get("origin")
        if origin is not None and origin not in [f"http://{own}" for own in self._hosts]:
            return _FOREIGN
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _FOREIGN
        length = headers.get("content-length", "0").encode()
        if not length.isdigit() or len(length) > 12 or int(length) > MOST_BYTES:
            return _TOO_LONG
        return None


class _NamedTwiceError(Exception):
    pass


async def _read(request: Request) -> tuple[tuple[int, str] | None, bytes]:
    """Read the body, at most as much as is allowed; an object of it names nothing twice."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return _TOO_LONG, b""

    def checked(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            raise _NamedTwiceError  # of two, JSON would keep the last

    try:
        json.loads(body, object_pairs_hook=checked)
    except _NamedTwiceError:
        return (422, "an object of the question names something twice"), b""
    except (ValueError, RecursionError):
        pass  # the application says what is wrong with it
    return None, body


class Connection(H11Protocol):
    """uvicorn's, which waits for ever for the rest of a question, or for an answer to be read.

    It closes by itself only connections that idle after an answer.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadlines: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a question."""
        super().connection_made(transport)
        self._expect("question", True)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of the question; each piece does not start the time anew."""
        super().data_received(data)
        self._expect("question", self.conn.their_state in (h11.IDLE, h11.SEND_BODY))

    def pause_writing(self) -> None:
        """Wait for the answer to be taken."""
        super().pause_writing()
        self._expect("taking", True)

    def resume_writing(self) -> None:
        """Some of the answer was taken."""
        super().resume_writing()
        self._expect("taking", False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        for what in tuple(self._deadlines):
            self._expect(what, False)

    def _expect(self, what: str, expected: bool) -> None:
        if expected and what not in self._deadlines:
            self._deadlines[what] = self.loop.call_later(SECONDS, self.transport.abort)
        elif not expected and what in self._deadlines:
            self._deadlines.pop(what).cancel()
