"""How a verb that asks a bundle is told what to run it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fieldmark.inference.runners import RUNNERS

F = TypeVar("F", bound=Callable[..., Any])


def execution_options(function: F) -> F:
    """--runner and --threads."""
    for option in (
        click.option(
            "--threads",
            type=click.IntRange(min=1, max=1024),
            metavar="N",
            help="Run on N cores, unmeasured. [the cores that we may use, shared out as measured here]",
        ),
        click.option(
            "--runner",
            metavar="NAME",
            help=f"What runs the graph: {', '.join(RUNNERS)}. [onnxruntime, or what an export was proven with]",
        ),
    ):
        function = option(function)
    return function
