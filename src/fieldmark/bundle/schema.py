"""`fieldmark.json`: everything about a classifier that is not its tensors, as plain JSON.

SCHEMA grows by one when a reader of the old form would misunderstand the new; unknown fields are refused.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from fieldmark.data.geometry import Geometry

SCHEMA = 3
READABLE = (1, 2, SCHEMA)  # 1: no slopes and intercepts; 2: no variant


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How logits become an answer. single: softmax(logits / temperature), the largest wins. multi:
    sigmoid(slope * logits / temperature + intercept), each label whose probability reaches its threshold."""

    temperature: float = 1.0
    # multi only, one a class
    slopes: tuple[float, ...] | None = None
    intercepts: tuple[float, ...] | None = None
    thresholds: tuple[float, ...] | None = None


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the starting weights came from and under which terms; source "none" is from scratch. `dropped` names the
    tensors of the file that this network has no place for, such as the classifier of another set of classes."""

    source: str
    licence: str = ""
    sha256: str = ""
    dropped: tuple[str, ...] = ()


class Parent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another bundle that this one was made from, as it was then: a member of a combination, or the teacher whose
    answers a network learnt from. `weights` and `parents` hold the terms that come down from it."""

    role: Literal["member", "teacher"]
    name: str
    model: str
    graph_sha256: str
    fingerprint: str  # of the data that it was made from
    weights: Weights
    parents: tuple[Parent, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many images of each class a part of the data held."""

    n: int
    per_class: dict[str, int]


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the classifier was made from. `fingerprint` covers content ids, labels and split."""

    fingerprint: str
    parts: dict[str, Part]
    skipped: int
    split: str  # in words: given folders, random 70/15/15 stratified, 5 folds ...


class Parity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The graph beside the network, on `n` real images. `ties` are images whose two best classes are too close
    to tell apart in float32; they are left out of `agreement`."""

    n: int
    agreement: float
    ties: int
    largest_gap: float  # of a probability


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant beside the float32 graph on `n` images, from encoded bytes to answers. `agreement` is the share of
    answers that are the same, `ties` left out of it; `drop` what the variant loses of `measure`, with the paired 95 %
    interval, None where it is undefined."""

    images: str  # which: "the test images" ...
    n: int
    agreement: float
    ties: int
    largest_gap: float  # of a probability
    measure: str
    drop: float | None
    drop_low: float | None
    drop_high: float | None


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The graph in another form. Where `runner` is installed, and the processor has the `instructions` that it was
    proven with ("": it answers alike with any), it answers in place of the float32 graph: with a decision of its own,
    and `canaries`, its probabilities of the bundle's canaries in their order."""

    format: str
    files: tuple[str, ...]  # the first is the one to open
    runner: str  # "" where Fieldmark itself runs no such files
    instructions: str
    decision: Decision
    canaries: tuple[tuple[float, ...], ...]
    proof: Proof | None  # None: written unproven, since nothing here can run it
    notes: tuple[str, ...]  # how it was made


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture that travels with the bundle: same bytes, same pixels, same answer, or something has changed.

    `tiles` says how far other pixels are off, which a checksum cannot: the output's mean levels (0 to 255) in 4 x 4
    tiles, row by row, red, green, blue: 48 numbers.
    """

    file: str
    pixels_sha256: str  # of the geometry's output, uint8 [size_px, size_px, 3]
    tiles: tuple[float, ...]
    probabilities: tuple[float, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `fieldmark.json`."""

    schema: int = SCHEMA
    name: str
    created: str  # ISO 8601, UTC
    task: Literal["single", "multi"]
    classes: tuple[str, ...]
    geometry: Geometry
    decision: Decision
    model: str  # the encoder's name, resolved
    head: str
    method: Literal["probe", "network", "ensemble", "cascade"]
    embedding_size: int
    parameters: int
    weights: Weights
    asked: dict[str, Any]  # the settings that the person gave; everything else was ours to choose
    recipe: dict[str, Any]  # resolved: no "auto" left
    choices: tuple[str, ...]  # each automatic choice: what, between what, by which evidence
    data: Data
    parity: Parity
    canaries: tuple[Canary, ...]
    versions: dict[str, str]
    parents: tuple[Parent, ...] = ()
    variant: Variant | None = None
