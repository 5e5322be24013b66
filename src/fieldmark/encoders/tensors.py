"""Tensors from a file of weights: safetensors, or PyTorch's own format read without running anything in it."""

from __future__ import annotations

import warnings
from pathlib import Path
from pickle import UnpicklingError  # the error alone: torch raises it, and offers no other name for it
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fieldmark.errors import WeightsError

# Checkpoints of whole training runs keep the network under one of these, and wrappers put one of those in front.
_NESTED = ("state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a `.safetensors`, `.pth` or `.pt` file by name, and the licence that the file states, or "".

    Raises WeightsError where the file is missing, damaged, of another kind, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError("there is no such weights file", where=str(path), do="check the path after --weights")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt"):
        return _unwrapped(_read_torch(path), path), ""
    raise WeightsError(
        f"weights of kind {path.suffix or 'unknown'!r} cannot be read",
        where=str(path),
        do="give a .safetensors, .pth or .pt file",
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], str]:
    try:
        with safe_open(path, framework="pt") as file:
            stated = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (SafetensorError, OSError) as damage:
        raise WeightsError(
            f"the weights file cannot be read: {damage}", where=str(path), do="download or copy it again"
        ) from damage
    return tensors, stated.get("license", stated.get("licence", ""))


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # torch warns of pickles that it did not write, and then refuses or reads them as it does any other.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as refusal:
        raise WeightsError(
            "the weights file holds more than tensors, and reading it could run code, so it was not read",
            where=str(path),
            do="save its tensors alone, as .safetensors or with torch.save(network.state_dict(), ...)",
        ) from refusal
    except (RuntimeError, EOFError, OSError, ValueError) as damage:
        raise WeightsError(
            f"the weights file cannot be read: {damage}", where=str(path), do="download or copy it again"
        ) from damage


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise WeightsError(
            "the weights file is not a table of named tensors",
            where=str(path),
            do="save the network's state_dict alone and give that file",
        )
    return {_plain(str(name)): tensor for name, tensor in content.items()}


def _plain(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name
