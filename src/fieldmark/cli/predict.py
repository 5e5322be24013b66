"""`fieldmark predict BUNDLE SOURCE...`: what is in these images?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import click

from fieldmark.cli.answers import Answer, write_answers
from fieldmark.cli.console import SKIPPED_SHOWN, json_option, show_skipped
from fieldmark.cli.sources import find_sources
from fieldmark.errors import DataError
from fieldmark.inference.classifier import load
from fieldmark.inference.prediction import Failure


@click.command("predict", short_help="Ask a bundle about files, folders or standard input")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes to show.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "jsonl", "parquet"]),
    default="text",
    show_default=True,
    help="How answers are written; parquet needs --output.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
@click.option("--strict", is_flag=True, help="Fail (exit 2) if any image cannot be read.")
@json_option
def command(
    bundle: Path,
    sources: tuple[str, ...],
    top: int,
    form: Literal["text", "csv", "jsonl", "parquet"],
    output: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Predict the class of each image in SOURCES: files, folders, globs, or - for standard input.

    Standard input is either one image or a list of paths, a line each. Images are read as they are needed, so a
    folder of any size needs the same memory.
    """
    found = find_sources(sources)
    classifier = load(bundle)
    shown = "json" if as_json else form
    if found.alone is not None:
        write_answers([classifier.predict(found.alone)], shown, output, top)
        return
    tally = Tally()
    write_answers(tally.counting(classifier.predict_many(found.paths())), shown, output, top)
    _tell(tally, strict)


class Tally:
    """Counts answers as they pass; keeps the first few failures, never all."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.first: list[tuple[str, str]] = []

    def counting(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        for answer in answers:
            if isinstance(answer, Failure):
                self.failed += 1
                if len(self.first) < SKIPPED_SHOWN:
                    self.first.append((answer.source, f"{answer.unreadable.reason}: {answer.unreadable.detail}"))
            else:
                self.answered += 1
            yield answer


def _tell(tally: Tally, strict: bool) -> None:
    show_skipped(tally.first, tally.failed)
    if not tally.answered and not tally.failed:
        raise DataError("no image was found", where="the sources given", do="name a folder that holds images")
    if tally.failed and (strict or not tally.answered):
        raise DataError(
            f"{tally.failed} of {tally.failed + tally.answered} images could not be read",
            where=tally.first[0][0],
            do="mend or remove them, or leave out --strict" if tally.answered else "check that these are images",
        )
