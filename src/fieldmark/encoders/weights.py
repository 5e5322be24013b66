"""Starting weights: found, checked, loaded, and written down with their source and licence."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fieldmark.bundle.schema import Weights
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.packaged import PACKAGED, PackagedWeights, packaged_file
from fieldmark.encoders.tensors import read_tensors
from fieldmark.errors import WeightsError

FOLDER_VARIABLE = "FIELDMARK_WEIGHTS"
COLOURS = 3
_NOT_STATED = "not stated"
_SUFFIXES = (".safetensors", ".pth", ".pt")
# What a bundle's own weights.safetensors puts before the names, so that a classifier can be trained further.
_IN_BUNDLE = ("encoder.network.", "encoder.")
_CLASSIFIERS = ("classifier", "fc", "head", "head_dist", "last_linear", "aux_classifier")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A file of weights, where it came from in words, and the terms its source states."""

    path: Path
    source: str
    licence: str
    packaged: bool = False


def load_weights(encoder: Encoder, name: str | None, asked: str) -> Weights:
    """Load starting weights into `encoder` and say which they were.

    `name` is the row's `weights`: what to look for (None: nobody publishes any for this encoder). `asked` is the
    recipe's word: "none" loads nothing; a path loads that file; "auto" looks in the folder that FIELDMARK_WEIGHTS
    names (NAME.safetensors, .pth, .pt), in installed pip packages and on the hub, in this order. A file's licence
    is what it states itself (safetensors metadata), or the first line of NAME.licence beside it.

    Raises WeightsError where nothing is found or the tensors do not fit; the encoder is then unchanged.
    """
    if asked == "none" or (asked == "auto" and name is None):
        return Weights(source="none")
    found = _find(name or "") if asked == "auto" else _given(Path(asked))
    tensors, stated = read_tensors(found.path)
    dropped = _load(encoder, _renamed(tensors, encoder, name, found), found.path)
    return Weights(
        source=found.source,
        licence=found.licence or stated or _NOT_STATED,
        sha256=_sha256(found.path),
        dropped=dropped,
    )


def weights_available(name: str | None) -> str | None:
    """Where "auto" would find weights of this name on this machine, in words, or None. Reads no tensors and asks no
    network."""
    found = _local(name) if name else None
    return found.source if found else None


def names_in_folder() -> tuple[str, ...]:
    """The names of the files of weights in the folder that FIELDMARK_WEIGHTS names."""
    folder = os.environ.get(FOLDER_VARIABLE)
    files = sorted(Path(folder).iterdir()) if folder and Path(folder).is_dir() else []
    return tuple(dict.fromkeys(file.stem for file in files if file.suffix in _SUFFIXES))


def _find(name: str) -> _Found:
    local = _local(name)
    if local:
        return local
    from fieldmark.encoders.hub import from_hub  # brings timm, which takes seconds to import

    downloaded = from_hub(name)
    if isinstance(downloaded, str):
        raise WeightsError(
            f"no pretrained weights of {name} are on this machine, and the hub gave none: {downloaded}",
            where=f"model = {name!r}, weights = 'auto'",
            do=(
                f"put {name}.safetensors into a folder and name that folder in {FOLDER_VARIABLE}; "
                "or give a file with --weights FILE; or train from scratch with --method network --weights none"
            ),
        )
    return _Found(path=downloaded.path, source=downloaded.source, licence=downloaded.licence)


def _local(name: str) -> _Found | None:
    folder = os.environ.get(FOLDER_VARIABLE)
    inside = [Path(folder) / f"{name}{suffix}" for suffix in _SUFFIXES] if folder else []
    for path in inside:
        if path.is_file():
            return _given(path)
    return _packaged(PACKAGED[name]) if name in PACKAGED else None


def _packaged(row: PackagedWeights) -> _Found | None:
    path = packaged_file(row)
    if path is None:
        return None
    source = f"pip package {row.distribution} {importlib.metadata.version(row.distribution)}"
    return _Found(path=path, source=source, licence=row.licence, packaged=True)


def _given(path: Path) -> _Found:
    beside = path.with_suffix(".licence")
    licence = beside.read_text(encoding="utf-8").partition("\n")[0].strip() if beside.is_file() else ""
    return _Found(path=path, source=f"file {path.name}", licence=licence)


def _renamed(tensors: dict[str, Tensor], encoder: Encoder, name: str | None, found: _Found) -> dict[str, Tensor]:
    network = encoder.backbone()
    if found.packaged and name:
        return PACKAGED[name].rename(tensors, network)
    for prefix in _IN_BUNDLE:
        if any(key.startswith(prefix) for key in tensors):
            return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    if network is encoder:
        return tensors
    from fieldmark.encoders.zoo import fit_names  # timm again

    return fit_names(network, tensors)


def _load(encoder: Encoder, tensors: dict[str, Tensor], path: Path) -> tuple[str, ...]:
    network = encoder.backbone()
    wanted = network.state_dict()
    for name, own in wanted.items():
        if name not in tensors and not name.endswith("num_batches_tracked"):
            raise _misfit(f"tensor {name!r} is missing from the file", path)
        if name in tensors:
            _refuse_what_does_not_fit(name, tensors[name], own, path)
    dropped = [name for name in tensors if name not in wanted]
    for name in dropped:
        if name.partition(".")[0] not in _CLASSIFIERS:
            raise _misfit(f"tensor {name!r} of the file has no place in the network", path)
    network.load_state_dict({**wanted, **{name: tensors[name] for name in wanted if name in tensors}})
    return tuple(sorted(dropped))


def _refuse_what_does_not_fit(name: str, tensor: Tensor, own: Tensor, path: Path) -> None:
    if tensor.shape != own.shape:
        theirs, ours = list(tensor.shape), list(own.shape)
        if tensor.ndim == own.ndim == 4 and ours[1] == COLOURS and [theirs[0], *theirs[2:]] == [ours[0], *ours[2:]]:
            raise _of_other_colours(name, theirs[1], path)
        shapes = f"{theirs} in the file and {ours} in the network"
        raise _misfit(f"tensor {name!r} is {shapes}", path)
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise WeightsError(
            f"the weights are spoilt: tensor {name!r} holds values that are no numbers (NaN or infinity)",
            where=str(path),
            do="take the file from its source again; if it is your own, from before that training ran away",
        )


def _of_other_colours(name: str, channels: int, path: Path) -> WeightsError:
    kind = "grey images" if channels == 1 else f"images of {channels} channels"
    return WeightsError(
        f"the weights were made for {kind}, and Fieldmark's networks see red, green and blue",
        where=f"{path}, tensor {name!r} ({channels} channels in, not {COLOURS})",
        do="give weights made for colour images (grey pictures work with them), or start with --weights none",
    )


def _misfit(what: str, path: Path) -> WeightsError:
    return WeightsError(
        f"the weights do not fit this network: {what}",
        where=str(path),
        do="give the weights of this very model and input size, or start with --weights none",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
