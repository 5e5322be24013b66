"""What became of each form, as lines of a terminal and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fieldmark.conversion.exported import Exported, in_points

HEAD = ("form", "same answers", "n", "points lost", "largest gap", "MB", "p50 ms", "p99 ms", "images/s", "peak MB")


def rows(done: Sequence[Exported]) -> Iterator[str]:
    """Aligned columns, a head first."""
    cells = [HEAD, *(_cells(each) for each in done)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for first, *others in cells:
        yield "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))])


def table(done: Sequence[Exported]) -> str:
    """Markdown: the figures, then why some forms were not written, and how the others were made."""
    lines = [" | ".join(line) for line in (HEAD, ("---",) * len(HEAD), *(_cells(each) for each in done))]
    said = [f"- {each.form} was not written: {each.why}" for each in done if each.why]
    said += [f"- {each.form}: {note}" for each in done for note in each.notes]
    images = next((each.proof.images for each in done if each.proof), "")
    intro = f"Each form beside the float32 graph, from encoded bytes to answers, on {images}.\n\n" if images else ""
    return intro + "".join(f"| {line} |\n" for line in lines) + "\n" + "".join(f"{line}\n" for line in said)


def _cells(each: Exported) -> tuple[str, ...]:
    proof, cost = each.proof, each.cost
    proven: tuple[str, ...] = ("unproven" if each.bundle else "-", "-", "-", "-")
    if proof:
        ties = f", {proof.ties} ties" if proof.ties else ""
        proven = (f"{proof.agreement:.2%}{ties}", f"{proof.n}", in_points(proof), f"{proof.largest_gap:.1g}")
    if cost is None:
        return (each.form, *proven, *("-",) * 5)
    peak = "-" if cost.peak_mb is None else f"{cost.peak_mb:.0f}"
    speed = (f"{cost.p50_ms:.2f}", f"{cost.p99_ms:.2f}", f"{cost.images_per_s:.1f}", peak)
    return (each.form, *proven, f"{cost.size_bytes / 1e6:.2f}", *speed)
