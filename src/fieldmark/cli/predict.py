"""`fieldmark predict BUNDLE SOURCE...`: what is in these images?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path

import click

from fieldmark.bundle.checksums import sha256_of
from fieldmark.bundle.layout import SUMS
from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.cli.answers import write_answers
from fieldmark.cli.console import json_option, show_notes, showing_progress, warn
from fieldmark.cli.execution_options import execution_options
from fieldmark.cli.resuming import Asked, answer_all, run_folder
from fieldmark.cli.rows import ROW_FORMS, Answer
from fieldmark.cli.sources import Sources, find_sources
from fieldmark.cli.tally import Tally
from fieldmark.cores import available_cores
from fieldmark.errors import UsageError
from fieldmark.inference.autotuning import ENOUGH_IMAGES, choose
from fieldmark.inference.classifier import ready
from fieldmark.inference.execution import Execution, for_one
from fieldmark.inference.variants import on_this_machine
from fieldmark.progress import silent

FORMS = ("text", "csv", "jsonl", "parquet")


@click.command("predict", short_help="Ask a bundle about files, folders or standard input")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to show.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="How answers are written; parquet needs --output. [by the name of --output; else text]",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
@click.option(
    "--resume",
    is_flag=True,
    help="What is answered stays if the run is cut off, and the same command goes on from there. For --output in csv "
    "or jsonl.",
)
@click.option("--strict", is_flag=True, help="Fail (exit 2) if any image cannot be read.")
@execution_options
@json_option
def command(
    bundle: Path,
    sources: tuple[str, ...],
    top: int,
    form: str | None,
    output: Path | None,
    resume: bool,
    strict: bool,
    runner: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Predict the class of each image in SOURCES: files, folders, globs, or - for standard input.

    Standard input is either one image or a list of paths, a line each. Images are read as they are needed, so a
    folder of any size needs the same memory.
    """
    shown = "json" if as_json else form or _form_of(output)
    _refuse(shown, output, resume)
    found = find_sources(sources)
    opened = on_this_machine(open_bundle(bundle), runner=runner)
    show_notes(opened.notes)
    asked = Asked(bundle=sha256_of(opened.path / SUMS), form=shown, top=top, runner=runner, threads=threads)
    if found.alone is not None:
        size_px = opened.manifest.geometry.size_px
        one = for_one(threads or available_cores(), size_px, opened.runner)
        write_answers([ready(opened, one).predict(found.alone)], shown, output, top)
    elif resume and output is not None:
        _answer_resumably(opened, found, output, asked).tell(strict)
    else:
        _answer(opened, found, output, asked).tell(strict)


def _form_of(output: Path | None) -> str:
    suffix = output.suffix.lower().removeprefix(".") if output is not None else ""
    return suffix if suffix in FORMS else "text"


def _refuse(form: str, output: Path | None, resume: bool) -> None:
    if output is not None and output.is_dir():
        raise UsageError("answers are written to a file, and this is a folder", where=str(output), do="name a file")
    if not resume:
        if output is not None and run_folder(output).is_dir():
            warn(f"note: {run_folder(output)} holds answers of a run that was cut off; --resume goes on with them")
        return
    if output is None or form not in ROW_FORMS:
        raise UsageError(
            "only a file with a row for each image can be gone on with",
            where=f"--resume with --format {form}" if output is not None else "--resume without --output",
            do="give --output answers.csv or --output answers.jsonl",
        )


def _answer(bundle: Bundle, found: Sources, output: Path | None, asked: Asked) -> Tally:
    counted = output is not None and found.countable
    total = sum(1 for _ in found.paths()) if counted else 0
    paths = found.paths()
    first = list(islice(paths, ENOUGH_IMAGES)) if found.countable else []
    execution = _chosen(bundle, first, asked)
    # Without --output, the answers themselves show how far it is.
    with showing_progress() if total else nullcontext(silent) as progress:
        tally = Tally(progress, total)
        answers = tally.counting(_answers(bundle, execution, chain(first, paths)))
        write_answers(answers, asked.form, output, asked.top)
    return tally


def _answer_resumably(bundle: Bundle, found: Sources, output: Path, asked: Asked) -> Tally:
    with showing_progress() as progress:
        return answer_all(
            output,
            found.paths(),
            asked,
            choose=lambda images: _chosen(bundle, list(islice(images, ENOUGH_IMAGES)), asked),
            answer=lambda execution, images: _answers(bundle, execution, images),
            progress=progress,
        )


def _chosen(bundle: Bundle, first: list[Path], asked: Asked) -> Execution:
    choice = choose(bundle, first, threads=asked.threads)
    if choice.how != "usual":  # of few images nobody wants to know
        click.echo(f"run by {choice}", err=True)
    return choice.execution


def _answers(bundle: Bundle, execution: Execution, images: Iterable[Path]) -> Iterator[Answer]:
    yield from ready(bundle, execution).predict_many(images)
