"""A network's tensors as safetensors: no code inside, and the same bytes for the same tensors."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes the state dict. Tensors that share memory are written once each: a reader needs no network to know."""
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    # In one piece from memory: safetensors' own file writer reports a full disk as an error of no known type.
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
