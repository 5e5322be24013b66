"""A report in a few lines of plain text: the one sentence, and the figures under it."""

from __future__ import annotations

from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.measures.estimate import Estimate
from fieldmark.report.evidence import confusions, judged, label_counts, strongest
from fieldmark.report.report import Report
from fieldmark.report.wording import amount, duration, hundredths, in_100, named, points, say, shorten, size, wording

SUMMARY = {
    "single": ("accuracy", "balanced_accuracy", "macro_f1", "ece"),
    "multi": ("map", "micro_f1", "macro_f1", "subset_accuracy", "ece"),
}
FEW = 100  # below this many images, counts are said before shares


def headline(report: Report) -> str:
    """One or two sentences for somebody who never heard of accuracy: how often it is right, with the interval,
    what it is best at and what it most often gets wrong."""
    evaluation = judged(report)
    if evaluation is None:
        return "Nothing was held out, so nobody knows yet how good it is."
    tell = _tell_classes if evaluation.task == "single" else _tell_labels
    return " ".join(part for part in (tell(evaluation), _tell_strength(evaluation)) if part)


def summary_lines(report: Report) -> tuple[tuple[str, str], ...]:
    """(label, figure) for a terminal table; figures with their interval and n, in times in 100."""
    lines: list[tuple[str, str]] = []
    evaluation = judged(report)
    if evaluation is not None:
        chosen = [name for name in SUMMARY[evaluation.task] if name in evaluation.figures]
        lines = [(wording(name).label, _line(name, evaluation.figures[name])) for name in chosen]
    if report.latency_ms is not None:
        median, p95 = report.latency_ms
        lines.append(("Time per image", f"{median:.1f} ms (19 of 20 under {p95:.1f} ms)"))
    return (*lines, ("Size", size(report.size_bytes)), ("Time to train", duration(report.seconds)))


def comparison_lines(report: Report) -> tuple[str, ...]:
    """A combination beside its members, one a line; nothing for a bundle that stands alone."""
    if report.comparison is None:
        return ()
    label = wording(report.comparison.measure).label
    lines = [f"  {label + ' in 100':<22} {'':<14} {'the whole, better by':<22} {'asked':>6}  usual and 99 % time"]
    for row in report.comparison.rows:
        said = say(report.comparison.measure, row.figure)
        value, *ends = points(row.difference) if row.difference else ("",)
        gain = f"{value} ({' to '.join(ends)})" if ends else value
        asked = f"{hundredths(row.needed.value or 0.0)} %"
        usual, slow = row.latency_ms
        figure = f"{said.value} ({said.low}-{said.high})" if said.low else said.value
        lines.append(
            f"  {shorten(row.name, 22):<22} {figure:<14} {gain:<22} {asked:>6}  {usual:.1f} and {slow:.1f} ms"
        )
    return tuple(lines)


def seen_how(evaluation: Evaluation) -> str:
    """What the images were to the model: On 372 images it had never seen."""
    images = amount(evaluation.n, "image")
    match evaluation.part:
        case "test":
            return f"On {images} it had never seen"
        case "out-of-fold":
            return f"On {images}, each judged by a model that had never seen it"
        case "validation":
            return f"On {images} that also helped to choose it"
        case "train":
            return f"On {images} that it had learned from"


def _tell_classes(evaluation: Evaluation) -> str:
    accuracy = evaluation.figures.get("accuracy")
    if accuracy is None or accuracy.value is None:
        return _not_measured(evaluation, accuracy)
    if accuracy.n < FEW:
        return f"{seen_how(evaluation)}, {_tell_counts(accuracy, round(accuracy.value * accuracy.n))}."
    said = in_100(accuracy)
    return f"{seen_how(evaluation)}, it named the right class {said.value} times in 100{_brackets(accuracy)}."


def _tell_counts(accuracy: Estimate, right: int) -> str:
    often = "all of them" if right == accuracy.n else "none of them" if right == 0 else f"{right} of them"
    said = in_100(accuracy)
    outlook = f"; of 100 new ones expect {said.between} right" if said.between else ""
    return f"it named the right class for {often if accuracy.n > 1 else f'{right} of 1'}{outlook}"


def _tell_labels(evaluation: Evaluation) -> str:
    precision, recall = (evaluation.figures.get(name) for name in ("micro_precision", "micro_recall"))
    whole = evaluation.figures.get("subset_accuracy")
    if precision and recall and precision.value is not None and recall.value is not None:
        right, found = in_100(precision), in_100(recall)
        return (
            f"{seen_how(evaluation)}, {right.value} in 100 of the labels it gave were right{_brackets(precision)}, "
            f"and it found {found.value} in 100 of the labels that were there{_brackets(recall)}."
        )
    if whole and whole.value is not None:
        return (
            f"{seen_how(evaluation)}, it got every label right {in_100(whole).value} times in 100{_brackets(whole)}."
        )
    return _not_measured(evaluation, whole)


def _tell_strength(evaluation: Evaluation) -> str:
    best = strongest(evaluation) if len(evaluation.classes) > 2 else None
    wrong = _most_often(evaluation)
    if best and wrong:
        return f"It is best at {named(best.name)}; {wrong}."
    if wrong:
        return f"{wrong[0].upper()}{wrong[1:]}."
    return f"It is best at {named(best.name)}." if best else ""


def _most_often(evaluation: Evaluation) -> str:
    if evaluation.task == "single":
        pairs = confusions(evaluation)
        if not pairs or pairs[0].count < 2:
            return ""
        worst = pairs[0]
        return f"most often it takes {named(worst.truth)} for {named(worst.answer)} ({amount(worst.count, 'time')})"
    labels = label_counts(evaluation)
    if not labels:
        return ""
    missed = max(labels, key=lambda label: label.false_negative)
    added = max(labels, key=lambda label: label.false_positive)
    if max(missed.false_negative, added.false_positive) < 2:
        return ""
    if missed.false_negative >= added.false_positive:
        return f"most often it misses {named(missed.name)} ({amount(missed.false_negative, 'time')})"
    return f"most often it sees {named(added.name)} where there is none ({amount(added.false_positive, 'time')})"


def _not_measured(evaluation: Evaluation, estimate: Estimate | None) -> str:
    why = f": {estimate.why}" if estimate is not None and estimate.why else ""
    return f"{seen_how(evaluation)}, no headline figure could be measured{why}."


def _brackets(estimate: Estimate) -> str:
    said = in_100(estimate)
    return f" ({said.between})" if said.between else ""


def _line(name: str, estimate: Estimate) -> str:
    said = say(name, estimate)
    if not said.value:
        return f"not measured: {estimate.why}" if estimate.why else "not measured"
    unit = " %" if wording(name).share else ""
    interval = f" ({said.low} to {said.high}{unit})" if said.low else ""
    return f"{said.value}{unit}{interval}, n {estimate.n:,}"
