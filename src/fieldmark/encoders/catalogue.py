"""What is known of every model that has a row, and which of them fit a person's limits. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fieldmark.encoders.architectures import ROWS
from fieldmark.encoders.facts import FACTS
from fieldmark.encoders.row import ENCODERS
from fieldmark.table import unknown_name

BYTES_PER_PARAMETER = 4  # float32, as models are exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A line of `fieldmark models`. `parameters` without a classifier; `multiply_adds` for one image of `size_px`;
    `licence` of the published weights, "" where there are none; `latency_ms` the median of its exported graph on this
    machine, where it was measured."""

    name: str
    summary: str
    family: str
    size_px: int
    parameters: int
    multiply_adds: int
    licence: str
    latency_ms: float | None = None

    @property
    def size_bytes(self) -> int:
        return BYTES_PER_PARAMETER * self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a person asks of a model; None: anything will do. Numbers are the most that is allowed. Letters may be
    large or small."""

    family: str | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    multiply_adds: int | None = None
    latency_ms: float | None = None
    licence: str | None = None

    @property
    def any(self) -> bool:
        return self != Bounds()


def our_models() -> tuple[Model, ...]:
    """The table of encoders."""
    return tuple(_model(name, summary, FACTS[name].family) for name, summary in ENCODERS.listing())


def families() -> tuple[Model, ...]:
    """The families of the field, by timm's names."""
    return tuple(_model(row.name, row.summary, row.family) for row in ROWS)


def _model(name: str, summary: str, family: str) -> Model:
    facts = FACTS[name]
    return Model(
        name=name,
        summary=summary,
        family=family,
        size_px=facts.size_px,
        parameters=facts.parameters,
        multiply_adds=facts.multiply_adds,
        licence=facts.licence,
    )


def within(models: Iterable[Model], bounds: Bounds) -> list[Model]:
    """Those that keep to all bounds; a model whose latency was not measured is not held against that one.

    UnknownName for a family that no row has.
    """
    known = {model.family for model in (*our_models(), *families())}
    if bounds.family is not None and bounds.family.lower() not in {family.lower() for family in known}:
        raise unknown_name("family", bounds.family, known)
    return [model for model in models if _keeps(model, bounds)]


def _keeps(model: Model, bounds: Bounds) -> bool:
    most = (
        (model.parameters, bounds.parameters),
        (model.size_bytes, bounds.size_bytes),
        (model.multiply_adds, bounds.multiply_adds),
        (model.latency_ms, bounds.latency_ms),
    )
    alike = ((model.family, bounds.family), (model.licence or "none", bounds.licence))
    return all(limit is None or value is None or value <= limit for value, limit in most) and all(
        asked is None or value.lower() == asked.lower() for value, asked in alike
    )
