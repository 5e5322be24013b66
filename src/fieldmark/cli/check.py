"""`fieldmark check BUNDLE`: does it still answer as on the day it was made?"""

from __future__ import annotations

from pathlib import Path

import click

from fieldmark.cli.console import json_option, write_json
from fieldmark.inference.canaries import check
from fieldmark.inference.classifier import load


@click.command("check", short_help="Prove that a bundle still answers as when it was made")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def command(bundle: Path, as_json: bool) -> None:
    """Verify every checksum of BUNDLE, then ask it about the pictures that travel inside and compare the answers
    with those recorded when it was made. Exit code 0: all the same; 2: something has changed."""
    result = check(load(bundle))
    if as_json:
        write_json(result)
    else:
        for canary in result.canaries:
            mark = click.style("same   ", fg="green") if canary.ok else click.style("CHANGED", fg="red", bold=True)
            click.echo(f"  {mark}  {canary.file}{'  ' + '; '.join(canary.words) if canary.words else ''}")
        for line in result.words:
            click.echo(line)
    if not result.ok:
        raise SystemExit(2)
