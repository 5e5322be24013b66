"""Canaries: pictures in the bundle that prove, on any later machine, that it answers as it did, bytes to answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.bundle.checksums import read_sums, sha256_of
from fieldmark.bundle.schema import Canary
from fieldmark.data.loading import load_file
from fieldmark.data.picture import Pixels, Unreadable
from fieldmark.errors import DataError
from fieldmark.inference.classifier import Classifier
from fieldmark.inference.deciding import labels, probabilities
from fieldmark.inference.drawing import draw as draw

# float32 graphs on other processors differ by 1e-6 or so in a probability; a changed answer by far more.
PROBABILITY_TOLERANCE = 1e-4
# Another version of libjpeg or Pillow moves single pixels by a level or two, and the mean of a tile by less than one.
# A turned picture, swapped colours or another resizer move it by several.
TILE_TOLERANCE = 1.0
_TILES = 4


class CanaryResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one canary. `pixel_difference` is the largest difference of a tile's mean level (0 to 255),
    None where the picture could not be read; `words` say what is wrong or odd, and are empty where nothing is."""

    file: str
    ok: bool
    intact: bool
    pixels: Literal["same", "close", "different", "unreadable"]
    pixel_difference: float | None
    probability_gap: float | None
    same_answer: bool
    words: tuple[str, ...]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """`ok`: there are canaries, each file is as it was, and each answer is the recorded one."""

    ok: bool
    canaries: tuple[CanaryResult, ...]
    words: tuple[str, ...]


def record(classifier: Classifier, files: Iterable[str]) -> tuple[Canary, ...]:
    """Pixels and answers, here and now, of `files` (paths inside the bundle's folder, with forward slashes).

    Raises DataError for a file that cannot be read.
    """
    recorded = []
    for file in files:
        pixels = load_file(classifier.bundle.path / file, classifier.bundle.manifest.geometry)
        if isinstance(pixels, Unreadable):
            raise DataError(
                f"this canary cannot be read: {pixels.detail}",
                where=str(classifier.bundle.path / file),
                do="choose another picture",
            )
        recorded.append(
            Canary(
                file=file,
                pixels_sha256=_checksum(pixels),
                tiles=tuple(_tiles(pixels).tolist()),
                probabilities=tuple(_answer(classifier, pixels).tolist()),
            )
        )
    return tuple(recorded)


def check(classifier: Classifier) -> CheckResult:
    """Runs every canary of the bundle from bytes to answer, and compares with what was recorded.

    A canary is ok where its file is intact, the largest probability gap is at most 1e-4 and the answer the same.
    Pixels that differ a little are said, and fail nothing as long as the answers hold.
    """
    sums = read_sums(classifier.bundle.path)
    results = tuple(_check_one(classifier, canary, sums) for canary in classifier.bundle.manifest.canaries)
    if not results:
        return CheckResult(ok=False, canaries=(), words=("this bundle has no canaries: nothing can be compared",))
    bad = [result.file for result in results if not result.ok]
    words = [f"{len(results) - len(bad)} of {len(results)} canaries answer as recorded"]
    if any(result.ok and result.pixels == "close" for result in results):
        words.append("some pixels differ a little: another version of Pillow or libjpeg decodes here")
    if bad:
        words.append(f"this machine does not answer as the one that made the bundle: {', '.join(bad)}")
    return CheckResult(ok=not bad, canaries=results, words=tuple(words))


def _check_one(classifier: Classifier, canary: Canary, sums: Mapping[str, str]) -> CanaryResult:
    path = classifier.bundle.path / canary.file
    intact = path.is_file() and sha256_of(path) == sums.get(canary.file)
    pixels = load_file(path, classifier.bundle.manifest.geometry)
    words = [] if intact else ["its file was altered"]
    if isinstance(pixels, Unreadable):
        words.append(f"it cannot be read here: {pixels.detail}")
        return CanaryResult(
            file=canary.file,
            ok=False,
            intact=intact,
            pixels="unreadable",
            pixel_difference=None,
            probability_gap=None,
            same_answer=False,
            words=tuple(words),
        )
    difference = float(np.abs(_tiles(pixels) - canary.tiles).max())
    same = _checksum(pixels) == canary.pixels_sha256
    likeness: Literal["same", "close", "different"] = (
        "same" if same else "close" if difference <= TILE_TOLERANCE else "different"
    )
    if likeness != "same":
        words.append(f"pixels are {likeness}: a tile's mean level differs by up to {difference:.2f} of 255")
    recorded, answer = np.asarray(canary.probabilities), _answer(classifier, pixels)
    gap = float(np.abs(answer - recorded).max())
    if gap > PROBABILITY_TOLERANCE:
        words.append(f"a probability differs by {gap:.2g}, more than {PROBABILITY_TOLERANCE:g}")
    manifest = classifier.bundle.manifest
    now, then = labels(np.stack([answer, recorded]), manifest.decision, manifest.task, manifest.classes)
    if now != then:
        words.append(f"the answer is {', '.join(now) or 'none'}, and was {', '.join(then) or 'none'}")
    return CanaryResult(
        file=canary.file,
        ok=intact and gap <= PROBABILITY_TOLERANCE and now == then,
        intact=intact,
        pixels=likeness,
        pixel_difference=difference,
        probability_gap=gap,
        same_answer=now == then,
        words=tuple(words),
    )


def _answer(classifier: Classifier, pixels: Pixels) -> NDArray[np.float64]:
    manifest = classifier.bundle.manifest
    (answer,) = probabilities(classifier.run(pixels[None])[1], manifest.decision, manifest.task)
    return np.asarray(answer)


def _checksum(pixels: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def _tiles(pixels: Pixels) -> NDArray[np.float64]:
    """float64 [48]: mean level of each channel in 4 x 4 tiles, to two decimals."""
    edges = np.linspace(0, len(pixels), _TILES + 1).astype(int)
    means = [
        pixels[top:bottom, left:right].mean(axis=(0, 1))
        for top, bottom in pairwise(edges)
        for left, right in pairwise(edges)
    ]
    return np.round(np.concatenate(means), 2)
