"""What to do next, drawn from the figures: the most telling first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldmark.evaluation.evaluation import ClassFigures, Evaluation
from fieldmark.report.evidence import confusions, judged, weakest
from fieldmark.report.report import Report
from fieldmark.report.wording import amount, hundredths, named

WIDE = 0.08  # an interval wider than this hides differences that people act on
FEW_TO_LEARN_FROM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What to do, and the evidence for it."""

    do: str
    because: str


def hints(report: Report, most: int = 3) -> tuple[Hint, ...]:
    """The `most` first hints of: no test part, too few test images, absent classes, the worst confusion, the
    weakest class, files left out, stated certainty that is off; where there is little of that, what to try then."""
    found = list(_seen(report, judged(report)))
    if len(found) < 2:
        found.append(
            Hint(
                do="Try it on images from somewhere else.",
                because="Another day, camera or place is the next honest test: figures hold for images like these.",
            )
        )
    return tuple(found[:most])


def _seen(report: Report, evaluation: Evaluation | None) -> Iterator[Hint]:
    if report.test is None:
        yield _hold_out(flattered=evaluation is not None)
    if evaluation is None:
        return
    yield from _few_images(evaluation)
    yield from _absent(evaluation)
    yield from _confused(evaluation)
    yield from _weak(report, evaluation)
    yield from _left_out(report, evaluation)
    yield from _uncalibrated(evaluation)


def _hold_out(flattered: bool) -> Hint:
    flattery = "These figures come from images that helped to choose the model, so they flatter it."
    unknown = "Without them nobody knows how good it is."
    return Hint(
        do="Hold out some images.",
        because=f"{flattery if flattered else unknown} Put images that it never sees into a test folder, or use "
        "--folds 5 if there are few.",
    )


def _few_images(evaluation: Evaluation) -> Iterator[Hint]:
    whole = evaluation.figures.get("accuracy") or evaluation.figures.get("subset_accuracy")
    if whole is None or whole.low is None or whole.high is None or whole.high - whole.low <= WIDE:
        return
    width = hundredths(whole.high - whole.low)
    more = f"About {4 * whole.n:,} would halve it." if whole.n >= 25 else "A hundred would say much more."
    yield Hint(
        do="Test on more images.",
        because=f"The interval is {width} points wide because only {amount(whole.n, 'image')} "
        f"{'was' if whole.n == 1 else 'were'} judged. {more}",
    )


def _absent(evaluation: Evaluation) -> Iterator[Hint]:
    if not evaluation.absent:
        return
    names = ", ".join(named(name) for name in evaluation.absent[:3])
    more = f" and {len(evaluation.absent) - 3:,} more" if len(evaluation.absent) > 3 else ""
    yield Hint(
        do=f"Add images of {names}{more} to the test part.",
        because="There was none, so nobody knows how well they are recognised.",
    )


def _confused(evaluation: Evaluation) -> Iterator[Hint]:
    pairs = confusions(evaluation)
    if not pairs or pairs[0].count < 2:
        return
    worst = pairs[0]
    back = next((pair.count for pair in pairs if (pair.truth, pair.answer) == (worst.answer, worst.truth)), 0)
    other_way = f", and {back:,} the other way round" if back else ""
    yield Hint(
        do=f"Look at {named(worst.truth)} beside {named(worst.answer)}.",
        because=f"{worst.count:,} of {amount(worst.of, 'image')} of {named(worst.truth)} were taken for "
        f"{named(worst.answer)}{other_way}. Are some labels wrong? Could a person tell them apart? If so, more "
        "images of both help most.",
    )


def _weak(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    weak = weakest(evaluation)
    pairs = confusions(evaluation)
    if weak is None or (pairs and weak.name in (pairs[0].truth, pairs[0].answer)):
        return  # the worst confusion has said it
    recall, precision = (_value(weak, name) for name in ("recall", "precision"))
    if recall is None:
        return
    part = report.manifest.data.parts.get("train")
    learnt = part.per_class.get(weak.name) if part else None
    few = f" It learnt from only {amount(learnt, 'image')} of it." if learnt and learnt < FEW_TO_LEARN_FROM else ""
    if precision is not None and precision < recall:
        do = f"Collect images that are easily taken for {named(weak.name)}."
        because = f"It is the weakest: when it is the answer, that is right {hundredths(precision)} times in 100."
    else:
        do = f"Collect more images of {named(weak.name)}."
        because = f"It is the weakest: {hundredths(recall)} in 100 are found ({amount(weak.n, 'image')} judged)."
    yield Hint(do=do, because=because + few)


def _value(figures: ClassFigures, name: str) -> float | None:
    estimate = figures.figures.get(name)
    return estimate.value if estimate else None


def _left_out(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    count = len(dict(report.skipped) | dict(evaluation.skipped))
    if count:
        yield Hint(
            do=f"Mend or remove {amount(count, 'file')}.",
            because=f"{'It was' if count == 1 else 'They were'} left out; why stands at the end of this page.",
        )


def _uncalibrated(evaluation: Evaluation) -> Iterator[Hint]:
    error, perfect = (evaluation.figures.get(name) for name in ("ece", "ece_of_a_perfect_model"))
    if error is None or perfect is None or error.low is None or perfect.value is None:
        return
    ceiling = perfect.value if perfect.high is None else perfect.high
    if error.low > ceiling:
        said = sum(b.said * b.came_true.n for b in evaluation.reliability)
        true = sum((b.came_true.value or 0.0) * b.came_true.n for b in evaluation.reliability)
        lean = "more sure than it should be" if said > true else "less sure than it could be"
        yield Hint(
            do="Do not take its per cents at their word.",
            because=f"It is {lean}; the chart of stated certainty shows where.",
        )
