"""Network: encoder and a linear head trained together, from scratch or from weights."""

from __future__ import annotations

import msgspec
import numpy as np
import torch
from torch import nn

from fieldmark.bundle.parents import parent
from fieldmark.bundle.schema import Parent
from fieldmark.data.dataset import UNKNOWN
from fieldmark.data.fingerprint import fingerprint
from fieldmark.encoders.weights import load_weights, weights_available
from fieldmark.heads.linear import Linear
from fieldmark.training import checkpoint
from fieldmark.training.balances import BALANCES, log_prior
from fieldmark.training.job import Job, Learned
from fieldmark.training.loop import fit
from fieldmark.training.network import Network
from fieldmark.training.optimisers import OPTIMISERS
from fieldmark.training.plan import Plan
from fieldmark.training.planning import plan
from fieldmark.training.probe import fit_head, learn_without_labels
from fieldmark.training.teacher import open_teacher
from fieldmark.training.worlds import told


def learn_end_to_end(job: Job) -> Learned:
    """Build, load weights where there are any, plan, and run the loop."""
    torch.manual_seed(job.recipe.seed)
    encoder = job.choice.row.build(job.choice.geometry.size_px)
    asked, name = job.recipe.weights, job.choice.row.weights
    # From scratch is a fair way to train a network, so "auto" takes weights that are at hand and asks no hub.
    unheard = asked == "auto" and weights_available(name) is None
    weights = load_weights(encoder, name, "none" if unheard else asked)
    head = Linear(encoder.embedding_size, len(job.data.classes))
    network = Network(encoder, head)
    if weights.source == "none":
        learn_without_labels(encoder, job)
        start_at_the_prior(head, job)
    elif not (job.resume and checkpoint.exists(job.run_folder)):
        probed = fit_head(job, encoder, "logistic")
        start_from(head, probed.module)
    steps, reasons = plan(job, pretrained=weights.source != "none", network=network)
    if weights.source == "none" and (spread := OPTIMISERS[steps.optimiser].head_spread):
        nn.init.normal_(head.weight, std=spread)
    fitted = fit(network, job, steps)
    answer_for(head, job, fitted.plan)
    teachers = _teachers(job, fitted.plan)
    network.mirror = steps.mirror  # only now: epochs are told apart as well by plain answers, in half the time
    return Learned(
        network=network,
        weights=weights,
        settings=msgspec.to_builtins(fitted.plan),
        reasons=reasons,
        notes=(*fitted.notes, *told(job, fitted.plan.prior), *_of_another_split(teachers, job)),
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        score_name=fitted.score_name,
        prior=fitted.plan.prior,
        plan=fitted.plan,
        parents=teachers,
    )


def _teachers(job: Job, plan: Plan) -> tuple[Parent, ...]:
    return () if plan.teacher == "none" else (parent(open_teacher(plan.teacher, job.data), "teacher"),)


def _of_another_split(teachers: tuple[Parent, ...], job: Job) -> tuple[str, ...]:
    return tuple(
        f"the teacher {teacher.name} was trained on another division of images than this network: what it may know "
        "of the test images can have come down, and the figures then flatter"
        for teacher in teachers
        if teacher.fingerprint != fingerprint(job.data)
    )


@torch.no_grad()
def start_from(head: Linear, fitted: nn.Module) -> None:
    """Give `head` what `fitted`, a map [N, D] -> [N, C] that is affine, does: probe first, then all layers, so that a
    random head does not spoil what the encoder knows (Kumar et al. 2022)."""
    size = head.in_features
    at_nought = fitted(torch.zeros(1, size))[0]
    head.bias.copy_(at_nought)
    head.weight.copy_((fitted(torch.eye(size)) - at_nought).T)


@torch.no_grad()
def start_at_the_prior(head: Linear, job: Job) -> None:
    """Give each of several labels its log-odds among the training images as bias, so that the first steps need not
    find out that most labels are rare (Lin et al. 2017, 3.3); with one label an image the loss sees to it at once."""
    if job.data.task == "multi":
        looked_at = (job.data.targets[job.train] != UNKNOWN).sum(axis=0)
        odds = (job.counts + 0.5) / (looked_at - job.counts + 0.5)
        head.bias.copy_(torch.from_numpy(np.log(odds)))


def answer_for(head: Linear, job: Job, plan: Plan) -> None:
    """Move the head's biases from the class frequencies that training answered for to those of the plan's prior: by
    Bayes' rule the difference of their logarithms (Menon et al. 2021, post-hoc logit adjustment)."""
    trained_for = BALANCES[plan.balance].prior
    if trained_for != plan.prior:
        shift = log_prior(job.counts) * (1 if plan.prior == "data" else -1)
        with torch.no_grad():
            head.bias.add_(torch.from_numpy(shift).to(head.bias))
