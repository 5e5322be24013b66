"""Before anything is trained: which candidates keep to the limits, by measuring their exported graphs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

from msgspec.structs import replace

from fieldmark.data.dataset import Dataset
from fieldmark.encoders.row import SMALL_PX
from fieldmark.errors import OutputError, UsageError
from fieldmark.exporters.onnx import export
from fieldmark.heads.linear import Linear
from fieldmark.progress import Progress
from fieldmark.report.wording import size as said_size
from fieldmark.training.attending import FAULTS, fault_in_words, timed_files
from fieldmark.training.choosing import Choice, pretrained
from fieldmark.training.choosing import choose as resolve
from fieldmark.training.contenders import Contender
from fieldmark.training.network import Network
from fieldmark.training.weighing import Limits, Weight, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A candidate at the gate. `why` it was refused; "" where it may go on. `mirror`: it was weighed answering for
    image and mirror image. `choice` and `weight` are None where it could not even be built."""

    contender: Contender
    choice: Choice | None = None
    weight: Weight | None = None
    mirror: bool = False
    too_heavy: bool = False
    late: bool = False  # there was no time to weigh it
    seconds: float = 0.0  # that weighing took
    why: str = ""


def admit(
    contenders: Sequence[Contender], limits: Limits, data: Dataset, folder: Path, *, ends: float, progress: Progress
) -> tuple[Admission, ...]:
    """Each candidate built without weights, exported and timed. A head is stood in for by a linear one; what a fitted
    one weighs is seen later. After `ends` (seconds of time.monotonic) no more are weighed, but for a first.

    UsageError, naming the nearest, where none keeps to the limits.
    """
    known: dict[tuple[str, int, bool], Weight] = {}
    found = []
    for done, contender in enumerate(contenders):
        progress("weighing", done, len(contenders), contender.name)
        if known and time.monotonic() > ends:
            found.append(Admission(contender=contender, late=True, why="the budget ended before its turn"))
            continue
        began = time.monotonic()
        admission = _admit(contender, limits, data, folder / "weighed.onnx", known)
        found.append(replaced(admission, seconds=time.monotonic() - began))
    progress("weighing", len(contenders), len(contenders))
    if all(each.why for each in found):
        raise _none_within(found, limits)
    return tuple(found)


def _admit(
    contender: Contender, limits: Limits, data: Dataset, graph: Path, known: dict[tuple[str, int, bool], Weight]
) -> Admission:
    try:
        choice = resolve(contender.recipe, data)
        mirror = _may_mirror(contender, choice)
        weight = _weight(choice, mirror, data, graph, known)
        if mirror and limits.excess(weight) > 1:
            # Twice the work for a point is the first thing to go.
            contender = Contender(
                name=contender.name, recipe=replace(contender.recipe, mirror="no"), after=contender.after
            )
            mirror, weight = False, _weight(choice, False, data, graph, known)
    except OutputError:  # a full disk is everybody's trouble
        raise
    except FAULTS as fault:
        return Admission(contender=contender, why=fault_in_words(fault))
    over = limits.excess(weight) > 1
    why = f"{in_words(weight)}: {limits_in_words(limits)}" if over else ""
    return Admission(contender=contender, choice=choice, weight=weight, mirror=mirror, too_heavy=over, why=why)


def _may_mirror(contender: Contender, choice: Choice) -> bool:
    # As planning decides it, but for whether training flips, which only the pixels tell; that is weighed again then.
    small = choice.geometry.size_px <= SMALL_PX
    wanted = contender.recipe.mirror != "no"
    return wanted and choice.method == "network" and small and not pretrained(contender.recipe, choice.row)


def _weight(
    choice: Choice, mirror: bool, data: Dataset, graph: Path, known: dict[tuple[str, int, bool], Weight]
) -> Weight:
    key = (choice.model, choice.geometry.size_px, mirror)
    if key not in known:
        encoder = choice.row.build(choice.geometry.size_px)
        network = Network(encoder, Linear(encoder.embedding_size, len(data.classes)), mirror=mirror)
        export(network, choice.geometry.size_px, graph)
        known[key] = weigh(graph, choice.geometry, data.task, timed_files(data))
        graph.unlink()
    return known[key]


def in_words(weight: Weight) -> str:
    """ "12.3 ms, 13.5 MB" """
    return f"{weight.latency_ms[0]:.3g} ms, {said_size(weight.size_bytes)}"


def limits_in_words(limits: Limits) -> str:
    """ "the limits are 20 ms and 10 MB" """
    set_ = [f"{limits.latency_ms:g} ms"] if limits.latency_ms is not None else []
    set_ += [said_size(limits.size_bytes)] if limits.size_bytes is not None else []
    return f"the limit{'s are' if len(set_) > 1 else ' is'} {' and '.join(set_)}"


def _none_within(found: Sequence[Admission], limits: Limits) -> UsageError:
    weighed = [(each, each.weight) for each in found if each.weight is not None]
    if not weighed:
        return UsageError(
            f"none of {len(found)} candidates could be built",
            where=f"{found[0].contender.name}: {found[0].why}",
            do="name others with --model, or mend what the first one says",
        )
    nearest, weight = min(weighed, key=lambda pair: limits.excess(pair[1]))
    return UsageError(
        f"none of {len(found)} candidates keeps to the limits; the nearest is {nearest.contender.name} with "
        f"{in_words(weight)}",
        where=limits_in_words(limits),
        do="allow more, or name other candidates with --model (fieldmark models shows what there is)",
    )
