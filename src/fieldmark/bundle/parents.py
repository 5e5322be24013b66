"""What a bundle remembers of the bundles that it was made from, and the terms that come down from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fieldmark.bundle.checksums import sha256_of
from fieldmark.bundle.reading import Bundle
from fieldmark.bundle.schema import Manifest, Parent


def parent(bundle: Bundle, role: Literal["member", "teacher"]) -> Parent:
    """`bundle` as one that is made from it will remember it."""
    manifest = bundle.manifest
    return Parent(
        role=role,
        name=manifest.name,
        model=manifest.model,
        graph_sha256=sha256_of(bundle.graph),
        fingerprint=manifest.data.fingerprint,
        weights=manifest.weights,
        parents=manifest.parents,
    )


def descent(made: Manifest | Parent) -> Iterator[Parent]:
    """Every bundle that this one was made from, and those that they were made from."""
    for one in made.parents:
        yield one
        yield from descent(one)
