"""What a way of putting classifiers together says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fieldmark.combining.fragment import Fragment, Member
from fieldmark.data.dataset import Dataset, Task
from fieldmark.measures.outcomes import Floats
from fieldmark.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What M members said of N held-out images: `said` float64 [M, N, C] calibrated probabilities, `targets` as in
    Dataset and `data` the rows themselves; `weights` float64 [N], mean 1, say how much each counts in the world that
    is answered for. A cascade may lose `within` of the accuracy of its large member."""

    names: tuple[str, ...]
    said: Floats
    targets: NDArray[Any]
    weights: Floats
    data: Dataset
    within: float


class Rule(Protocol):
    """How M answers become one. `said` is float64 [M, N, C], calibrated."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was fitted, as plain JSON."""

    def probabilities(self, said: Floats) -> Floats:
        """float64 [N, C]: the definition, which the graph has to keep to."""

    def embedding(self, each: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """float32 [N, D] of those of the members."""

    def needed(self, said: Floats) -> NDArray[np.bool_]:
        """bool [M, N]: which members an image has to be shown to."""

    def settled(self, said: Floats) -> NDArray[np.bool_]:
        """bool [N]: images whose answer rounding in the last bits could not send another way."""

    def write(self, members: Sequence[Member], task: Task) -> Fragment:
        """The same in ONNX, from the tensor `pixels`: embedding and logits, whose softmax (several labels: sigmoid)
        is `probabilities`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A row. `fit(evidence)` gives the rule and a line for each choice; `most` members at most."""

    reference: str
    tasks: tuple[Task, ...]
    most: int
    may_lose: bool  # whether accuracy is traded for work, so that `within` has an effect
    fit: Callable[[Evidence], tuple[Rule, tuple[str, ...]]]


COMBINATIONS: Table[Combination] = Table.folder("combination", "fieldmark.combining")


def everyone(said: Floats) -> NDArray[np.bool_]:
    """bool [M, N]: all members answer for every image."""
    return np.ones(said.shape[:2], dtype=bool)
