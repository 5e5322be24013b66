"""Bundles that cannot be put together are told so before any work."""

from __future__ import annotations

from collections.abc import Sequence

from fieldmark.bundle.checksums import sha256_of
from fieldmark.combining.row import Combination
from fieldmark.data.listing import shown
from fieldmark.errors import UsageError
from fieldmark.inference.classifier import Classifier

ONE_OR_SEVERAL = {"single": "one label an image", "multi": "several labels an image"}


def refuse_what_does_not_fit(
    kind: str, row: Combination, members: Sequence[Classifier], within: float | None
) -> None:
    """UsageError for too few or too many members, one twice, or members that answer other questions."""
    paths = [str(member.bundle.path) for member in members]
    if not 2 <= len(members) <= row.most:
        wanted = "two bundles, the small one first" if row.most == 2 else f"2 to {row.most} bundles"
        raise UsageError(
            f"{kind} needs {wanted}, and got {len(members)}", where=", ".join(paths), do=f"give it {wanted}"
        )
    if within is not None and not row.may_lose:
        raise UsageError(
            f"--within would have no effect: {kind} asks every member about every image",
            where=f"within = {100 * within:g}",
            do="drop it, or use --as cascade",
        )
    for member, path in zip(members, paths):
        if variant := member.bundle.manifest.variant:
            raise UsageError(
                f"one of them is an export ({variant.format})", where=path, do="give the bundle that it was made from"
            )
    if len({sha256_of(member.bundle.graph) for member in members}) < len(members):
        raise UsageError("the same graph was given twice", where=", ".join(paths), do="give each bundle once")
    for member, path in zip(members[1:], paths[1:]):
        _refuse_another_question(members[0], member, f"{paths[0]} and {path}")
    task = members[0].bundle.manifest.task
    if task not in row.tasks:
        raise UsageError(
            f"{kind} is not for bundles that give {ONE_OR_SEVERAL[task]}",
            where=paths[0],
            do="use --as ensemble",
        )


def _refuse_another_question(first: Classifier, other: Classifier, where: str) -> None:
    ours, theirs = first.bundle.manifest, other.bundle.manifest
    if ours.task != theirs.task:
        kinds = f"{ONE_OR_SEVERAL[ours.task]}, and {ONE_OR_SEVERAL[theirs.task]}"
        raise UsageError(f"they answer in different ways: {kinds}", where=where, do="give bundles of one kind")
    if lone := sorted(set(ours.classes) ^ set(theirs.classes)):
        raise UsageError(
            f"they know different classes; only one of them knows {shown(lone, 10)}",
            where=where,
            do="train them on data with the same classes (their order does not matter)",
        )
    worlds = [each.recipe.get("prior", "data") for each in (ours, theirs)]
    if worlds[0] != worlds[1]:
        raise UsageError(
            "they answer for different worlds: classes as common as in the data, and all alike",
            where=f"{where}; prior = {worlds[0]} and {worlds[1]}",
            do=f"train one of them again with --prior {worlds[0]}",
        )
