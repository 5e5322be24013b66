"""What a combination's manifest says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from fieldmark.bundle.parents import parent
from fieldmark.bundle.schema import Manifest, Parity, Weights
from fieldmark.combining.fitting import Fitted
from fieldmark.combining.held_out import HeldOut
from fieldmark.data.geometry import Geometry
from fieldmark.inference.classifier import Classifier
from fieldmark.training.shipping import described, versions

Kind = Literal["ensemble", "cascade"]


def describe(
    name: str,
    kind: Kind,
    named: Mapping[str, Classifier],
    kept: HeldOut,
    geometry: Geometry,
    fitted: Fitted,
    *,
    within: float | None,
    said: tuple[str, ...],
    parity: Parity,
) -> Manifest:
    """All but its canaries; `said` are choices that were made before the fit."""
    manifests = [member.bundle.manifest for member in named.values()]
    rows = {part: np.flatnonzero(kept.data.split == part) for part in ("train", "validation", "test")}
    sizes = [np.empty((0, manifest.embedding_size), np.float32) for manifest in manifests]
    asked: dict[str, Any] = {"as": kind} if within is None else {"as": kind, "within": round(100 * within, 6)}
    own = {"prior": manifests[0].recipe["prior"]} if "prior" in manifests[0].recipe else {}
    return Manifest(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=manifests[0].task,
        classes=manifests[0].classes,
        geometry=geometry,
        decision=fitted.decision,
        model=(", then " if kind == "cascade" else ", ").join(manifest.model for manifest in manifests),
        head=", ".join(dict.fromkeys(manifest.head for manifest in manifests)),
        method=kind,
        embedding_size=fitted.rule.embedding(sizes).shape[1],
        parameters=sum(manifest.parameters for manifest in manifests),
        weights=_weights(manifests),
        asked=asked,
        recipe={**asked, "members": [*named], **fitted.rule.settings, **own, **kept.settings},
        choices=(*said, *fitted.reasons),
        data=described(kept.data, rows, kept.split),
        parity=parity,
        canaries=(),
        versions=versions(),
        parents=tuple(parent(member.bundle, "member") for member in named.values()),
    )


def _weights(manifests: Sequence[Manifest]) -> Weights:
    """All sources and all terms that any member came with."""
    started = [manifest.weights for manifest in manifests if manifest.weights.source != "none"]
    if not started:
        return Weights(source="none")
    sources = dict.fromkeys(weights.source for weights in started)
    licences = dict.fromkeys(weights.licence or "not stated" for weights in started)
    return Weights(source="; ".join(sources), licence="; ".join(licences))
