"""Several processes train one network as a single one would: each takes its share of every batch.

torchrun (or accelerate launch) starts them. With one process there is nobody to wait for, and nothing to add.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import msgspec
import torch
from accelerate import PartialState
from torch import Tensor, nn

from fieldmark.errors import Interrupted, UsageError
from fieldmark.ranks import rank, world_size

PATIENCE = timedelta(days=1)  # others wait while the main process decodes images, or writes the bundle
V = TypeVar("V")


def meet() -> None:
    """Connect to the other processes, where there are any; gloo on processors, NCCL on GPUs."""
    if world_size() > 1:
        with _losing_a_process():
            PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def wait() -> None:
    """Until all are here."""
    if world_size() > 1:
        with _losing_a_process():
            torch.distributed.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through the block before the others, who find what it made."""
    if rank():
        wait()
    yield
    if not rank():
        wait()


def share(count: int) -> slice:
    """This process's part of `count` rows; the parts differ by one row at most, and none is empty."""
    if count < world_size():
        raise UsageError(
            f"{count} images cannot be shared by {world_size()} processes",
            where=f"--batch {count}, WORLD_SIZE = {world_size()}",
            do="give a larger --batch, or start fewer processes",
        )
    return slice(count * rank() // world_size(), count * (rank() + 1) // world_size())


def add_up(numbers: Tensor) -> None:
    """Put the sum over all processes in place of `numbers`, in each of them."""
    if world_size() > 1:
        with _losing_a_process():
            torch.distributed.all_reduce(numbers)


def agreed(value: V, kind: type[V]) -> V:
    """The main process's `value`, in every process: clocks and measurements differ between them."""
    if world_size() == 1:
        return value
    device = PartialState().device
    said = torch.frombuffer(bytearray(msgspec.msgpack.encode(value)), dtype=torch.uint8).to(device)
    length = torch.tensor([len(said)], device=device)
    with _losing_a_process():
        torch.distributed.broadcast(length, src=0)
        said = said if rank() == 0 else torch.empty(int(length), dtype=torch.uint8, device=device)
        torch.distributed.broadcast(said, src=0)
    return msgspec.msgpack.decode(said.cpu().numpy().tobytes(), type=kind)


def begin_alike(network: nn.Module) -> None:
    """The main process's weights and statistics, in every process."""
    if world_size() > 1:
        for tensor in network.state_dict().values():
            dense = tensor.detach().contiguous()
            with _losing_a_process():
                torch.distributed.broadcast(dense, src=0)
            tensor.detach().copy_(dense)


@contextmanager
def _losing_a_process() -> Iterator[None]:
    """Whatever goes wrong while processes talk, one of them is no longer there."""
    try:
        yield
    except RuntimeError as error:
        raise Interrupted(
            "one of the processes that train together has ended, and without it there is no going on",
            where=f"process {rank()} of {world_size()} (counted from 0) waited for it",
            do="see why it ended (often the system had no memory left for it), then start again with --resume",
        ) from error
