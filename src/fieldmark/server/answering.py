"""Answers as a response of the Open Inference Protocol V2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fieldmark.server.asking import WantedOutput
from fieldmark.server.tensors import OUTPUTS, Tensor, to_binary, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a bundle says of N images: floats [N, C], decided labels of each image, floats [N, C], floats [N, D]."""

    classes: tuple[str, ...]
    probabilities: NDArray[np.floating[Any]]
    labels: tuple[tuple[str, ...], ...]
    logits: NDArray[np.floating[Any]]
    embedding: NDArray[np.floating[Any]]


class _Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class _Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    model_name: str
    model_version: str
    id: str = ""
    outputs: tuple[_Output, ...]


def encode_infer(
    answers: Answers, wanted: Sequence[WantedOutput], *, model_name: str, model_version: str, request_id: str
) -> tuple[bytes, int | None]:
    """(body, bytes of JSON at its start; None where all of it is JSON), outputs in the order of `wanted`.

    `probabilities`, `logits` FP32 [N, C], `embedding` FP32 [N, D]; in JSON, a number that is not finite is null.
    `labels` BYTES [N]: what was decided, several labels of one image joined by "|", and empty where there is none.
    With classification k: BYTES [N, min(k, C)] of `value:index:label`, highest first, the first of equals first.
    """
    outputs, tail = [], []
    for output in wanted:
        tensor = _tensor(answers, output)
        encoded = to_binary(tensor) if output.binary else None
        outputs.append(
            _Output(
                name=tensor.name,
                datatype=tensor.datatype,
                shape=tensor.shape,
                parameters=msgspec.UNSET if encoded is None else {"binary_data_size": len(encoded)},
                data=to_json(tensor) if encoded is None else msgspec.UNSET,
            )
        )
        tail += [] if encoded is None else [encoded]
    response = _Response(model_name=model_name, model_version=model_version, id=request_id, outputs=tuple(outputs))
    json = msgspec.json.encode(response)
    return b"".join([json, *tail]), len(json) if tail else None


def _tensor(answers: Answers, output: WantedOutput) -> Tensor:
    if output.name == "labels":
        joined = tuple("|".join(labels).encode() for labels in answers.labels)
        return Tensor(name="labels", datatype="BYTES", shape=(len(joined),), data=joined)
    values = np.asarray(getattr(answers, output.name), np.float32)
    if output.classification:
        return _ranked(output.name, values, answers.classes, output.classification)
    return Tensor(name=output.name, datatype=OUTPUTS[output.name], shape=values.shape, data=values)


def _ranked(name: str, values: NDArray[np.float32], classes: tuple[str, ...], k: int) -> Tensor:
    """docs/protocol/extension_classification.md of the Triton Inference Server, which also gives no more than C."""
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    strings = [f"{row[i]}:{i}:{classes[i]}" for row, order in zip(values, best) for i in order]
    return Tensor(name=name, datatype="BYTES", shape=best.shape, data=tuple(text.encode() for text in strings))
