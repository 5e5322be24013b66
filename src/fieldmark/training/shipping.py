"""From a network that has learned to a bundle that is sealed: export, parity, calibration, canaries, measures.

Everything that the report says is measured here on the exported graph, run by the light predictor.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

import fieldmark
from fieldmark.bundle.layout import CANARIES, CARD, GRAPH, WEIGHTS
from fieldmark.bundle.layout import REPORT as REPORT_FOLDER
from fieldmark.bundle.schema import Data, Decision, Manifest, Part
from fieldmark.bundle.writing import seal
from fieldmark.data.dataset import Dataset
from fieldmark.data.fingerprint import fingerprint
from fieldmark.evaluation.evaluate import evaluate
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.summarise import summarise
from fieldmark.exporters.onnx import export
from fieldmark.exporters.parity import compare
from fieldmark.exporters.weights import save_weights
from fieldmark.inference.canaries import draw, record
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.deciding import calibration_in_words, fit_decision, probabilities, weights_for
from fieldmark.inference.runner import open_graph
from fieldmark.inference.timing import latency_ms
from fieldmark.report.card import model_card
from fieldmark.report.document import render_json
from fieldmark.report.page import render
from fieldmark.report.report import Report
from fieldmark.report.selection import Selection
from fieldmark.report.sheet import Sheet
from fieldmark.report.thumbnails import thumbnails
from fieldmark.training.contact_sheet import contact_sheet
from fieldmark.training.job import Job, Learned, Rows
from fieldmark.training.logbook import LOG
from fieldmark.training.pixels import PixelSource, in_batches
from fieldmark.training.recipe import Recipe

PARITY_IMAGES = 256  # enough to see a wrong graph; more would only cost time
TIMED_IMAGES = 16
DATA_CANARIES = 4
RUN_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person said about the bundle itself."""

    name: str
    canaries: Literal["generated", "data"]
    thumbnails: bool


def ship(
    job: Job,
    learned: Learned,
    folder: Path,
    wishes: Wishes,
    *,
    begun: float,
    selection: Selection | None = None,
) -> Report:
    """Write the whole bundle into `folder` and seal it; the report is what it says of itself.

    `begun` is when the command began, in seconds of time.monotonic; `selection` how the model was chosen among
    several, if it was. Raises ParityError before anything is measured.
    """
    job.progress("exporting", 0, 1)
    network = learned.network.eval()
    export(network, job.choice.geometry.size_px, folder / GRAPH)
    save_weights(network, folder / WEIGHTS)
    parity = compare(
        network, folder / GRAPH, job.pixels[evenly_spread(job.judged, PARITY_IMAGES)], task=job.data.task
    )
    job.progress("exporting", 1, 1, f"agreement {parity.agreement:.0%} on {parity.n} images")

    logits, decision, how = _calibrated(job, learned, folder / GRAPH)
    manifest = Manifest(
        name=wishes.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=job.data.task,
        classes=job.data.classes,
        geometry=job.choice.geometry,
        decision=decision,
        model=job.choice.model,
        head=job.choice.head,
        method=job.choice.method,
        embedding_size=network.encoder.embedding_size,
        parameters=sum(tensor.numel() for tensor in network.state_dict().values()),
        weights=learned.weights,
        asked=_asked(job.recipe) if selection is None else dict(selection.asked),
        recipe=_resolved(job, learned),
        choices=(*job.choice.reasons, *learned.reasons, *how),
        data=_data(job),
        parity=parity,
        canaries=(),
        versions=versions(),
        parents=learned.parents,
    )
    pictures = draw(folder, job.choice.geometry) + _own_photos(job, folder, wishes)
    seal(folder, manifest)
    manifest = msgspec.structs.replace(manifest, canaries=record(load(folder), pictures))
    seal(folder, manifest)
    report = _measure(load(folder), job, learned, logits, begun, selection)
    sheet = contact_sheet(job, learned.plan) if wishes.thumbnails and learned.plan is not None else None
    write_report(report, job.data.root, folder, pictured=wishes.thumbnails, sheet=sheet)
    if (job.run_folder / LOG).is_file():
        shutil.copyfile(job.run_folder / LOG, folder / REPORT_FOLDER / LOG)
    seal(folder, manifest)
    return report


def _calibrated(job: Job, learned: Learned, graph: Path) -> tuple[NDArray[np.float32], Decision, tuple[str, ...]]:
    """Logits of images that the model did not learn from, what they make of its answers, and how, in words."""
    if job.fold is not None and learned.out_of_fold is not None:
        logits = learned.out_of_fold[job.fold >= 0]
    else:
        logits = graph_logits(graph, job.pixels, job.judged)
    targets = job.data.targets[job.judged]
    decision = fit_decision(logits, targets, job.data.task, weights_for(learned.prior, targets, job.data.task))
    return logits, decision, calibration_in_words(targets) if job.data.task == "multi" else ()


def _measure(
    classifier: Classifier,
    job: Job,
    learned: Learned,
    logits: NDArray[np.float32],
    begun: float,
    selection: Selection | None,
) -> Report:
    test: Evaluation | None
    if job.fold is not None:
        pooled = _out_of_fold(job, learned, logits, job.fold[job.fold >= 0])
        test, validation = (_test(classifier, job), pooled) if len(job.test) else (pooled, None)
    else:
        test = _test(classifier, job) if len(job.test) else None
        validation = _summary(job, logits, classifier.bundle.manifest.decision)
    timed = [job.data.path(row) for row in evenly_spread(job.train, TIMED_IMAGES)]
    latency, size = latency_ms(classifier, timed), classifier.bundle.graph.stat().st_size
    over = selection.over_again(latency[0], size) if selection else ()
    return Report(
        manifest=classifier.bundle.manifest,
        test=test,
        validation=validation,
        epochs=learned.epochs,
        best_epoch=learned.best_epoch,
        score_name=learned.score_name,
        latency_ms=latency,
        size_bytes=size,
        seconds=round(time.monotonic() - begun, 1),
        skipped=tuple((s.file, f"{s.unreadable.reason}: {s.unreadable.detail}") for s in job.data.skipped),
        notes=(*job.data.notes, *learned.notes, *over),
        selection=selection,
    )


def _test(classifier: Classifier, job: Job) -> Evaluation:
    return evaluate(classifier, job.data.rows(job.test), part="test", progress=job.progress)


def _summary(job: Job, logits: NDArray[np.float32], decision: Decision) -> Evaluation:
    return summarise(
        job.data.targets[job.validation],
        probabilities(logits, decision, job.data.task),
        task=job.data.task,
        classes=job.data.classes,
        thresholds=decision.thresholds,
        files=job.data.files[job.validation].tolist(),
        part="validation",
    )


def _out_of_fold(job: Job, learned: Learned, logits: NDArray[np.float32], fold: Rows) -> Evaluation:
    """Pooled answers of the fold models. Each fold's temperature and thresholds come from the other folds, so that
    calibration and decision, too, are judged on images that had no say in them."""
    targets = job.data.targets[job.judged]
    calibrated, thresholds = np.zeros((2, *logits.shape), dtype=np.float64)
    for name in np.unique(fold):
        others = fold != name
        weights = weights_for(learned.prior, targets[others], job.data.task)
        decision = fit_decision(logits[others], targets[others], job.data.task, weights)
        thresholds[~others] = 0.0 if decision.thresholds is None else decision.thresholds
        calibrated[~others] = probabilities(logits[~others], decision, job.data.task)
    return summarise(
        targets,
        calibrated,
        task=job.data.task,
        classes=job.data.classes,
        thresholds=thresholds,
        files=job.data.files[job.judged].tolist(),
        part="out-of-fold",
    )


def graph_logits(graph: Path, pixels: PixelSource, rows: Rows) -> NDArray[np.float32]:
    """Logits float32 [len(rows), C] of the exported graph."""
    runner = open_graph(graph)
    return np.concatenate([runner.run(some)[1] for _, some in in_batches(pixels, rows, RUN_BATCH)])


def evenly_spread(rows: Rows, count: int) -> Rows:
    """Up to `count` of the rows, evenly spread, so that every class has a chance to be among them."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _own_photos(job: Job, folder: Path, wishes: Wishes) -> tuple[str, ...]:
    if wishes.canaries == "generated":
        return ()
    names = []
    for number, row in enumerate(evenly_spread(job.judged, DATA_CANARIES)):
        name = f"{CANARIES}/photo-{number}{Path(str(job.data.files[row])).suffix.lower()}"
        shutil.copyfile(job.data.path(row), folder / name)
        names.append(name)
    return tuple(names)


def write_report(report: Report, root: Path, folder: Path, *, pictured: bool, sheet: Sheet | None = None) -> None:
    """Page, JSON and card into the bundle's `folder`; `pictured`: with thumbnails of images under `root`."""
    shown = [evaluation for evaluation in (report.test, report.validation) if evaluation is not None][:1]
    cases = [case.file for evaluation in shown for case in (*evaluation.mistakes, *evaluation.hits)]
    pictures = thumbnails(root, cases) if pictured else {}
    (folder / REPORT_FOLDER).mkdir(exist_ok=True)
    (folder / REPORT_FOLDER / "index.html").write_text(render(report, pictures, sheet), encoding="utf-8")
    (folder / REPORT_FOLDER / "report.json").write_text(render_json(report), encoding="utf-8")
    (folder / CARD).write_text(model_card(report), encoding="utf-8")


def _resolved(job: Job, learned: Learned) -> dict[str, Any]:
    """The recipe as it was run: what was asked, with every "auto" replaced by what it became."""
    asked = msgspec.to_builtins(job.recipe)
    choice = job.choice
    ours = {
        "model": choice.model,
        "head": choice.head,
        "method": choice.method,
        "weights": learned.weights.source,
        "size": choice.geometry.size_px,
        "fit": choice.geometry.fit,
        "folds": choice.folds,
        "threads": torch.get_num_threads(),
        "split": ",".join(f"{share:.12g}" for share in choice.shares),
    }
    if job.noise is not None:
        ours["label_noise"] = msgspec.to_builtins(job.noise)
    # What is still "auto" belongs to the other method and had no part in this run.
    return {name: value for name, value in {**asked, **ours, **learned.settings}.items() if value != "auto"}


def _asked(recipe: Recipe) -> dict[str, Any]:
    given, default = msgspec.to_builtins(recipe), msgspec.to_builtins(Recipe())
    return {name: value for name, value in given.items() if value != default[name]}


def _data(job: Job) -> Data:
    return described(job.data, {"train": job.train, "validation": job.validation, "test": job.test}, job.split)


def described(data: Dataset, parts: Mapping[str, Rows], split: str) -> Data:
    """What a bundle says of the data that it was made from; `split` is in words."""
    return Data(
        fingerprint=fingerprint(data),
        parts={name: _part(data.rows(rows)) for name, rows in parts.items() if len(rows)},
        skipped=len(data.skipped),
        split=split,
    )


def _part(data: Dataset) -> Part:
    return Part(n=len(data), per_class=dict(zip(data.classes, data.counts.tolist())))


def versions() -> dict[str, str]:
    """Of this package and of what it makes bundles with."""
    names = ("numpy", "pillow", "onnxruntime", "torch", "timm", "scikit-learn", "accelerate")
    return {"fieldmark": fieldmark.__version__, **{name: version(name) for name in names}}
