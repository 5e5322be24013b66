"""How long work says how far it is. Whoever starts the work decides what becomes of it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then: `done` of `total` in `stage`; `remark` is the newest figure worth seeing."""

    def __call__(self, stage: str, done: int, total: int, remark: str = "") -> None: ...


def silent(stage: str, done: int, total: int, remark: str = "") -> None:
    """Progress that nobody watches."""


def about(progress: Progress, name: str) -> Progress:
    """`progress` of work that is done for several things in turn: each stage's name ends in this one's."""

    def tell(stage: str, done: int, total: int, remark: str = "") -> None:
        progress(f"{stage} {name}", done, total, remark)

    return tell
