"""The public verb `combine`: bundles in, one bundle out. It reads from top to bottom; each step has its own file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from msgspec.structs import replace
from numpy.typing import NDArray

from fieldmark.bundle.layout import GRAPH, name_of
from fieldmark.bundle.schema import Manifest, Parity
from fieldmark.bundle.writing import seal, staged
from fieldmark.combining.assembling import assemble
from fieldmark.combining.comparing import compare
from fieldmark.combining.describing import Kind, describe
from fieldmark.combining.fitting import Fitted, fit
from fieldmark.combining.fragment import Member
from fieldmark.combining.held_out import HeldOut, held_out
from fieldmark.combining.joint import joint_geometry
from fieldmark.combining.listening import Voice, listen
from fieldmark.combining.proving import prove
from fieldmark.combining.refusing import refuse_what_does_not_fit
from fieldmark.combining.row import COMBINATIONS
from fieldmark.combining.verdict import verdict
from fieldmark.data.dataset import Dataset
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_readable
from fieldmark.data.picture import Pixels
from fieldmark.data.reading import read
from fieldmark.evaluation.plain import figures
from fieldmark.inference.canaries import draw, record
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.timing import latency_ms
from fieldmark.progress import Progress, silent
from fieldmark.report.report import Report
from fieldmark.training.shipping import write_report

WITHIN = 0.005  # of the large member's accuracy, that a cascade may lose
PARITY_IMAGES = 256
TIMED_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Where the bundle lies, and everything that its report says."""

    bundle: Path
    report: Report

    def summary(self) -> dict[str, Any]:
        """What `fieldmark combine --json` prints."""
        report = self.report
        return {
            "bundle": str(self.bundle),
            "method": report.manifest.method,
            "settings": report.manifest.recipe,
            "test": figures(report.test),
            "validation": figures(report.validation),
            "comparison": report.comparison,
            "parity": report.manifest.parity,
            "latency_ms": report.latency_ms,
            "size_bytes": report.size_bytes,
            "seconds": report.seconds,
            "skipped": report.skipped,
            "notes": report.notes,
            "choices": report.manifest.choices,
        }


def combine(
    bundles: Sequence[Classifier | str | Path],
    data: Dataset | str | Path,
    *,
    kind: Kind,
    out: str | Path,
    within: float | None = None,
    thumbnails: bool = True,
    progress: Progress = silent,
) -> Combined:
    """Put `bundles` together into one bundle at `out`, with one graph, and measure it on the test part of `data`.

    `kind` "ensemble": the mean of their calibrated probabilities; "cascade": the first answers, and the second is
    asked where the first is not sure, losing at most `within` (default 0.005) of the second's accuracy. Classes are
    matched by name. What is fitted, is fitted on images that no member learnt from, as far as the bundles tell.

    Raises UsageError for bundles that do not fit together, DataError where no image is left to judge by, BundleError,
    UnknownName, OutputError, and ParityError where the one graph does not answer as its members do apart.
    """
    begun = time.monotonic()
    row, out = COMBINATIONS[kind], Path(out)
    members = [each if isinstance(each, Classifier) else load(each) for each in bundles]
    refuse_what_does_not_fit(kind, row, members, within)
    named = _named(members)
    with staged(out) as folder:
        data = data if isinstance(data, Dataset) else read(data, progress=progress)
        kept = held_out(data, [member.bundle.manifest for member in members])
        geometry, voices, said = _voices(named)
        validation = kept.data.part("validation")
        fitted = fit(row, voices, validation, geometry, within=_or(within, WITHIN), progress=progress)
        parity = _write_graph(folder / GRAPH, voices, fitted, geometry, validation)
        manifest = describe(
            name_of(out), kind, named, kept, geometry, fitted, within=within, said=said, parity=parity
        )
        whole = _sealed(folder, manifest)
        report = _measure(whole, voices, kept, fitted, begun, progress)
        write_report(report, data.root, folder, pictured=thumbnails)
        seal(folder, whole.bundle.manifest)
    return Combined(bundle=out, report=report)


def _or(asked: float | None, default: float) -> float:
    return default if asked is None else asked


def _named(members: Sequence[Classifier]) -> dict[str, Classifier]:
    """By their own names, or where two have the same, by where they lie."""
    own = {member.bundle.manifest.name: member for member in members}
    return own if len(own) == len(members) else {str(member.bundle.path): member for member in members}


def _voices(named: Mapping[str, Classifier]) -> tuple[Geometry, dict[str, Voice], tuple[str, ...]]:
    manifests = [member.bundle.manifest for member in named.values()]
    geometry, inner, said = joint_geometry([*named], [manifest.geometry for manifest in manifests])
    voices = {
        name: Voice(
            classifier=member,
            inner=own,
            order=np.array([manifest.classes.index(each) for each in manifests[0].classes], dtype=np.int64),
        )
        for (name, member), own, manifest in zip(named.items(), inner, manifests)
    }
    return geometry, voices, said


def _write_graph(
    path: Path, voices: Mapping[str, Voice], fitted: Fitted, geometry: Geometry, validation: Dataset
) -> Parity:
    members = [
        Member(
            model=onnx.load(voice.classifier.bundle.graph),
            side_px=geometry.size_px,
            inner=voice.inner,
            decision=voice.classifier.bundle.manifest.decision,
            order=voice.order,
        )
        for voice in voices.values()
    ]
    sizes = [voice.classifier.bundle.manifest.embedding_size for voice in voices.values()]
    path.write_bytes(assemble(members, fitted.rule, validation.task, embedding_sizes=sizes))
    return prove(path, [*voices.values()], fitted.rule, _some_pixels(validation, geometry), validation.task)


def _some_pixels(data: Dataset, geometry: Geometry) -> Pixels:
    return load_readable((data.path(row) for row in _spread(len(data), PARITY_IMAGES)), geometry)[0]


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of `count` rows, from first to last."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _sealed(folder: Path, manifest: Manifest) -> Classifier:
    """The staged bundle, with its canaries drawn and their answers recorded."""
    pictures = draw(folder, manifest.geometry)
    seal(folder, manifest)
    seal(folder, replace(manifest, canaries=record(load(folder), pictures)))
    return load(folder)


def _measure(
    whole: Classifier, voices: Mapping[str, Voice], kept: HeldOut, fitted: Fitted, begun: float, progress: Progress
) -> Report:
    manifest, test = whole.bundle.manifest, kept.data.part("test")
    said, _ = listen([*voices.values()], test, manifest.geometry, progress, stage="asking about the test part")
    members = {name: voice.classifier for name, voice in voices.items()}
    evaluation, comparison = compare(whole, members, test, fitted.rule.needed(said), progress)
    return Report(
        manifest=manifest,
        test=evaluation,
        validation=fitted.validation,
        epochs=(),
        best_epoch=None,
        score_name="",
        latency_ms=latency_ms(whole, [test.path(row) for row in _spread(len(test), TIMED_IMAGES)]),
        size_bytes=whole.bundle.graph.stat().st_size,
        seconds=round(time.monotonic() - begun, 1),
        skipped=tuple((s.file, f"{s.unreadable.reason}: {s.unreadable.detail}") for s in kept.data.skipped),
        notes=(*kept.data.notes, *kept.notes, *verdict(manifest.method, comparison)),
        comparison=comparison,
    )
