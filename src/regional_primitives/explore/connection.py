"""A connection to the explorer that is closed where the other side leaves its part undone."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["SECONDS", "Connection"]

SECONDS = 20.0
"""How long a question may take to arrive, and an answer to be taken any further."""


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
