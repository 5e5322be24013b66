"""`fieldmark key NAME`: a key for somebody who may ask a server."""

from __future__ import annotations

from pathlib import Path

import click

from fieldmark.server.keys import add_key


@click.command("key", short_help="Make an API key for the server")
@click.argument("name")
@click.option("--keys", required=True, type=click.Path(path_type=Path), help="The file that holds them, as hashes.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Requests a second [as many as come].")
def command(name: str, keys: Path, rate: float) -> None:
    """Make a key called NAME, and print it once: only its hash is kept in the file."""
    click.echo(add_key(keys, name, rate))
    click.echo(f"this is shown once; the server reads its hash: fieldmark serve ... --keys {keys}", err=True)
