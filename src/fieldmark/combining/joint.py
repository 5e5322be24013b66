"""One geometry for members that were made for several."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from fieldmark.data.geometry import Geometry
from fieldmark.errors import UsageError


def joint_geometry(
    names: Sequence[str], geometries: Sequence[Geometry]
) -> tuple[Geometry, tuple[Geometry, ...], tuple[str, ...]]:
    """The geometry of the whole, by which every member still gets as many pixels as it was made for; for each member
    the one that makes its pixels of those; and what should be said of it.

    Sizes, filters and the share that a crop keeps may differ. UsageError where pictures become squares in ways that
    show other parts of them, since then no one square serves all.
    """
    first = geometries[0]
    for name, other in zip(names, geometries):
        if (other.fit, other.fit == "pad" and other.pad_value) != (first.fit, first.fit == "pad" and first.pad_value):
            raise UsageError(
                f"{name} and {names[0]} see pictures in different ways, so one graph cannot serve both",
                where=f"{_fit(first)} and {_fit(other)}",
                do=f"train one of them again with the other's fit (--fit {first.fit})",
            )
    fractions = [each.crop_fraction if each.fit == "crop" else 1.0 for each in geometries]
    widest = max(fractions)
    need = [each.size_px * widest / fraction for each, fraction in zip(geometries, fractions)]
    leading = geometries[max(range(len(need)), key=need.__getitem__)]
    whole = replace(leading, size_px=math.ceil(max(need) - 1e-6), crop_fraction=widest)
    inner = tuple(
        Geometry(size_px=each.size_px, fit="crop", filter=each.filter, crop_fraction=fraction / widest)
        for each, fraction in zip(geometries, fractions)
    )
    return whole, inner, tuple(_said(names, geometries, inner, whole))


def _said(
    names: Sequence[str], geometries: Sequence[Geometry], inner: Sequence[Geometry], whole: Geometry
) -> list[str]:
    same = all(each == whole for each in geometries)
    why = "as every member's" if same else "the least that gives each member as many pixels as it was made for"
    said = [f"input = {whole.size_px} px, {whole.fit}, {whole.filter}: {why}"]
    said += [
        f"{name} gets {own.size_px} px of them, resized inside the graph ({own.filter}); it learnt from pictures "
        "that were resized once"
        for name, own in zip(names, inner)
        if (own.size_px, own.crop_fraction) != (whole.size_px, 1.0)
    ]
    said += [
        f"{name} learnt from pictures resized by {own.filter}, and gets them by {whole.filter}"
        for name, own in zip(names, geometries)
        if own.filter != whole.filter
    ]
    return said


def _fit(geometry: Geometry) -> str:
    return f"{geometry.fit} with {geometry.pad_value}" if geometry.fit == "pad" else geometry.fit
