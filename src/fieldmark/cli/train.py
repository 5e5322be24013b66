"""`fieldmark train DATA`: images in, bundle and report out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import click

import fieldmark
from fieldmark.cli.bundle_options import bundle_options
from fieldmark.cli.console import json_option, show_notes, show_skipped, showing_progress, write_json
from fieldmark.cli.data_options import data_options, read_data
from fieldmark.cli.flags import merged_recipe, recipe_options
from fieldmark.ranks import rank
from fieldmark.report.terminal import headline, summary_lines


@click.command("train", short_help="A folder or manifest of images becomes a bundle")
@data_options
@bundle_options
@click.option(
    "--recipe", "recipe_file", type=click.Path(path_type=Path), help="Settings from a TOML or JSON file; flags win."
)
@click.option(
    "--cache-size",
    default="auto",
    show_default=True,
    metavar="SIZE",
    help="The most that decoded images may take of the disk, as 20GB; 0: keep none; auto: half of what is free.",
)
@json_option
@recipe_options
def command(
    data: str,
    root: Path | None,
    columns: tuple[str, ...],
    strict: bool,
    out: Path | None,
    recipe_file: Path | None,
    canaries: Literal["generated", "data"],
    no_thumbnails: bool,
    resume: bool,
    cache_size: str,
    as_json: bool,
    **flags: str | None,
) -> None:
    """Train a classifier on DATA and write a bundle: a folder with the model, its report and its model card.

    DATA is a folder with one folder a class; a folder with train, validation and test folders of those; or a
    manifest (.csv, .jsonl, .parquet) with the columns file and label (or labels, as in cat|dog) and, if you have
    them, split, group, and unknown: labels that nobody looked for.
    """
    begun = time.monotonic()
    recipe = merged_recipe(recipe_file, flags)
    with showing_progress() as progress:
        # First, so that a mistake in it is told before torch is imported, which takes seconds.
        dataset = read_data(data, root, columns, strict, progress)
        trained = fieldmark.train(
            dataset,
            out=out,
            recipe=recipe,
            canaries=canaries,
            thumbnails=not no_thumbnails,
            resume=resume,
            cache_size=cache_size,
            begun=begun,
            progress=progress,
        )
    if rank():
        return
    if as_json:
        write_json(trained.summary())
        return
    show_notes(trained.report.notes)
    show_skipped(trained.report.skipped, len(trained.report.skipped))
    click.echo(headline(trained.report))
    for label, figure in summary_lines(trained.report):
        click.echo(f"  {label:<22} {figure}")
    click.echo(f"\nbundle  {trained.bundle}\nreport  {trained.bundle / 'report' / 'index.html'}")
    click.echo(f"next: fieldmark predict {trained.bundle} PHOTO    or open the report in a browser", err=True)
