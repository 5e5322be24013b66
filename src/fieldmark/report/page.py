"""A report as one HTML file: no script, no network, no fonts, at most MOST_BYTES whatever the data."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.measures.estimate import Estimate
from fieldmark.report import charts, heat, tradeoff, wording
from fieldmark.report.advice import hints
from fieldmark.report.evidence import confusions, judged, label_counts, worst_first
from fieldmark.report.origin import built, proven_by, reproduce, terms
from fieldmark.report.report import Report
from fieldmark.report.sheet import Sheet
from fieldmark.report.terminal import SUMMARY, headline

MOST_BYTES = 3_000_000
MOST_THUMBNAIL_BYTES = 16_000  # of one picture; a 96 px WebP is 2 to 4 kB
MISTAKES = "Wrong, and sure of it. Where the label is wrong instead, correct it: mistakes of people gather here."
HITS = "Right, but only just. More images like these would help."
CLASS_FIGURES = ("precision", "recall", "f1", "auroc", "average_precision")
SIGNATURES = {b"\xff\xd8": "jpeg", b"RIFF": "webp", b"\x89PNG": "png"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a report goes on the page; what is left out is said there, and is in report.json."""

    classes: int
    cases: int
    views: int  # images of the contact sheet
    lines: int  # of confusions, skipped files and notes
    characters: int  # of one name


# The first that fits is taken. The last fits anything: every list and every text in it is cut.
LIMITS = (
    Limits(classes=1000, cases=24, views=6, lines=30, characters=120),
    Limits(classes=1000, cases=12, views=3, lines=30, characters=60),
    Limits(classes=200, cases=12, views=2, lines=20, characters=60),
)


def render(report: Report, thumbnails: Mapping[str, bytes], sheet: Sheet | None = None) -> str:
    """`thumbnails`: file -> WebP, JPEG or PNG bytes; a file without one is shown by its name. `sheet`: training
    images and their views. Every text is escaped; the same report and pictures give the same bytes."""
    for limits in LIMITS[:-1]:
        html = _draw(report, thumbnails, sheet, limits)
        if len(html.encode()) <= MOST_BYTES:
            return html
    return _draw(report, thumbnails, sheet, LIMITS[-1])


def _draw(report: Report, thumbnails: Mapping[str, bytes], sheet: Sheet | None, limits: Limits) -> str:
    evaluation = judged(report)
    train = report.manifest.data.parts.get("train")
    view = {"tiles": []} if evaluation is None else _evaluated(evaluation, thumbnails, limits)
    return drawn(
        "page.html",
        **view,
        report=report,
        manifest=report.manifest,
        evaluation=evaluation,
        limits=limits,
        headline=headline(report),
        selection=report.selection,
        tradeoff=tradeoff.tradeoff(report.selection) if report.selection else None,
        hints=hints(report),
        sheet=sheet,
        curves=charts.training_curves(report.epochs, report.best_epoch, report.score_name),
        skipped=_skipped(report, evaluation),
        notes=_notes(report, evaluation),
        command=reproduce(report.manifest, chosen=report.selection is not None),
        built=built(report.manifest),
        terms=terms(report.manifest),
        proven=proven_by(report.manifest),
        learnt=train.per_class if train else None,
        epochs_shown=charts.MOST_POINTS,
    )


def drawn(template: str, **values: Any) -> str:
    """One of this folder's templates as a whole page: styled, escaped, and forbidden to load anything."""
    style = _text("page.css")
    return (
        _environment()
        .get_template(template)
        .render(
            values,
            style=Markup(style),
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        )
    )


def _evaluated(evaluation: Evaluation, thumbnails: Mapping[str, bytes], limits: Limits) -> dict[str, Any]:
    return {
        "tiles": [name for name in SUMMARY[evaluation.task] if name in evaluation.figures],
        "classes": worst_first(evaluation)[: limits.classes],
        "class_figures": [name for name in CLASS_FIGURES if any(name in of.figures for of in evaluation.per_class)],
        "matrix": heat.table(evaluation),
        "picture": Markup(heat.picture(evaluation)),
        "confusions": confusions(evaluation),
        "label_counts": label_counts(evaluation),
        "bars": charts.reliability(evaluation.reliability),
        "strips": [
            (title, lead, [(case, _data_uri(thumbnails.get(case.file, b""))) for case in cases[:most]], len(cases))
            for title, lead, cases, most in (
                ("Most confident mistakes", MISTAKES, evaluation.mistakes, limits.cases),
                ("Least certain hits", HITS, evaluation.hits, limits.cases // 2),
            )
        ],
    }


def _data_uri(encoded: bytes) -> Markup:
    kinds = [kind for signature, kind in SIGNATURES.items() if encoded.startswith(signature)]
    if not kinds or len(encoded) > MOST_THUMBNAIL_BYTES:
        return Markup("")
    return Markup(f"data:image/{kinds[0]};base64,{base64.b64encode(encoded).decode()}")


def _skipped(report: Report, evaluation: Evaluation | None) -> list[tuple[str, str]]:
    judged_too = evaluation.skipped if evaluation is not None else ()
    return list(dict([*report.skipped, *judged_too]).items())


def _notes(report: Report, evaluation: Evaluation | None) -> list[str]:
    return list(dict.fromkeys([*report.notes, *(evaluation.notes if evaluation is not None else ())]))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters |= {
        "amount": wording.amount,
        "data_uri": _data_uri,
        "duration": wording.duration,
        "hundredths": wording.hundredths,
        "points": _points,
        "shorten": wording.shorten,
        "size": wording.size,
    }
    environment.globals |= {"wording": wording.wording, "say": wording.say, "whisker": _whisker}
    environment.globals |= {"TRADE_WIDTH": tradeoff.WIDTH, "TRADE_HEIGHT": tradeoff.HEIGHT}
    environment.globals |= {"SIDE": charts.SIDE, "WIDTH": charts.WIDTH, "HEIGHT": charts.HEIGHT}
    return environment


def _clean(value: Any) -> Any:
    # Plain strings only: what a template or a macro made is Markup, a subclass.
    return wording.printable(value) if type(value) is str else value


def _points(difference: Estimate) -> Markup:
    """A difference in points of 100, its sign always shown."""
    value, *interval = wording.points(difference)
    return Markup("{}<small>{}</small>").format(value, " to ".join(interval))


def _whisker(estimate: Estimate) -> tuple[float, float, float] | None:
    """(low, width, value) in per cent of a line, for a share that has an interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None or estimate.high > 1:
        return None
    low, high, value = (round(100 * part, 1) for part in (estimate.low, estimate.high, estimate.value))
    return low, max(round(high - low, 1), 1.0), min(max(value, 1.0), 99.0)


def _text(name: str) -> str:
    return resources.files("fieldmark.report").joinpath(name).read_text(encoding="utf-8")
