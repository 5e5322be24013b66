"""`fieldmark info BUNDLE`: what it is, what it was made from, and what its report says."""

from __future__ import annotations

from pathlib import Path

import click

from fieldmark.bundle.layout import REPORT
from fieldmark.bundle.reading import open_bundle
from fieldmark.cli.console import json_option, write_json
from fieldmark.evaluation.plain import figures
from fieldmark.report.document import parse
from fieldmark.report.origin import built, terms
from fieldmark.report.terminal import comparison_lines, headline, summary_lines


@click.command("info", short_help="What a bundle is, and what its report says")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def command(bundle: Path, as_json: bool) -> None:
    """Show what BUNDLE is: classes, model, weights and their licence, data, figures. Verifies its checksums."""
    opened = open_bundle(bundle)
    manifest = opened.manifest
    written = bundle / REPORT / "report.json"
    report = parse(written.read_bytes(), where=str(written))
    if as_json:
        write_json({"manifest": manifest, "test": figures(report.test), "validation": figures(report.validation)})
        return
    click.secho(f"{manifest.name}: {len(manifest.classes)} classes, {manifest.task} label", bold=True)
    click.echo(headline(report))
    licence = f" ({manifest.weights.licence})" if manifest.weights.licence else ""
    rows = [
        ("classes", ", ".join(manifest.classes[:12]) + (" …" if len(manifest.classes) > 12 else "")),
        ("model", built(manifest)),
        ("weights from", manifest.weights.source + licence),
        *(("made from", f"{name} (licence of its weights: {licence})") for name, licence in terms(manifest)),
        ("input", f"{manifest.geometry.size_px} px, {manifest.geometry.fit}, {manifest.geometry.filter}"),
        ("made", manifest.created),
        ("data", f"{manifest.data.fingerprint[:16]}…, {manifest.data.split}"),
        *summary_lines(report),
    ]
    for label, text in rows:
        click.echo(f"  {label:<22} {text}")
    for line in comparison_lines(report):
        click.echo(line)
    click.echo(f"report  {bundle / REPORT / 'index.html'}")
