"""How a verb that trains is told about the bundle that it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def bundle_options(function: F) -> F:
    """--out, --canaries, --no-thumbnails and --resume."""
    for option in (
        click.option(
            "--resume", is_flag=True, help="Go on from where an interrupted run of the same command stopped."
        ),
        click.option("--no-thumbnails", is_flag=True, help="Leave your photos out of the report."),
        click.option(
            "--canaries",
            type=click.Choice(["generated", "data"]),
            default="generated",
            show_default=True,
            help="Pictures that travel inside to prove the answers: generated, or a few of your photos as well.",
        ),
        click.option(
            "--out", type=click.Path(path_type=Path), help="Where the bundle goes [DATA's name + .fieldmark]."
        ),
    ):
        function = option(function)
    return function
