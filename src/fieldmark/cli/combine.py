"""`fieldmark combine BUNDLE BUNDLE ... DATA`: several bundles become one, with one graph."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

import fieldmark
from fieldmark.cli.console import json_option, show_notes, show_skipped, showing_progress, write_json
from fieldmark.cli.data_options import data_options, read_data
from fieldmark.report.terminal import comparison_lines, headline, summary_lines


@click.command("combine", short_help="Several bundles become one: an ensemble or a cascade")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--as",
    "kind",
    required=True,
    type=click.Choice(["ensemble", "cascade"]),
    help="ensemble: the mean of what all say; cascade: the first answers, the second only where it is not sure.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where the bundle goes.")
@click.option(
    "--within",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="Accuracy that a cascade may lose to its second bundle, in points of 100 [0.5].",
)
@click.option("--no-thumbnails", is_flag=True, help="Leave your photos out of the report.")
@json_option
def command(
    bundles: tuple[Path, ...],
    data: str,
    root: Path | None,
    columns: tuple[str, ...],
    strict: bool,
    kind: Literal["ensemble", "cascade"],
    out: Path,
    within: float | None,
    no_thumbnails: bool,
    as_json: bool,
) -> None:
    """Put BUNDLEs that know the same classes together into one, and measure it on the labelled images in DATA.

    Give DATA as it was when the bundles were trained: then the images that none of them learnt from are known, and
    only those fit and judge the whole. For a cascade, give the small bundle first.
    """
    with showing_progress() as progress:
        # First, so that a mistake in it is told before torch is imported, which takes seconds.
        dataset = read_data(data, root, columns, strict, progress)
        combined = fieldmark.combine(
            bundles,
            dataset,
            kind=kind,
            out=out,
            within=None if within is None else within / 100,
            thumbnails=not no_thumbnails,
            progress=progress,
        )
    if as_json:
        write_json(combined.summary())
        return
    report = combined.report
    show_notes(report.notes)
    show_skipped(report.skipped, len(report.skipped))
    click.echo(headline(report))
    for label, figure in summary_lines(report):
        click.echo(f"  {label:<22} {figure}")
    for line in comparison_lines(report):
        click.echo(line)
    click.echo(f"\nbundle  {combined.bundle}\nreport  {combined.bundle / 'report' / 'index.html'}")
