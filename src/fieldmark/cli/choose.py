"""`fieldmark choose DATA`: which model, within limits, and why."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import click

import fieldmark
from fieldmark.cli.bundle_options import bundle_options
from fieldmark.cli.console import json_option, show_notes, show_skipped, showing_progress, write_json
from fieldmark.cli.data_options import data_options, read_data
from fieldmark.cli.leaderboard import show_selection
from fieldmark.report.terminal import headline, summary_lines


@click.command("choose", short_help="Try several models within your limits, and train the best")
@data_options
@bundle_options
@click.option("--latency", metavar="TIME", help="Longest median time for one image on this machine, as in 20ms.")
@click.option("--size", metavar="SIZE", help="Largest exported model, as in 10MB.")
@click.option(
    "--budget",
    default="20m",
    show_default=True,
    metavar="TIME",
    help="Wall clock for the whole command: 90s, 20m, 2h.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Models to try in place of the usual spread, as in --model hog+colour,lenet: names from `fieldmark models`.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For everything random.")
@json_option
def command(
    data: str,
    root: Path | None,
    columns: tuple[str, ...],
    strict: bool,
    out: Path | None,
    latency: str | None,
    size: str | None,
    budget: str,
    models: tuple[str, ...],
    seed: int,
    canaries: Literal["generated", "data"],
    no_thumbnails: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Try a spread of models on DATA, from tiny to strong: those over a limit are left out before any training, the
    losers are dropped early, the best is trained with the rest of the budget, and tested once.

    Candidates are judged on the same validation images. Where these cannot tell several from the best, the fastest is
    taken. The bundle's report shows all of them, and why the one was chosen.
    """
    begun = time.monotonic()
    with showing_progress() as progress:
        # First, so that a mistake in it is told before torch is imported, which takes seconds.
        dataset = read_data(data, root, columns, strict, progress)
        trained = fieldmark.choose(
            dataset,
            out=out,
            latency=latency,
            size=size,
            budget=budget,
            models=[name for word in models for name in word.split(",")],
            seed=seed,
            canaries=canaries,
            thumbnails=not no_thumbnails,
            resume=resume,
            begun=begun,
            progress=progress,
        )
    if as_json:
        write_json(trained.summary())
        return
    show_notes(trained.report.notes)
    show_skipped(trained.report.skipped, len(trained.report.skipped))
    show_selection(trained.report)
    click.echo(f"\n{headline(trained.report)}")
    for label, figure in summary_lines(trained.report):
        click.echo(f"  {label:<22} {figure}")
    click.echo(f"\nbundle  {trained.bundle}\nreport  {trained.bundle / 'report' / 'index.html'}")
    click.echo(f"next: fieldmark predict {trained.bundle} PHOTO    or open the report in a browser", err=True)
