"""`fieldmark models`: what can be trained here."""

from __future__ import annotations

import click

from fieldmark.cli.console import json_option, write_json
from fieldmark.encoders.architectures import ROWS
from fieldmark.encoders.row import ENCODERS
from fieldmark.heads.row import HEADS


@click.command("models", short_help="Encoders and heads that can be trained")
@click.argument("text", default="")
@json_option
def command(text: str, as_json: bool) -> None:
    """List encoders (--model) and heads (--head). With TEXT, those whose name or description has it, and every timm
    backbone whose name has it: `fieldmark models mobilenet`."""
    shown = {
        "models": _having(text, ENCODERS.listing()),
        "families": _having(text, tuple((row.name, f"{row.family}: {row.summary}") for row in ROWS)),
        "heads": _having(text, HEADS.listing()),
        "timm": _timm_names(text) if text else [],
    }
    if as_json:
        write_json(shown)
        return
    for kind, flag in (
        ("models", "--model"),
        ("families", "--model"),
        ("heads", "--head"),
        ("timm", "--model, from timm"),
    ):
        if shown[kind]:
            click.secho(f"{kind} ({flag})", bold=True)
            for row in shown[kind]:
                click.echo(f"  {row['name']:<28} {row['summary']}".rstrip())
    if not any(shown.values()):
        click.echo(f"nothing has {text!r} in its name or description", err=True)
    elif not text:
        click.echo("\nseveral fixed encoders go together: --model hog+colour")
        click.echo("any timm backbone goes by its name: fieldmark models mobilenet", err=True)


def _having(text: str, listing: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    wanted = text.lower()
    return [{"name": n, "summary": s} for n, s in listing if wanted in n.lower() or wanted in s.lower()]


def _timm_names(text: str) -> list[dict[str, str]]:
    try:
        from fieldmark.encoders.zoo import zoo_names
    except ModuleNotFoundError:
        click.echo("timm's backbones are listed where the train extra is: pip install 'fieldmark[train]'", err=True)
        return []
    return [{"name": name, "summary": ""} for name in zoo_names() if text.lower() in name.lower()]
