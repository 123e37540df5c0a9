"""The web application of ``cloud serve``: one page, to which a crystal is uploaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cloud_model.display.html import scope_html
from cloud_model.display.numbers import uncertain
from cloud_model.errors import CloudError
from cloud_model.scope.explanation import space_group_name
from cloud_model.web.analysis import Analysis, analyse
from cloud_model.web.figures import heat_capacity_figure, structure_figure

if TYPE_CHECKING:
    from cloud_model.model import CloudModel

MAX_BYTES = 2**21
"""Largest upload."""

CONTENT_TYPE = "application/octet-stream"
"""Of uploads. Pages of other sites cannot send it, since browsers ask for permission first."""

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

LOOPBACK: tuple[str, ...] = ("localhost", "127.0.0.1")

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
        template = _environment().get_template("page.html.j2")
        return HTMLResponse(template.render(model=model, megabytes=MAX_BYTES >> 20, local=hosts == LOOPBACK))

    async def crystal(request: Request) -> Response:
        if request.headers.get("content-type") != CONTENT_TYPE:
            return PlainTextResponse(f"The content type must be {CONTENT_TYPE}.", 415)
        content = await _body(request)
        if content is None:
            return PlainTextResponse(f"The file is larger than {MAX_BYTES >> 20} MiB.", 413)
        name = request.query_params.get("name", "")
        try:
            analysis = await run_sync(analyse, content, name, model, limiter=one_at_a_time)
        except CloudError as error:
            return PlainTextResponse(str(error), 422)
        return HTMLResponse(result_html(analysis, model))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/crystal", crystal, methods=["POST"]),
            Mount("/static", StaticFiles(packages=[("cloud_model.web", "static")])),
            Mount("/plotly", StaticFiles(packages=[("plotly", "package_data")])),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(BaseHTTPMiddleware, dispatch=_with_headers),
        ],
    )


async def _with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    return response


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
    report = analysis.to_dict(model)
    return (
        _environment()
        .get_template("result.html.j2")
        .render(
            analysis=analysis,
            report=report,
            formula=analysis.formula.translate(_SUBSCRIPTS),
            scope=scope_html(analysis.scope),
            space_group=space_group_name(analysis.scope.space_group),
            structure=structure_figure(analysis.crystal),
            heat_capacity=heat_capacity_figure(analysis),
            uncertain=uncertain,
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("cloud_model.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
