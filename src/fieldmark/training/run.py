"""The public verb `train`: a dataset in, a bundle out. It reads from top to bottom; each step has its own file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from fieldmark.bundle.layout import REPORT, name_of
from fieldmark.bundle.writing import staged
from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_many
from fieldmark.data.reading import read
from fieldmark.data.splits import refuse_one_class
from fieldmark.errors import UsageError
from fieldmark.evaluation.plain import figures
from fieldmark.memory import keep_freed_memory
from fieldmark.progress import Progress, silent
from fieldmark.ranks import rank
from fieldmark.report.document import parse
from fieldmark.report.report import Report
from fieldmark.training import together
from fieldmark.training.affording import afforded
from fieldmark.training.cache import cache_pixels
from fieldmark.training.cache_folder import parse_size
from fieldmark.training.choosing import Choice, choose, parse_duration
from fieldmark.training.dividing import divide
from fieldmark.training.doubting import doubt
from fieldmark.training.end_to_end import learn_end_to_end
from fieldmark.training.job import Job
from fieldmark.training.probe import learn_by_probe
from fieldmark.training.recipe import Recipe
from fieldmark.training.shipping import Wishes, ship
from fieldmark.training.suspects import beside, write_suspects

ASKED = "recipe.json"
LEARN = {"probe": learn_by_probe, "network": learn_end_to_end}
# What a budget keeps back for export, parity, evaluation and report: a fixed part, a share, and reading the test
# images a second time, from their files.
RESERVE_S, RESERVE_SHARE = 5.0, 0.02
READ_TO_JUDGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Where the bundle lies, and everything that its report says."""

    bundle: Path
    report: Report

    def summary(self) -> dict[str, Any]:
        """What `fieldmark train --json` prints; "test" holds the figures of images that were held out."""
        report = self.report
        return {
            "bundle": str(self.bundle),
            "model": report.manifest.model,
            "head": report.manifest.head,
            "method": report.manifest.method,
            "test": figures(report.test),
            "validation": figures(report.validation),
            "parity": report.manifest.parity,
            "latency_ms": report.latency_ms,
            "size_bytes": report.size_bytes,
            "seconds": report.seconds,
            "skipped": report.skipped,
            "notes": report.notes,
            "choices": report.manifest.choices,
            "selection": report.selection,
        }


def train(
    data: Dataset | str | Path,
    *,
    out: str | Path | None = None,
    recipe: Recipe | None = None,
    canaries: Literal["generated", "data"] = "generated",
    thumbnails: bool = True,
    resume: bool = False,
    cache_size: str = "auto",
    begun: float | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train a classifier on `data` (a Dataset, or a path for `read`) and write it to `out` as a bundle.

    `out` defaults to the data's name with `.fieldmark`, in the working folder; a bundle that is there already is
    replaced when the new one is whole. `canaries="data"` puts a few validation photos into the bundle. `resume`
    goes on from the checkpoint that an interrupted run left in `OUT.run/`. With the recipe's `noisy` the images whose
    label looks wrong are listed in `suspects.csv` beside the bundle, after the bundle's name. `cache_size` ("20GB",
    "0" for none) bounds the folder in which decoded images are kept for all runs; the bundle does not depend on it.
    `begun` is when the command began, in seconds of time.monotonic, where that was before this call: a budget counts
    from there.

    Started by torchrun, each process calls this alike and shares the training; the first one alone writes.

    Raises DataError, UsageError, UnknownName, WeightsError, OutputError, Interrupted, and ParityError where the
    exported graph does not answer as the network does. Nothing is written unless everything is.
    """
    begun = time.monotonic() if begun is None else begun
    recipe = recipe or Recipe()
    parse_size(cache_size)  # refused before any work
    keep_freed_memory()
    if recipe.threads != "auto":
        torch.set_num_threads(int(recipe.threads))
    data = data if isinstance(data, Dataset) else read(data, progress=progress)
    refuse_one_class(data)
    out = Path(out) if out is not None else Path(data.root.resolve().name + ".fieldmark")
    choice = choose(recipe, data)
    together.meet()
    with _places(out, recipe, resume=resume) as (folder, run_folder):
        job = prepare(
            data, choice, recipe, run_folder, begun=begun, resume=resume, cache_size=cache_size, progress=progress
        )
        if recipe.noisy == "yes":
            job = doubt(job)
        job = afforded(job)
        learned = LEARN[choice.method](job)
        wishes = Wishes(name=name_of(out), canaries=canaries, thumbnails=thumbnails)
        report = ship(job, learned, folder, wishes, begun=begun) if rank() == 0 else None
        if rank() == 0:
            write_suspects(job, beside(out))
    return Trained(bundle=out, report=report or _written(out / REPORT / "report.json"))


def prepare(
    data: Dataset,
    choice: Choice,
    recipe: Recipe,
    run_folder: Path,
    *,
    begun: float,
    resume: bool,
    progress: Progress,
    cache_size: str = "auto",
) -> Job:
    """Pixels read, rows divided, deadline known: all that learning needs."""
    with together.main_first():
        cached = cache_pixels(data, choice.geometry, size=cache_size, progress=progress)
    parts = divide(cached.data, choice, recipe)
    return Job(
        data=parts.data,
        pixels=cached.pixels,
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        fold=parts.fold,
        split=parts.split,
        choice=choice,
        recipe=recipe,
        run_folder=run_folder,
        resume=resume,
        deadline=_deadline(recipe, begun, parts.data.rows(parts.test), choice.geometry),
        progress=progress,
    )


def _written(report: Path) -> Report:
    """What the main process has written, for the others."""
    return parse(report.read_bytes(), where=str(report))


def _deadline(recipe: Recipe, begun: float, test: Dataset, geometry: Geometry) -> float | None:
    budget_s = parse_duration(recipe.budget)
    if budget_s is None:
        return None
    return begun + budget_s * (1 - RESERVE_SHARE) - RESERVE_S - 2 * _reading_s(test, geometry)


def _reading_s(data: Dataset, geometry: Geometry) -> float:
    """Seconds to read these images from their files, judged by READ_TO_JUDGE of them: that they are in the cache says
    nothing of it."""
    some = np.linspace(0, len(data) - 1, min(len(data), READ_TO_JUDGE)).astype(np.int64)
    begun = time.monotonic()
    for _ in load_many([data.path(row) for row in some], geometry):
        pass
    return (time.monotonic() - begun) * len(data) / max(1, len(some))


@contextmanager
def _places(out: Path, recipe: Recipe, *, resume: bool) -> Iterator[tuple[Path, Path]]:
    """The bundle in the making and the run folder. The main process makes them, and moves the bundle into place;
    the others wait for both."""
    if rank():
        together.wait()
        yield out, run_folder_of(out)
        together.wait()
        return
    with staged(out) as folder, running(out, recipe, resume=resume) as run_folder:
        together.wait()
        yield folder, run_folder
    together.wait()


def run_folder_of(out: Path) -> Path:
    """Where the run that makes `out` keeps what it needs to go on."""
    return out.with_name(out.name + ".run")


@contextmanager
def running(out: Path, settings: msgspec.Struct, *, resume: bool) -> Iterator[Path]:
    """The folder beside `out` that holds what an interrupted run of these settings needs to go on; gone when the
    bundle is there.

    After an error it stays only if it holds a checkpoint, its own or that of a run inside.
    """
    folder = run_folder_of(out)
    asked = folder / ASKED
    if resume:
        _refuse_other_settings(asked, settings)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        asked.write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
    try:
        yield folder
    except BaseException:
        if not any(folder.rglob("checkpoint*")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder)


def _refuse_other_settings(asked: Path, settings: msgspec.Struct) -> None:
    if not asked.is_file():
        raise UsageError(
            "there is no interrupted run to go on with",
            where=str(asked.parent),
            do="leave out --resume to start anew",
        )
    before = msgspec.json.decode(asked.read_bytes())
    now = msgspec.json.decode(msgspec.json.encode(settings))
    changed = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if changed:
        raise UsageError(
            "a run goes on with the settings that it began with",
            where=f"{changed[0]} = {now.get(changed[0])}, and was {before.get(changed[0])}",
            do="give the same settings as before, or leave out --resume to start anew",
        )
