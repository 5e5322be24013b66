"""`fieldmark demo`: the whole path on real handwritten digits, from image files to predictions."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

import fieldmark
from fieldmark.cli.answers import write_answers
from fieldmark.cli.console import json_option, showing_progress, write_json
from fieldmark.measures.estimate import Estimate

if TYPE_CHECKING:
    from fieldmark.training.run import Trained


@click.command("demo", short_help="See the whole path on real handwritten digits, in a few minutes")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where everything goes."
)
@json_option
def command(out: Path, as_json: bool) -> None:
    """Train three classifiers on 1,797 handwritten digits, compare them, and predict with the one that did best on
    validation images. Everything is written to a folder that you may delete, and decoded images to the cache."""
    with showing_progress() as progress:
        shown = fieldmark.demonstrate(out, progress)
    if as_json:
        write_json({"chosen": str(shown.ranked[0].bundle), "leaderboard": [_row(t) for t in shown.ranked]})
        return
    _leaderboard(shown.ranked)
    best = shown.ranked[0]
    click.secho(f"\nWhat {best.bundle.name} says of a few digits that it never saw", bold=True)
    some = islice(sorted((shown.data / "test").glob("*/*.png"))[7::75], 6)
    write_answers(fieldmark.load(best.bundle).predict_many(some), "text", None, top=3)
    click.echo(
        "\nThe digits come from the same writers in all three parts, so a new writer's would be harder.\n"
        f"\nreport  {best.bundle / 'report' / 'index.html'}   (open it in a browser)"
        "\nnext    fieldmark train YOUR_FOLDER --out yours.fieldmark   (a folder with one folder for each class)"
        f"\n        fieldmark check {best.bundle}"
    )


def _row(trained: Trained) -> dict[str, object]:
    report = trained.report
    return {
        "bundle": str(trained.bundle),
        "validation": {"accuracy": report.validation.figures["accuracy"] if report.validation else None},
        "test": {"accuracy": report.test.figures["accuracy"] if report.test else None},
        "size_bytes": report.size_bytes,
        "latency_ms": report.latency_ms,
        "seconds": report.seconds,
    }


def _leaderboard(ranked: tuple[Trained, ...]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    tested = f"; test: 95 % interval, n = {ranked[0].report.test.n}" if ranked[0].report.test else ""
    table = Table(
        title=f"Handwritten digits, best on validation first{tested}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for heading in ("classifier", "validation", "test", "size", "latency", "training"):
        table.add_column(heading, justify="left" if heading == "classifier" else "right")
    for trained in ranked:
        report = trained.report
        table.add_row(
            trained.bundle.name.removesuffix(".fieldmark"),
            _percent(report.validation.figures["accuracy"]) if report.validation else "",
            _with_doubt(report.test.figures["accuracy"]) if report.test else "",
            f"{report.size_bytes / 1e6:.1f} MB",
            f"{report.latency_ms[0]:.1f} ms" if report.latency_ms else "",
            f"{report.seconds:.0f} s",
        )
    Console().print(table)


def _percent(estimate: Estimate) -> str:
    return "–" if estimate.value is None else f"{100 * estimate.value:.1f} %"


def _with_doubt(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"
