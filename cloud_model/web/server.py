"""The server of the page, which waits for no client without end."""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Longest time in which the head of a request must arrive."""

EXCHANGE_SECONDS = 600.0
"""Longest time from there to the end of the answer; analyses wait for each other, and each may take two minutes."""

CONNECTIONS = 64
"""Most connections at a time."""


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Make a server; run it with sockets that listen already."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=0,  # who ends it waits for no analysis
    )
    return uvicorn.Server(config)


class _Protocol(H11Protocol):
    """Close connections that take too long."""

    _reads_head = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def _watch(self) -> None:
        """Start the clock where a connection begins to wait for a head, and where it has one."""
        reads_head = self.conn.their_state is h11.IDLE
        if self._deadline is not None:
            if reads_head is self._reads_head:
                return
            self._deadline.cancel()
        self._reads_head = reads_head
        self._deadline = self.loop.call_later(
            HEAD_SECONDS if reads_head else EXCHANGE_SECONDS, self.transport.abort
        )
