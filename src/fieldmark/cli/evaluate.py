"""`fieldmark evaluate BUNDLE DATA`: every measure of a bundle on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from fieldmark.cli.console import json_option, show_notes, show_skipped, showing_progress, write_json
from fieldmark.cli.data_options import data_options, read_data
from fieldmark.data.writing import writing_whole
from fieldmark.evaluation.evaluate import evaluate
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.plain import everything
from fieldmark.inference.classifier import Classifier, load
from fieldmark.report.page import render
from fieldmark.report.report import Report
from fieldmark.report.terminal import headline, summary_lines
from fieldmark.report.thumbnails import thumbnails


@click.command("evaluate", short_help="Measure a bundle on labelled images")
@click.argument("bundle", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--part", type=click.Choice(["train", "validation", "test"]), help="Which part, where DATA has parts [test]."
)
@click.option("--report", "page", type=click.Path(path_type=Path), help="Write the report as one HTML file, too.")
@json_option
def command(
    bundle: Path,
    data: str,
    root: Path | None,
    columns: tuple[str, ...],
    strict: bool,
    part: Literal["train", "validation", "test"] | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Measure BUNDLE on the labelled images in DATA (a folder or manifest, as for train).

    Classes are matched by name. Where DATA has a test part, only that is measured unless --part says otherwise.
    """
    classifier = load(bundle)
    with showing_progress() as progress:
        dataset = read_data(data, root, columns, strict, progress)
        evaluation = evaluate(classifier, dataset, part=part, progress=progress)
    report = _as_report(classifier, evaluation)
    if page is not None:
        cases = [case.file for case in (*evaluation.mistakes, *evaluation.hits)]
        with writing_whole(page) as stream:
            stream.write(render(report, thumbnails(dataset.root, cases)).encode())
    if as_json:
        write_json({"bundle": str(bundle), evaluation.part: everything(evaluation)})
        return
    show_notes((*classifier.bundle.notes, *evaluation.notes))
    show_skipped(evaluation.skipped, len(evaluation.skipped))
    click.echo(headline(report))
    for label, figure in summary_lines(report):
        click.echo(f"  {label:<22} {figure}")


def _as_report(classifier: Classifier, evaluation: Evaluation) -> Report:
    manifest = classifier.bundle.manifest
    return Report(
        manifest=manifest,
        test=evaluation,
        validation=None,
        epochs=(),
        best_epoch=None,
        score_name="",
        latency_ms=None,
        size_bytes=classifier.bundle.graph.stat().st_size,
        seconds=0.0,
        skipped=evaluation.skipped,
        notes=evaluation.notes,
    )
