"""The table of measures. `summarise` shows every row that fits the task; the figure's key is the row's name."""

from __future__ import annotations

from functools import partial
from math import inf

from fieldmark.measures import labels, scores
from fieldmark.measures.outcomes import Floats
from fieldmark.measures.row import Invariance, Measure
from fieldmark.measures.weighted import Weighted
from fieldmark.table import Table

_RIJSBERGEN = "van Rijsbergen, Information Retrieval, 1979"
_SOKOLOVA = "Sokolova & Lapalme, 2009"
_MANNING = "Manning, Raghavan & Schütze, Introduction to Information Retrieval, 2008"
_NEVER_PREDICTED = "no image was predicted to have it"
_ABSENT = "no image has it"
_NO_CLASS = "no image has any class"
_NO_CLASS_AT_ALL = "no image has any class, and none was predicted"
_NO_PREDICTION = "no class was predicted for any image"
_ONE_SIDED = "needs images that have the class and images that do not"
_RANKS: tuple[Invariance, ...] = ("order of images", "order of classes", "monotone change of each class's scores")
_SCIKIT = "sklearn.metrics:"
_TORCH = "torchmetrics.functional:"


def _truly(of: Weighted) -> Floats:
    return of.truly


def _answered(of: Weighted) -> Floats:
    return of.answered


def _either(of: Weighted) -> Floats:
    return of.truly + of.answered - of.rightly


def _judged(of: Weighted) -> Floats:
    return of.judged


def _auroc(of: Weighted) -> Floats:
    return of.auroc


def _average_precision(of: Weighted) -> Floats:
    return of.average_precision


_SINGLE = (
    Measure(
        name="accuracy",
        summary="share of images whose most probable class is the true one",
        reference=_SOKOLOVA,
        function=labels.accuracy,
        needs="labels",
        tasks=("single",),
        interval="wilson",
        undefined="no images",
        same_as={f"{_SCIKIT}accuracy_score": {}, f"{_TORCH}accuracy": {"average": "micro"}},
    ),
    *(
        Measure(
            name=f"top_{k}_accuracy",
            summary=f"share of images whose true class is among the {k} most probable",
            reference="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015",
            function=partial(labels.top, k),
            needs="probabilities",
            tasks=("single",),
            interval="wilson",
            undefined="no images",
            more_classes_than=k,
            same_as={f"{_SCIKIT}top_k_accuracy_score": {"k": k}, f"{_TORCH}accuracy": {"top_k": k}},
        )
        for k in (3, 5)
    ),
    Measure(
        name="balanced_accuracy",
        summary="mean recall of the classes that are present: each class counts alike, whatever its size",
        reference="Brodersen et al., 2010",
        function=labels.macro_recall,
        needs="labels",
        tasks=("single",),
        undefined=_NO_CLASS,
        same_as={f"{_SCIKIT}balanced_accuracy_score": {}},
    ),
)

_MULTI = (
    Measure(
        name="map",
        summary="mean average precision of the classes that are present",
        reference="Everingham et al., The PASCAL Visual Object Classes Challenge, 2010",
        function=scores.macro_average_precision,
        needs="probabilities",
        tasks=("multi",),
        invariances=_RANKS,
        undefined=_NO_CLASS,
        same_as={
            f"{_SCIKIT}average_precision_score": {"average": "macro"},
            f"{_TORCH}average_precision": {"average": "macro"},
        },
    ),
    Measure(
        name="subset_accuracy",
        summary="share of images whose labels are all right, none missing and none too many",
        reference=_SOKOLOVA,
        function=labels.accuracy,
        needs="labels",
        tasks=("multi",),
        interval="wilson",
        undefined="no images",
        same_as={f"{_SCIKIT}accuracy_score": {}, f"{_TORCH}exact_match": {}},
    ),
    Measure(
        name="hamming_loss",
        summary="share of the image x class pairs that were decided wrongly",
        reference="Schapire & Singer, 2000",
        function=labels.hamming_loss,
        needs="labels",
        tasks=("multi",),
        better="lower",
        undefined="no images",
        same_as={f"{_SCIKIT}hamming_loss": {}, f"{_TORCH}hamming_distance": {"average": "micro"}},
    ),
)


def _averages(average: str, meaning: str, undefined: tuple[str, str, str]) -> tuple[Measure, ...]:
    """Precision, recall and F1 under one way of averaging; functions are `labels.<average>_<measure>`."""
    return tuple(
        Measure(
            name=f"{average}_{name}",
            summary=f"{title}, {meaning}",
            reference=_SOKOLOVA,
            function=getattr(labels, f"{average}_{name}"),
            needs="labels",
            undefined=why,
            same_as={
                f"{_SCIKIT}{name}_score": {"average": average},
                f"{_TORCH}{torch_name}": {"average": average},
            },
        )
        for (name, title, torch_name), why in zip(
            (("precision", "precision", "precision"), ("recall", "recall", "recall"), ("f1", "F1", "f1_score")),
            undefined,
            strict=True,
        )
    )


_AVERAGES = (
    *_averages("macro", "mean over the classes that are present; 0 for a class never predicted", (_NO_CLASS,) * 3),
    *_averages("micro", "all classes' counts added up", (_NO_PREDICTION, _NO_CLASS, _NO_CLASS_AT_ALL)),
    *_averages("weighted", "mean over classes, each by its number of images", (_NO_CLASS,) * 3),
)

_SCORES = (
    Measure(
        name="macro_auroc",
        summary="area under the ROC curve, one class against the rest, mean over the classes where it is defined",
        reference="Hanley & McNeil, 1982",
        function=scores.macro_auroc,
        needs="probabilities",
        invariances=_RANKS,
        undefined="no class has both images that have it and images that do not",
        same_as={f"{_SCIKIT}roc_auc_score": {"average": "macro"}, f"{_TORCH}auroc": {"average": "macro"}},
    ),
    Measure(
        name="macro_average_precision",
        summary="average precision, one class against the rest, mean over the classes that are present",
        reference=_MANNING,
        function=scores.macro_average_precision,
        needs="probabilities",
        tasks=("single",),
        invariances=_RANKS,
        undefined=_NO_CLASS,
        same_as={
            f"{_SCIKIT}average_precision_score": {"average": "macro"},
            f"{_TORCH}average_precision": {"average": "macro"},
        },
    ),
    Measure(
        name="log_loss",
        summary="mean of -log(probability of the truth), natural logarithm; multi: mean over image x class pairs",
        reference="Good, Rational Decisions, 1952",
        function=scores.log_loss,
        needs="probabilities",
        better="lower",
        range=(0.0, inf),
        undefined="no images",
        same_as={f"{_SCIKIT}log_loss": {}},
    ),
    Measure(
        name="brier",
        summary="mean squared gap between probabilities and truth: summed over classes where there are three or "
        "more, (1 - p)^2 for two; multi: mean over image x class pairs",
        reference="Brier, 1950",
        function=scores.brier,
        needs="probabilities",
        better="lower",
        range=(0.0, 2.0),
        undefined="no images",
        same_as={f"{_SCIKIT}brier_score_loss": {}},
    ),
    Measure(
        name="ece",
        summary="expected calibration error: mean gap between what was said and what came true in 15 bins of equal "
        "width; single: of the answer's probability; multi: of every image x class pair",
        reference="Naeini, Cooper & Hauskrecht, 2015; Guo et al., 2017",
        function=scores.expected_calibration_error,
        needs="probabilities",
        better="lower",
        undefined="no images",
        same_as={f"{_TORCH}calibration_error": {"n_bins": scores.BINS, "norm": "l1"}},
    ),
)

_PER_CLASS = (
    Measure(
        name="precision",
        summary="of the images predicted to have the class, the share that truly has it",
        reference=_RIJSBERGEN,
        function=labels.precision,
        scope="class",
        needs="labels",
        interval="wilson",
        count=_answered,
        undefined=_NEVER_PREDICTED,
        same_as={f"{_SCIKIT}precision_score": {"average": None}, f"{_TORCH}precision": {"average": "none"}},
    ),
    Measure(
        name="recall",
        summary="of the images that truly have the class, the share that was predicted to",
        reference=_RIJSBERGEN,
        function=labels.recall,
        scope="class",
        needs="labels",
        interval="wilson",
        count=_truly,
        undefined=_ABSENT,
        same_as={f"{_SCIKIT}recall_score": {"average": None}, f"{_TORCH}recall": {"average": "none"}},
    ),
    Measure(
        name="f1",
        summary="harmonic mean of precision and recall; n counts the images that have the class or were said to",
        reference=_RIJSBERGEN,
        function=labels.f1,
        scope="class",
        needs="labels",
        count=_either,
        undefined=f"{_ABSENT}, and none was predicted to",
        same_as={f"{_SCIKIT}f1_score": {"average": None}, f"{_TORCH}f1_score": {"average": "none"}},
    ),
    Measure(
        name="auroc",
        summary="probability that an image of the class gets a higher score than an image without it",
        reference="Hanley & McNeil, 1982",
        function=_auroc,
        scope="class",
        needs="probabilities",
        count=_judged,
        invariances=_RANKS,
        undefined=_ONE_SIDED,
        same_as={f"{_SCIKIT}roc_auc_score": {"average": None}, f"{_TORCH}auroc": {"average": "none"}},
    ),
    Measure(
        name="average_precision",
        summary="mean precision over the images of the class, from the highest score down, not interpolated",
        reference=_MANNING,
        function=_average_precision,
        scope="class",
        needs="probabilities",
        count=_judged,
        invariances=_RANKS,
        undefined=_ABSENT,
        same_as={
            f"{_SCIKIT}average_precision_score": {"average": None},
            f"{_TORCH}average_precision": {"average": "none"},
        },
    ),
)

MEASURES: Table[Measure] = Table.rows("measure", (*_SINGLE, *_MULTI, *_AVERAGES, *_SCORES, *_PER_CLASS))
# By which two classifiers are compared on the same images.
HEADLINE = {"single": "accuracy", "multi": "map"}
