"""`fieldmark demo`: the whole path on real handwritten digits, from image files to predictions."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

import fieldmark
from fieldmark.cli.answers import write_answers
from fieldmark.cli.console import json_option, showing_progress, write_json
from fieldmark.cli.leaderboard import show_selection
from fieldmark.report.terminal import headline


@click.command("demo", short_help="See the whole path on real handwritten digits, in a few minutes")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where everything goes."
)
@json_option
def command(out: Path, as_json: bool) -> None:
    """Try three classifiers on 1,797 handwritten digits, train the one that validation images prefer, test it once,
    and predict with it. Everything is written to a folder that you may delete, and
    decoded images to the cache."""
    with showing_progress() as progress:
        shown = fieldmark.demonstrate(out, progress)
    bundle = shown.trained.bundle
    if as_json:
        write_json(shown.trained.summary())
        return
    show_selection(shown.trained.report)
    click.echo(f"\n{headline(shown.trained.report)}")
    click.secho(f"\nWhat {bundle.name} says of a few digits that it never saw", bold=True)
    some = islice(sorted((shown.data / "test").glob("*/*.png"))[7::75], 6)
    write_answers(fieldmark.load(bundle).predict_many(some), "text", None, top=3)
    click.echo(
        "\nThe digits come from the same writers in all three parts, so a new writer's would be harder.\n"
        f"\nreport  {bundle / 'report' / 'index.html'}   (open it in a browser)"
        "\nnext    fieldmark choose YOUR_FOLDER --out yours.fieldmark   (a folder with one folder for each class)"
        f"\n        fieldmark check {bundle}"
    )
