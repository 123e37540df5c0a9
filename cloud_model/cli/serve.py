"""``cloud serve``."""

from __future__ import annotations

import socket

import click

from cloud_model.cli import options
from cloud_model.confined import end_all


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on."
)
@options.model
def serve(host: str, port: int, model: str | None) -> None:
    """Open a page on which to try the model.

    Drop a crystal on it, see how the model reads it and what it predicts. The page works without the internet, and
    only this computer can reach it unless --host says otherwise. Needs the extra 'web'.

    \b
    Examples:
      cloud serve
      cloud serve --port 8080 --model my-checkpoint/
    """
    try:
        from cloud_model.web.app import LOOPBACK, create_app
        from cloud_model.web.server import make_server
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"{error.name} is not installed; install the extra: pip install 'cloud-plugins[web]'"
        ) from None
    local = host in LOOPBACK
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise click.UsageError(f"{host} port {port} cannot be used: {error.strerror or error}") from None
    app = create_app(options.load(model), LOOPBACK if local else ("*",))
    if not local:
        click.echo(f"Warning: anyone who can reach {host} can use this page.", err=True)
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"The page is at http://{shown}:{port}/ until Ctrl-C is pressed.", err=True)
    try:
        make_server(app).run(sockets=[listening])
    finally:
        end_all()  # whose results no one waits for
