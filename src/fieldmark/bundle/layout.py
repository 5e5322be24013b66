"""The names of a bundle's files, and which names a bundle may speak of at all."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "fieldmark.json"
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"
SUMS = "SHA256SUMS"
CARD = "README.md"
REPORT = "report"
CANARIES = "canaries"


def name_of(bundle: Path) -> str:
    """What a bundle is called where it lies: photos, of photos.fieldmark."""
    return bundle.absolute().name.removesuffix(".fieldmark")


def is_plain(name: str) -> bool:
    """Whether `name` is a relative path with forward slashes that cannot leave its folder on any system."""
    parts = name.split("/")
    return name.isprintable() and not set(name) & {"\\", ":"} and not {"", ".", ".."} & set(parts)


def inside(folder: Path, name: str) -> Path | None:
    """The file `name` in `folder`; None where the name, or a link on the way, leads out of the folder."""
    path = folder / name
    return path if is_plain(name) and path.resolve().is_relative_to(folder.resolve()) else None
