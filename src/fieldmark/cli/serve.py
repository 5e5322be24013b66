"""`fieldmark serve BUNDLE...`: bundles behind HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from fieldmark.cli.extras import extra
from fieldmark.units import seconds, size_in_bytes


@click.command("serve", short_help="Answer over HTTP")
@click.argument("bundles", nargs=-1, required=True, metavar="[NAME=]BUNDLE...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--keys", type=click.Path(path_type=Path), help="File of API keys; see `fieldmark key`.")
@click.option("--no-auth", is_flag=True, help="Answer everybody, on an address that others can reach.")
@click.option("--alias", "alias", multiple=True, metavar="[NAME/]ALIAS=VERSION", help="champion: asked by default.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes that decode and run [one a core].")
@click.option("--watch", metavar="TIME", help="Look so often whether a bundle was replaced [only on SIGHUP].")
@click.option("--drain", metavar="TIME", help="Answer on so long after SIGTERM, while not ready [0s].")
@click.option("--timeout", metavar="TIME", help="How long a request may wait for its answer [10s].")
@click.option("--max-body", metavar="SIZE", help="Largest body of a request [32MiB].")
@click.option("--max-waiting", type=click.IntRange(1), help="Images that may wait; beyond it: 503 [512].")
@click.option("--request-log", type=click.Path(path_type=Path), help="Folder for what was asked and answered.")
@click.option("--log-images", is_flag=True, help="Keep the images, too, in the request log's folder.")
def command(
    bundles: tuple[str, ...],
    host: str,
    port: int,
    keys: Path | None,
    no_auth: bool,
    alias: tuple[str, ...],
    workers: int,
    watch: str | None,
    drain: str | None,
    timeout: str | None,
    max_body: str | None,
    max_waiting: int | None,
    request_log: Path | None,
    log_images: bool,
) -> None:
    """Answer over HTTP with BUNDLEs. Open the address in a browser to drop a picture on a page, or

      curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/predict

    Several bundles of one NAME are its versions 1, 2 ...; the last is its champion, unless --alias says otherwise.
    """
    with extra("serve", where="fieldmark serve"):
        from fieldmark.server.keys import read_keys
        from fieldmark.server.limits import Limits
        from fieldmark.server.models import aliases, sources
        from fieldmark.server.running import Settings, serve
    limits = Limits()
    if timeout is not None:
        limits = replace(limits, answer_s=seconds(timeout, where="--timeout"))
    if max_body is not None:
        limits = replace(limits, max_body_bytes=size_in_bytes(max_body, where="--max-body"))
    if max_waiting is not None:
        limits = replace(limits, max_waiting_images=max_waiting)
    models = sources(bundles)
    serve(
        Settings(
            sources=models,
            aliases=aliases(alias, models),
            host=host,
            port=port,
            keys=read_keys(keys) if keys else (),
            no_auth=no_auth,
            workers=workers,
            limits=limits,
            request_log=request_log,
            log_images=log_images,
            watch_s=seconds(watch, where="--watch") if watch else 0.0,
            drain_s=seconds(drain, where="--drain") if drain else 0.0,
        )
    )
