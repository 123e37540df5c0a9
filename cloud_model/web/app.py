"""The web application of ``cloud serve``: one page, to which a crystal is uploaded."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from anyio import CapacityLimiter, fail_after
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_model.display.html import render
from cloud_model.display.numbers import uncertain
from cloud_model.errors import CloudError
from cloud_model.scope.explanation import space_group_name
from cloud_model.web.analysis import Analysis, analyse
from cloud_model.web.figures import heat_capacity_figure, structure_figure

if TYPE_CHECKING:
    from cloud_model.model import CloudModel

MAX_BYTES = 2**21
"""Largest upload."""

SECONDS = 30.0
"""Longest time that an upload may take."""

CONTENT_TYPE = "application/octet-stream"
"""Of uploads. Pages of other sites cannot send it, since browsers ask for permission first."""

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

LOOPBACK: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(model: CloudModel, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """Make the application.

    Parameters
    ----------
    model : CloudModel
        What predicts.
    hosts : tuple of str
        Names by which the server may be called. Others are refused, so that no site can reach it under a name of
        its own.

    Returns
    -------
    Starlette
        An ASGI application.
    """
    one_at_a_time = CapacityLimiter(1)

    async def page(request: Request) -> Response:
        values = {"model": model, "megabytes": MAX_BYTES >> 20, "local": hosts == LOOPBACK}
        return HTMLResponse(render("cloud_model.web", "page.html.j2", **values))

    async def crystal(request: Request) -> Response:
        if request.headers.get("content-type") != CONTENT_TYPE:
            return _unread(f"The content type must be {CONTENT_TYPE}.", 415)
        try:
            with fail_after(SECONDS):
                content = await _body(request)
        except TimeoutError:
            return _unread(f"The file takes more than {SECONDS:.0f} s to arrive.", 408)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody sees
        if content is None:
            return _unread(f"The file is larger than {MAX_BYTES >> 20} MiB.", 413)
        name, index = request.query_params.get("name", ""), request.query_params.get("index", "0")
        if not (index.isascii() and index.isdecimal() and len(index) < 10):
            return PlainTextResponse("The index must be a number.", 422)
        try:
            analysis = await run_sync(
                analyse, content, name, model, int(index), limiter=one_at_a_time, abandon_on_cancel=True
            )
        except CloudError as error:
            return PlainTextResponse(str(error), 422)
        except CancelledError:
            return PlainTextResponse("The server ends.", 503)
        return HTMLResponse(result_html(analysis, model))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/crystal", crystal, methods=["POST"]),
            Mount("/static", StaticFiles(packages=[("cloud_model.web", "static")])),
            Mount("/plotly", StaticFiles(packages=[("plotly", "package_data")])),
        ],
        middleware=[Middleware(_Guard, hosts=hosts)],
    )


class _Guard:
    """Refuse requests for other hosts, and put the headers of security on every answer."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refused = scope["type"] == "http" and "*" not in self.hosts and _host(scope) not in self.hosts
        app = PlainTextResponse("This host is not served here.", 400) if refused else self.app
        await app(scope, receive, send_with_headers)


def _host(scope: Scope) -> str:
    try:
        return urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _unread(reason: str, status: int) -> Response:
    """Refuse a request whose body is left unread, so that its connection cannot be used again."""
    return PlainTextResponse(reason, status, {"Connection": "close"})


async def _body(request: Request) -> bytes | None:
    """Content of an upload; None for one that is too large."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            return None
    return bytes(content)


def result_html(analysis: Analysis, model: CloudModel) -> str:
    """Write the part of the page that is about one crystal."""
    return render(
        "cloud_model.web",
        "result.html.j2",
        analysis=analysis,
        report=analysis.to_dict(model),
        formula=analysis.formula.translate(_SUBSCRIPTS),
        scope=analysis.scope._repr_html_(),
        space_group=space_group_name(analysis.scope.space_group),
        structure=structure_figure(analysis.crystal),
        heat_capacity=heat_capacity_figure(analysis),
        uncertain=uncertain,
    )
