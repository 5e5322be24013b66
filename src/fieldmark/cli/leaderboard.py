"""Candidates that were tried, as a table of at most 80 columns, and the reason under it."""

from __future__ import annotations

import textwrap

import click

from fieldmark.report.report import Report
from fieldmark.report.selection import Candidate, Selection
from fieldmark.report.wording import in_100, shorten, size, wording

WIDTH = 80
NAME_CHARACTERS = 34


def show_selection(report: Report) -> None:
    """Nothing, where the model was not chosen among several."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    told = report.selection
    if told is None:
        return
    table = Table(title=_title(told), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    measured = any(each.energy_mj is not None for each in told.candidates)
    table.add_column("candidate", overflow="fold")
    for heading in (wording(told.score_name).label.lower(), "latency", "size", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
        if heading == "size" and measured:
            table.add_column("energy", justify="right", no_wrap=True)
    for each in told.candidates:
        energy = (f"{each.energy_mj:.3g} mJ" if each.energy_mj is not None else "",) if measured else ()
        cells = (shorten(each.name, NAME_CHARACTERS), _score(each), _latency(each), _size(each), *energy)
        table.add_row(*cells, each.outcome.replace(" the ", " "), style="bold" if each.outcome == "chosen" else None)
    Console(width=None).print(table)
    click.echo("\n".join(textwrap.wrap(told.reason, WIDTH)))


def _title(told: Selection) -> str:
    return f"{len(told.candidates)} candidates on the same {told.n:,} validation images, in 100 with 95 % interval"


def _score(each: Candidate) -> str:
    if each.score is None:
        return "–"
    said = in_100(each.score)
    return f"{said.value} ({said.low}–{said.high})" if said.low else said.value or "–"


def _latency(each: Candidate) -> str:
    return f"{each.latency_ms[0]:.3g} ms" if each.latency_ms else "–"


def _size(each: Candidate) -> str:
    return size(each.size_bytes) if each.size_bytes is not None else "–"
