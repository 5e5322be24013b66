"""The gradient of a step: of the mean loss over the whole batch, however few of its images fit into memory at once
and however many processes share them.

Batch normalisation is the one thing that notices: it normalises each group of images that goes through the network
at once by that group's own statistics. Its running averages are the mean of the processes', each by its share.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor, nn

from fieldmark.errors import Interrupted
from fieldmark.ranks import world_size
from fieldmark.training import together
from fieldmark.training.objective import Aim, Objective
from fieldmark.training.state import Tensors


class Gradient:
    """Of `objective` by the weights of `model`, which `accelerator` has prepared but not wrapped: the exchange that
    DistributedDataParallel starts during the backward pass would hang where one process has too little memory."""

    def __init__(self, model: nn.Module, objective: Objective, accelerator: Accelerator) -> None:
        self._model, self._objective, self._accelerator = model, objective, accelerator
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]

    def __call__(self, views: Tensor, aim: Aim, position: float, micro_batch: int) -> Tensor | None:
        """Leave the gradient in the weights' `grad`, and return the mean loss, a scalar, of uint8 views [N, S, S, 3];
        at most `micro_batch` of them go through the network of a process at once.

        None where a process had too little memory, Interrupted where one is gone: then the network is as it was.
        """
        self._forget()
        for buffer, before in self._buffers:
            before.copy_(buffer)
        answers = {name: kept[aim.places].clone() for name, kept in self._objective.remembered.items()}
        part = together.share(len(views))
        value = self._of_part(views[part], aim.part(part), position, micro_batch, len(views))
        try:
            value = self._added_up(value, (part.stop - part.start) / len(views))
        except Interrupted:
            self._undo(aim, answers)
            raise
        if value is None:
            self._undo(aim, answers)
        return value

    def _of_part(self, views: Tensor, aim: Aim, position: float, micro_batch: int, images: int) -> Tensor | None:
        groups = -(-len(views) // micro_batch)
        ends = [len(views) * group // groups for group in range(groups + 1)]
        device = self._accelerator.device
        total = torch.zeros((), device=device)
        try:
            for some in map(slice, ends, ends[1:]):
                logits = self._model(views[some].to(device))[1]
                value = self._objective(logits, aim.part(some), position) * ((some.stop - some.start) / images)
                self._accelerator.backward(value)
                total += value.detach()
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or should_reduce_batch_size(error)):
                raise
            return None
        return total

    def _added_up(self, value: Tensor | None, weight: float) -> Tensor | None:
        """The sum over all processes of loss, gradient, and what the images did to the buffers, by `weight`; all in
        one message, since a process without memory must not leave the others waiting for a second one."""
        if world_size() == 1:
            return value
        averaged = [(buffer, before) for buffer, before in self._buffers if buffer.is_floating_point()]
        sent = [*self._weights, *(before for _, before in averaged)]
        message = torch.zeros(2 + sum(tensor.numel() for tensor in sent), device=self._accelerator.device)
        places = torch.split(message[2:], [tensor.numel() for tensor in sent])
        shaped = [place.view(tensor.shape) for place, tensor in zip(places, sent)]
        gradients, changes = shaped[: len(self._weights)], shaped[len(self._weights) :]
        if value is None:
            message[0] = 1.0
        else:
            message[1] = value
            for own, place in zip(self._weights, gradients):
                if own.grad is not None:
                    place.copy_(own.grad)
            for (buffer, before), place in zip(averaged, changes):
                place.copy_((buffer - before) * weight)
        together.add_up(message)
        if float(message[0]):
            return None
        for own, place in zip(self._weights, gradients):
            if own.grad is not None:
                own.grad.copy_(place)
        for (buffer, before), place in zip(averaged, changes):
            buffer.copy_(before + place)
        return message[1]

    def _undo(self, aim: Aim, answers: Tensors) -> None:
        self._forget()
        for name, before in answers.items():
            self._objective.remembered[name][aim.places] = before
        for buffer, before in self._buffers:
            buffer.copy_(before)
        if self._accelerator.device.type == "cuda":
            torch.cuda.empty_cache()  # blocks of the large batch's sizes are of no use to a smaller one

    def _forget(self) -> None:
        for weight in self._weights:
            weight.grad = None
