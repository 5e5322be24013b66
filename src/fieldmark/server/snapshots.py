"""A private copy of what serving needs of a bundle, so that what answers is what was verified.

The folder that the person named may be replaced, half written or deleted while the server runs, and a worker that
has to be started again must still find the same model.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fieldmark.bundle.checksums import read_sums, sha256_of, write_sums
from fieldmark.bundle.layout import GRAPH, MANIFEST
from fieldmark.bundle.reading import open_bundle
from fieldmark.errors import BundleError
from fieldmark.inference.variants import on_this_machine
from fieldmark.server.models import Served, Source


def snapshot(source: Source, folder: Path) -> Served:
    """Copies manifest, graph and canaries of the bundle into `folder`, which must not be there yet.

    Raises BundleError where the bundle is damaged, or changed while it was copied; OSError from a full disk.
    """
    bundle = on_this_machine(open_bundle(source.path))
    sums = read_sums(source.path)
    folder.mkdir(parents=True)
    canaries = (canary.file for canary in bundle.manifest.canaries)
    variant = bundle.manifest.variant
    for name in (MANIFEST, GRAPH, *canaries, *(variant.files if variant else ())):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path / name, copy)
        if sha256_of(copy) != sums[name]:
            raise BundleError(f"{name} changed while it was copied", where=str(source.path), do="try again")
    write_sums(folder)
    answering = bundle.graph.relative_to(bundle.path).as_posix()
    return Served(source=source, manifest=bundle.manifest, digest=sums[answering], notes=bundle.notes)
