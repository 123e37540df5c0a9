"""The page on a free port of this computer."""

from __future__ import annotations

import socket
from threading import Thread
from time import sleep

import pytest


@pytest.fixture(scope="session")
def address(tiny_model):
    """Host and port of a running server."""
    pytest.importorskip("starlette", reason="needs the extra 'web'")
    pytest.importorskip("uvicorn", reason="needs the extra 'web'")
    from cloud_model.web.app import create_app
    from cloud_model.web.server import make_server

    server = make_server(create_app(tiny_model))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        sleep(0.01)
    yield listening.getsockname()
    server.should_exit = True
    thread.join()
