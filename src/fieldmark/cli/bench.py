"""`fieldmark bench BUNDLE [SOURCE...]`: where does the time go, on this machine?"""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import click
import msgspec

from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.cli.console import json_option, show_notes, write_json
from fieldmark.cli.execution_options import execution_options
from fieldmark.cli.sources import find_sources
from fieldmark.cores import available_cores
from fieldmark.errors import DataError, UsageError
from fieldmark.inference.autotuning import ENOUGH_IMAGES, Choice, choose
from fieldmark.inference.bench import Latency, Rates, Spread, latency, rates, sample_of, spread
from fieldmark.inference.classifier import ready
from fieldmark.inference.execution import for_one
from fieldmark.inference.fresh_process import predict_afresh
from fieldmark.inference.variants import on_this_machine

STARTS = 3
FOLDER_IMAGES = 200  # predicted by a fresh process, to see how much memory it takes
# What each part may take of the time that is given; the rest goes to what warms up.
_RATES_SHARE, _LATENCY_SHARE = 0.5, 0.15
_ROWS = {
    "decode": "decode alone",
    "decode_and_geometry": "decode and geometry",
    "inference": "inference alone",
    "together": "all together",
}


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """All that `fieldmark bench` found; `images` different ones were used, over and over."""

    images: int
    source: str
    cores: int
    choice: Choice
    images_per_s: Rates
    latency: Latency
    process_s: Spread  # from start to end of a process that answers one image
    peak_mb: float | None


@click.command("bench", short_help="Where the time goes when a bundle answers on this machine")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5, max=3600),
    default=10.0,
    show_default=True,
    help="About how long to measure; starting processes comes on top.",
)
@execution_options
@json_option
def command(
    bundle: Path, sources: tuple[str, ...], seconds: float, runner: str | None, threads: int | None, as_json: bool
) -> None:
    """Measure BUNDLE on the images in SOURCES (without any: on the pictures that travel inside it): how many images
    a second decoding, inference and both together reach; what one image takes, step by step; what a process takes to
    start, and how much memory."""
    opened = on_this_machine(open_bundle(bundle), runner=runner)
    show_notes(opened.notes)
    result = _bench(opened, sources, seconds, runner, threads)
    if as_json:
        write_json(result)
    else:
        _show(result)


def _bench(
    bundle: Bundle, sources: tuple[str, ...], seconds: float, runner: str | None, threads: int | None
) -> Bench:
    paths = _paths(bundle, sources)
    size_px = bundle.manifest.geometry.size_px
    choice = choose(bundle, list(islice(cycle(paths), ENOUGH_IMAGES)), threads=threads)
    classifier = ready(bundle, choice.execution)
    sample = sample_of(iter(paths), classifier)
    # One image at a time is answered as `predict` answers one: with all cores for each run.
    cores = threads or available_cores()
    alone = ready(bundle, for_one(cores, size_px, choice.execution.runner))
    options = [*(["--runner", runner] if runner else []), *(["--threads", str(threads)] if threads else [])]
    starts = [predict_afresh(bundle.path, list(sample)[:1], *options) for _ in range(STARTS)]
    folder = predict_afresh(bundle.path, list(islice(cycle(sample), FOLDER_IMAGES)), *options)
    return Bench(
        images=len(sample),
        source="the images given" if sources else "the bundle's canaries; your own images may take longer to decode",
        cores=cores,
        choice=choice,
        images_per_s=rates(classifier, sample, seconds=_RATES_SHARE * seconds),
        latency=latency(alone, list(sample.values()), seconds=_LATENCY_SHARE * seconds),
        process_s=spread([start.took_s for start in starts]),
        peak_mb=folder.peak_mb,
    )


def _paths(bundle: Bundle, sources: tuple[str, ...]) -> list[Path]:
    """The first images of the sources, or the bundle's canaries."""
    if not sources:
        if not bundle.manifest.canaries:
            raise UsageError(
                "this bundle has no canaries to measure with",
                where=str(bundle.path),
                do="give images: fieldmark bench BUNDLE FOLDER",
            )
        return [bundle.path / canary.file for canary in bundle.manifest.canaries]
    found = find_sources(sources)
    if isinstance(found.alone, bytes):
        raise UsageError("an image on standard input is not enough", where="-", do="give files or a folder")
    paths = list(islice(found.paths(), ENOUGH_IMAGES))
    if not paths:
        raise DataError("no image was found", where=" ".join(sources), do="name a folder that holds images")
    return paths


def _show(result: Bench) -> None:
    click.secho(f"{result.images} images ({result.source})", bold=True)
    click.echo(f"run by {result.choice}")
    rounds = result.images_per_s.together.n
    click.secho(f"  {'':<22} {'images/s':>9}   lowest and highest of {rounds} rounds", dim=True)
    for name, label in _ROWS.items():
        found = getattr(result.images_per_s, name)
        click.echo(f"  {label:<22} {found.median:>9.1f}   {found.low:.1f} to {found.high:.1f}")
    one = result.latency
    click.echo(f"one image, bytes to answer: p50 {one.p50_ms:.2f} ms, p99 {one.p99_ms:.2f} ms (n = {one.n})")
    click.echo(
        f"  of this: decode {one.decode_ms:.2f} ms, geometry {one.geometry_ms:.2f} ms, "
        f"runner {one.runner_ms:.2f} ms, everything else {one.rest_ms:.2f} ms (medians)"
    )
    process = result.process_s
    click.echo(
        f"a process for one image, from start to end: {process.median:.2f} s "
        f"({process.low:.2f} to {process.high:.2f}, n = {process.n})"
    )
    if result.peak_mb is not None:
        click.echo(f"most memory of a process that predicts {FOLDER_IMAGES} images: {result.peak_mb:.0f} MB")
