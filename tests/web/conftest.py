"""The page on a free port of this computer."""

from __future__ import annotations

from threading import Thread
from time import sleep

import pytest


@pytest.fixture(scope="session")
def address(tiny_model):
    """Host and port of a running server."""
    pytest.importorskip("starlette", reason="needs the extra 'web'")
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra 'web'")
    from cloud_model.web.app import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(tiny_model), port=0, log_level="warning"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join()
