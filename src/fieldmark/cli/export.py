"""`fieldmark export BUNDLE DATA --to FORM`: the bundle's graph in another form, proven on real images."""

from __future__ import annotations

from pathlib import Path

import click

import fieldmark
from fieldmark.bundle.layout import name_of
from fieldmark.cli.console import json_option, showing_progress, write_json
from fieldmark.cli.data_options import data_options, read_data
from fieldmark.conversion.exported import Exported
from fieldmark.conversion.page import page
from fieldmark.conversion.row import FORMS, missing
from fieldmark.conversion.telling import rows, table
from fieldmark.data.writing import writing_whole
from fieldmark.errors import ParityError, UsageError


def _listed(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        width = max(map(len, FORMS))
        for name, summary in FORMS.listing():
            absent = missing(FORMS[name])
            click.echo(f"  {name:<{width}}  {summary}" + (f" [not installed: {', '.join(absent)}]" if absent else ""))
        context.exit()


@click.command("export", short_help="Write a bundle's graph in another form, proven on real images")
@click.argument("bundle", type=click.Path(path_type=Path))
@data_options
@click.option("--to", "forms", multiple=True, metavar="FORM", help="A form, see --list. May be given several times.")
@click.option("--all", "every", is_flag=True, help="Every form that can be written and proven here.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that NAME-FORM.fieldmark and the page NAME-exports.html go to [where BUNDLE is].",
)
@click.option("--unproven", is_flag=True, help="Write forms, too, that nothing on this kind of machine can run.")
@click.option("--list", is_flag=True, expose_value=False, is_eager=True, callback=_listed, help="Show the forms.")
@json_option
def command(
    bundle: Path,
    data: str,
    root: Path | None,
    columns: tuple[str, ...],
    strict: bool,
    forms: tuple[str, ...],
    every: bool,
    out: Path | None,
    unproven: bool,
    as_json: bool,
) -> None:
    """Write BUNDLE in other forms, each a bundle of its own, and prove that they answer alike on images in DATA.

    Give DATA as it was when BUNDLE was trained: its training images set the ranges of int8, its test images prove.
    A form that breaks its bound is not written.
    """
    names = _asked(forms, every, unproven)
    place = bundle.resolve().parent if out is None else out
    with showing_progress() as progress:
        done = fieldmark.export(
            bundle,
            read_data(data, root, columns, strict, progress),
            to=names,
            out=out,
            unproven=unproven,
            progress=progress,
            told=(lambda done: _write_overview(done, bundle, place)) if every else None,
        )
    if as_json:
        write_json(done)
    else:
        _show(done)
        for written in _overview(bundle, place) if every else ():
            click.echo(f"look at   {written}")
    _refuse_if_none(done)


def _asked(forms: tuple[str, ...], every: bool, unproven: bool) -> list[str]:
    if every == bool(forms):
        raise UsageError(
            "which forms?" if not every else "--all is every form already",
            where="--to" if not every else f"--to {forms[0]}",
            do=f"give --to with one of {', '.join(FORMS)}, or --all",
        )
    if forms:
        return list(dict.fromkeys(forms))
    return [name for name in FORMS if not missing(FORMS[name]) and (unproven or FORMS[name].provable)]


def _overview(bundle: Path, place: Path) -> tuple[Path, Path]:
    """The files that tell of all forms beside each other: a page and a table."""
    return place / f"{name_of(bundle)}-exports.html", place / f"{name_of(bundle)}-exports.md"


def _write_overview(done: tuple[Exported, ...], bundle: Path, place: Path) -> None:
    """After each form anew: who is cut off keeps the table of those that were done."""
    for path, text in zip(_overview(bundle, place), (page(done, name_of(bundle)), table(done)), strict=True):
        with writing_whole(path) as stream:
            stream.write(text.encode())


def _show(done: tuple[Exported, ...]) -> None:
    for line in rows(done):
        click.echo(line)
    for each in done:
        if each.why:
            click.secho(f"{each.form} was not written: {each.why}", fg="yellow")
        for note in each.notes:
            click.secho(f"{each.form}: {note}", dim=True)
        if each.bundle:
            click.echo(f"{each.form:<8}  {each.bundle}")


def _refuse_if_none(done: tuple[Exported, ...]) -> None:
    if not any(each.bundle for each in done):
        raise ParityError(
            f"no form was written: {done[0].why}",
            where=", ".join(each.form for each in done),
            do="take another form (fieldmark export --list), or train longer: unsure answers flip first",
        )
