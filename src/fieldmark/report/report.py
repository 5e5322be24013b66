"""Everything a report shows, as one value; `page` draws it as HTML, `fieldmark.json` beside it holds the rest."""

from __future__ import annotations

import msgspec

from fieldmark.bundle.schema import Manifest
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.report.comparison import Comparison
from fieldmark.report.selection import Selection


class Epoch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pass of the training loop. `train_loss` is what was lowered, per image (below nought where a remedy rewards
    agreement), `validation_loss` the mean cross-entropy; `score` is what chose the epoch."""

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    validation_loss: float
    score: float


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`test` is None only where the data had nothing to hold out. `latency_ms` is (median, p95) at batch 1, decode
    included, on the machine that made the bundle; `size_bytes` is the graph's."""

    manifest: Manifest
    test: Evaluation | None
    validation: Evaluation | None
    epochs: tuple[Epoch, ...]
    best_epoch: int | None
    score_name: str
    latency_ms: tuple[float, float] | None
    size_bytes: int
    seconds: float  # of the whole training command
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    comparison: Comparison | None = None  # of a combination with its members
    selection: Selection | None = None  # where the model was chosen among several
