"""What to do next, drawn from the figures: the most telling first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.report.evidence import confusions, judged, label_counts, score, weakest
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
    weakest class, files left out, stated certainty that is off; or, if none applies, what to try then."""
    evaluation = judged(report)
    found: list[Hint] = []
    if evaluation is not None:
        for look in (_nothing_held_out, _few_images, _absent, _confused, _weak, _left_out, _uncalibrated):
            found.extend(look(report, evaluation))
    if not found:
        found.append(
            Hint(
                do="Try it on images from somewhere else.",
                because="Nothing stands out here. Another day, camera or place is the next honest test.",
            )
        )
    return tuple(found[:most])


def _nothing_held_out(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    if report.test is None:
        yield Hint(
            do="Hold out some images.",
            because="These figures come from images that helped to choose the model, so they flatter it. Put images "
            "that it never sees into a test folder, or use --folds 5 if there are few.",
        )


def _few_images(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    whole = evaluation.figures.get("accuracy") or evaluation.figures.get("subset_accuracy")
    if whole is None or whole.low is None or whole.high is None or whole.high - whole.low <= WIDE:
        return
    width = hundredths(whole.high - whole.low)
    yield Hint(
        do="Test on more images.",
        because=f"The interval is {width} points wide because only {amount(whole.n, 'image')} "
        f"{'was' if whole.n == 1 else 'were'} judged. About {4 * whole.n:,} would halve it.",
    )


def _absent(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    if not evaluation.absent:
        return
    names = ", ".join(named(name) for name in evaluation.absent[:3])
    more = f" and {len(evaluation.absent) - 3:,} more" if len(evaluation.absent) > 3 else ""
    yield Hint(
        do=f"Add images of {names}{more} to the test part.",
        because="None was there, so nothing is known of how well they are recognised.",
    )


def _confused(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    pairs = confusions(evaluation)
    if not pairs or pairs[0].count < 2:
        return
    worst = pairs[0]
    both = sum(pair.count for pair in pairs if {pair.truth, pair.answer} == {worst.truth, worst.answer})
    wrong = sum(pair.count for pair in pairs)
    yield Hint(
        do=f"Look at {named(worst.truth)} beside {named(worst.answer)}.",
        because=f"{both:,} of {amount(wrong, 'mistake')} {'is' if both == 1 else 'are'} between these two. Are some "
        "labels wrong? Could a person tell them apart? If so, more images of both help most.",
    )


def _weak(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    weak = weakest(evaluation)
    recall = weak.figures.get("recall") if weak else None
    if weak is None or recall is None or recall.value is None or score(weak) is None:
        return
    part = report.manifest.data.parts.get("train")
    learnt = part.per_class.get(weak.name) if part else None
    few = f" It learnt from only {amount(learnt, 'image')} of it." if learnt and learnt < FEW_TO_LEARN_FROM else ""
    if label_counts(evaluation) or len(evaluation.classes) > 2:
        yield Hint(
            do=f"Collect more images of {named(weak.name)}.",
            because=f"It is the weakest: {hundredths(recall.value)} in 100 are found "
            f"({amount(weak.n, 'image')} judged).{few}",
        )


def _left_out(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
    count = len(dict(report.skipped) | dict(evaluation.skipped))
    if count:
        yield Hint(
            do=f"Mend or remove {amount(count, 'file')}.",
            because="They could not be read and were left out; the reasons are listed below.",
        )


def _uncalibrated(report: Report, evaluation: Evaluation) -> Iterator[Hint]:
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
