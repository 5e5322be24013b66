"""What every verb shows alike: progress on standard error, results on standard output, JSON on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from fieldmark.progress import Progress, silent
from fieldmark.ranks import rank

SKIPPED_SHOWN = 10

json_option = click.option(
    "--json", "as_json", is_flag=True, help="The result as JSON on standard output, nothing else."
)


def write_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@contextmanager
def showing_progress() -> Iterator[Progress]:
    """Bars with time left on a terminal; elsewhere one line as each stage ends. Of several processes one speaks."""
    if rank():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _stage_lines()
        return
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}", style="dim"),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int, remark: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, remark=remark)
            bars.update(tasks[stage], completed=done, total=total, remark=remark)

        yield show


def _stage_lines() -> Progress:
    ended: set[str] = set()

    def show(stage: str, done: int, total: int, remark: str = "") -> None:
        if done >= total and stage not in ended:
            ended.add(stage)
            click.echo(f"{stage}: {total} done{'  ' + remark if remark else ''}", err=True)

    return show


def warn(text: str) -> None:
    click.secho(text, err=True, fg="yellow")


def show_notes(notes: Sequence[str]) -> None:
    """What happened on the way that a person should know."""
    for note in notes:
        warn(f"note: {note}")


def show_skipped(first: Sequence[tuple[str, str]], total: int) -> None:
    """Files that gave no picture: how many, and the first few by name and reason."""
    if not total:
        return
    warn(f"skipped {total} unreadable file{'s' if total > 1 else ''}:")
    for file, reason in first[:SKIPPED_SHOWN]:
        warn(f"  {file}: {reason}")
    if total > SKIPPED_SHOWN:
        warn(f"  … and {total - SKIPPED_SHOWN} more (--json names them all)")
