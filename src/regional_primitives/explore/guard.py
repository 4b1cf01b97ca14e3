"""Who may ask, and how much: this machine's own page only; answers that forbid all other hosts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["MOST_BYTES", "Guard"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

MOST_BYTES = 1 << 20
"""No question is longer; a state that names every component of a large run takes 100 KB."""

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


_ONCE = (b"host", b"origin", b"sec-fetch-site", b"content-length")


class Guard:
    """Stands before the application.

    A browser tells under which name it reached the server (Host) and which page asks (Origin).
    Another name means that a foreign page has pointed its own name at 127.0.0.1, another origin
    that a foreign page asks; both are refused.
    """

    def __init__(self, app: _App, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts
        self._origins = frozenset(f"http://{host}" for host in hosts)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass a request on, or answer it with one line that says what was wrong."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websockets here
        status, why = self._refusal(scope["headers"])
        if status:
            await _answer(send, status, why)
            return
        try:
            body = await _read(receive)
        except _TooLongError:
            await _answer(send, 413, f"a question is at most {MOST_BYTES} bytes long")
            return
        except _GoneError:
            return  # nobody is there to be answered
        if _names_twice(body):
            await _answer(send, 422, "an object of the question names something twice")
            return
        given = False

        async def replay() -> _Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def stamped(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_stamps()]
            await send(message)

        await self._app(scope, replay, stamped)

    def _refusal(self, given: list[tuple[bytes, bytes]]) -> tuple[int, str]:
        headers = {name.lower(): value for name, value in given}
        names = [name.lower() for name, _ in given]
        for name in _ONCE:
            # Of two values a reader takes the one or the other, so none can be trusted.
            if names.count(name) > 1:
                return 400, f"a question has one header {name.decode()}, not {names.count(name)}"
        host = headers.get(b"host", b"").decode("latin-1")
        if host not in self._hosts:
            return 421, f"this server is {sorted(self._hosts)[0]}, not {host[:100]!r}"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") not in self._origins:
            return 403, "only the explorer's own page may ask"
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return 403, "only the explorer's own page may ask"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 12 or int(length) > MOST_BYTES:
            return 413, f"a question is at most {MOST_BYTES} bytes long"
        return 0, ""


class _TooLongError(Exception):
    pass


class _GoneError(Exception):
    pass


class _NamedTwiceError(Exception):
    pass


async def _read(receive: _Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError  # what has come is no whole question
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise _TooLongError
        if not message.get("more_body", False):
            return body


def _names_twice(body: bytes) -> bool:
    """Tell whether an object in the body has a name twice, of which JSON keeps the last."""

    def checked(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            raise _NamedTwiceError

    try:
        json.loads(body, object_pairs_hook=checked)
    except _NamedTwiceError:
        return True
    except (ValueError, RecursionError):
        pass  # the application says what is wrong with it
    return False


def _stamps() -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in _HEADERS.items()]


async def _answer(send: _Send, status: int, why: str) -> None:
    content = json.dumps({"error": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        *_stamps(),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
