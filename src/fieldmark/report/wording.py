"""How figures are said: in words that a shop owner and a statistician both accept."""

from __future__ import annotations

from dataclasses import dataclass

from fieldmark.measures.estimate import Estimate

NOT_PRINTABLE = "�"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a figure is called and means. `share`: in 0..1 and said in per cent; otherwise a plain number."""

    label: str
    meaning: str
    share: bool = True


WORDING: dict[str, Wording] = {
    "accuracy": Wording(label="Accuracy", meaning="How often its first answer is right."),
    "top_3_accuracy": Wording(
        label="Right within three", meaning="How often the right class is among its first three answers."
    ),
    "top_5_accuracy": Wording(
        label="Right within five", meaning="How often the right class is among its first five answers."
    ),
    "balanced_accuracy": Wording(
        label="Balanced accuracy", meaning="The same with every class counting alike, however rare (mean recall)."
    ),
    "macro_precision": Wording(
        label="Macro precision", meaning="How often an answer is right, averaged over the classes."
    ),
    "macro_recall": Wording(label="Macro recall", meaning="How much of a class it finds, averaged over the classes."),
    "macro_f1": Wording(
        label="Macro F1", meaning="Being right and finding all, in one figure; every class counts alike."
    ),
    "micro_precision": Wording(label="Micro precision", meaning="How often an answer is right, over all answers."),
    "micro_recall": Wording(label="Micro recall", meaning="How many of the true labels it finds, over all labels."),
    "micro_f1": Wording(label="Micro F1", meaning="Being right and finding all, over all labels together."),
    "weighted_precision": Wording(
        label="Weighted precision", meaning="Precision, each class weighing by its images."
    ),
    "weighted_recall": Wording(label="Weighted recall", meaning="Recall, each class weighing by its images."),
    "weighted_f1": Wording(label="Weighted F1", meaning="F1, each class weighing by its images."),
    "macro_auroc": Wording(
        label="Macro AUROC",
        meaning="How often an image of a class scores higher for it than another image does; 50 is guessing.",
    ),
    "macro_average_precision": Wording(
        label="Macro average precision", meaning="How well the images of a class are ranked before the others."
    ),
    "map": Wording(
        label="Mean average precision", meaning="How well the images with a label are ranked before those without."
    ),
    "subset_accuracy": Wording(
        label="Whole answer right", meaning="How often every label of an image is right, none missing or added."
    ),
    "hamming_loss": Wording(label="Hamming loss", meaning="Share of yes-or-no answers that are wrong. Low is good."),
    "log_loss": Wording(
        label="Log-loss", meaning="Surprise at the truth, in nats. Low is good; 0 is best.", share=False
    ),
    "brier": Wording(
        label="Brier score",
        meaning="Squared distance between stated probability and truth. Low is good.",
        share=False,
    ),
    "ece": Wording(
        label="Calibration error",
        meaning="How far “90 % sure” is from being right 90 times in 100 (ECE). Low is good.",
    ),
    "ece_of_a_perfect_model": Wording(
        label="Calibration error of a perfect model",
        meaning="What chance alone would show on this many images.",
    ),
    "precision": Wording(label="Precision", meaning="When it says this class, how often that is right."),
    "recall": Wording(label="Recall", meaning="Of the images of this class, how many it finds."),
    "f1": Wording(label="F1", meaning="Precision and recall in one figure."),
    "auroc": Wording(label="AUROC", meaning="How often an image of this class scores above another; 50 is guessing."),
    "average_precision": Wording(label="AP", meaning="Average precision: how well its images are ranked first."),
}


def wording(name: str) -> Wording:
    """The wording of a figure; one that is not listed goes by its own name, as a plain number."""
    return WORDING.get(name) or Wording(label=name.replace("_", " "), meaning="", share=False)


@dataclass(frozen=True, slots=True)
class Said:
    """An estimate in digits, all three to the same place; empty where there is none."""

    value: str
    low: str = ""
    high: str = ""

    @property
    def between(self) -> str:
        """The interval in words; empty where there is none, or where the bootstrap never saw another value."""
        return f"between {self.low} and {self.high}" if self.low != self.high else ""


def in_100(estimate: Estimate) -> Said:
    """A share as times in 100. Tenths where whole numbers would hide a difference; 100 only where it is exact."""
    if estimate.value is None:
        return Said("")
    narrow = estimate.low is not None and estimate.high is not None and estimate.high - estimate.low < 0.03
    near_an_end = 0 < estimate.value < 0.02 or 0.98 < estimate.value < 1
    places = 1 if narrow or near_an_end else 0
    return Said(*(hundredths(part, places) for part in (estimate.value, *_bounds(estimate))))


def plain_number(estimate: Estimate) -> Said:
    """A figure that is no share, to three places."""
    if estimate.value is None:
        return Said("")
    return Said(*(f"{part:.3f}" for part in (estimate.value, *_bounds(estimate))))


def say(name: str, estimate: Estimate) -> Said:
    """The digits of a figure in its own unit: times in 100 for shares, else a plain number."""
    return in_100(estimate) if wording(name).share else plain_number(estimate)


def points(difference: Estimate) -> tuple[str, ...]:
    """A difference of shares in points of 100 with its sign, and the ends of its interval; empty where undefined."""
    ends = (difference.value, difference.low, difference.high)
    return tuple(f"{100 * end:+.1f}" for end in ends if end is not None)


def hundredths(share: float, places: int = 0) -> str:
    """0.876 -> "88"; never "100" or "0" for what is not exactly so (0.99996 -> "99.99")."""
    if min(share, 1 - share) < 1e-9:  # Wilson's bounds miss 0 and 1 by rounding alone
        return f"{100 * share:.0f}"
    for digits in range(places, 3):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0):
            return text
    return "99.99" if share > 0.5 else "0.01"


def amount(count: int, one: str, many: str = "") -> str:
    """3,068 images; 1 image."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(bytes_: int) -> str:
    """16_900_000 -> "16.9 MB"."""
    for unit, per in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if bytes_ >= per:
            return f"{bytes_ / per:.3g} {unit}"
    return f"{bytes_} B"


def duration(seconds: float) -> str:
    """154.2 -> "2 min 34 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def printable(text: str) -> str:
    """One line without control, direction-changing or broken characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else NOT_PRINTABLE for c in text)


def shorten(text: str, longest: int) -> str:
    """Printable, and cut in the middle where it is longer than `longest` characters; both ends tell most."""
    if len(text) <= longest:
        return printable(text)
    tail = longest // 3
    return f"{printable(text[: longest - tail - 1])}…{printable(text[-tail:])}"


def named(name: str) -> str:
    """A class name inside a sentence: quoted where it would not read as a word."""
    short = shorten(name, 28)
    return short if short.replace("-", "").isalpha() else f"“{short}”"


def _bounds(estimate: Estimate) -> tuple[float, ...]:
    if estimate.low is None or estimate.high is None:
        return ()
    return (estimate.low, estimate.high)
