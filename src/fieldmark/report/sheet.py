"""The contact sheet: training images beside the views of them that the network was given. Encoded pictures alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A WebP, JPEG or PNG, and the target that went with it: labels with their shares in 0..1, largest first."""

    picture: bytes
    target: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`rows`: file, the image as it is, its views in the first epochs. `made_by`: name and one line of each
    augmentation, in the order in which they were made."""

    rows: tuple[tuple[str, View, tuple[View, ...]], ...]
    made_by: tuple[tuple[str, str], ...]
