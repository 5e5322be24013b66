"""How a verb is told where labelled images lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fieldmark.data.dataset import Dataset
from fieldmark.errors import UsageError
from fieldmark.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])


def data_options(function: F) -> F:
    """DATA, --root, --columns and --strict."""
    for option in (
        click.option(
            "--strict", is_flag=True, help="Fail (exit 2) if any image cannot be read, instead of skipping it."
        ),
        click.option(
            "--columns",
            multiple=True,
            metavar="NAME=COLUMN",
            help="What a manifest calls a column, as in --columns file=image_path --columns label=species.",
        ),
        click.option(
            "--root",
            type=click.Path(path_type=Path),
            help="The folder that a manifest's paths start from, where it is not the manifest's own.",
        ),
        click.argument("data", type=click.Path()),
    ):
        function = option(function)
    return function


def read_data(data: str, root: Path | None, columns: tuple[str, ...], strict: bool, progress: Progress) -> Dataset:
    """The dataset that these options describe. `--columns a=b,c=d` and repeated flags mean the same."""
    from fieldmark.data.reading import read

    names: dict[str, str] = {}
    for pair in (pair for word in columns for pair in word.split(",")):
        name, sign, column = pair.partition("=")
        if not (name and sign and column):
            raise UsageError(
                f"{pair!r} is not NAME=COLUMN", where="--columns", do="write --columns file=image_path,label=species"
            )
        names[name.strip()] = column.strip()
    return read(data, columns=names or None, root=root, strict=strict, progress=progress)
