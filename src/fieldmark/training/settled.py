"""How an "auto" becomes a value."""

from __future__ import annotations

from typing import Literal, TypeVar

V = TypeVar("V")


def settled(choices: list[str], name: str, asked: V | Literal["auto"], value: V, why: str) -> V:
    """What was asked, or, for "auto", `value`; then a line that says so, and why, is added to `choices`."""
    if asked != "auto":
        return asked
    choices.append(f"{name} = {value}: {why}")
    return value
