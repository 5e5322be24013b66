"""What a network is to learn from the labels: every "auto" about loss, balance, doubt and teacher becomes a value."""

from __future__ import annotations

from functools import partial

import msgspec

from fieldmark.data.dataset import Task
from fieldmark.errors import UsageError
from fieldmark.ranks import world_size
from fieldmark.training.augmentations import rows_of
from fieldmark.training.balances import Prior
from fieldmark.training.job import Job
from fieldmark.training.plan import ScoreName
from fieldmark.training.remedies import REMEDIES, noise_rate_of, remedy_for
from fieldmark.training.settled import settled
from fieldmark.training.teacher import teaching
from fieldmark.training.worlds import SLIGHTLY_UNEVEN, choose_world, unevenness


class Lessons(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a Plan, of the same names."""

    loss: str
    label_smoothing: float
    teacher: str
    teacher_share: float
    teacher_temperature: float
    balance: str
    remedy: str
    noise_rate: float
    prior: Prior
    score: ScoreName


def choose_lessons(job: Job, augment: str, choices: list[str]) -> Lessons:
    """What the job's recipe asks for; where it leaves the choice to us, a line is added to `choices`.

    UsageError where a remedy or a teacher cannot be followed with `augment`, or by several processes.
    """
    recipe, settle = job.recipe, partial(settled, choices)
    share, temperature = teaching(recipe.teacher, choices)
    balance, prior = choose_world(job, choices)
    remedy = settle("remedy", recipe.remedy, *remedy_for(job.noise, recipe.suspects))
    _refuse_divided_memories(remedy)
    _refuse_mixed_memories(augment, remedy, recipe.teacher)
    smoothing = _smoothing(job.data.task, remedy, recipe.teacher)
    return Lessons(
        loss=settle("loss", recipe.loss, "cross-entropy", "the likelihood itself"),
        label_smoothing=settle("label smoothing", recipe.label_smoothing, *smoothing),
        teacher=recipe.teacher,
        teacher_share=share,
        teacher_temperature=temperature,
        balance=balance,
        remedy=remedy,
        noise_rate=settle("noise rate", recipe.noise_rate, *noise_rate_of(job.noise)),
        prior=prior,
        score=_score(job.data.task, recipe.loss, unevenness(job)),
    )


def _score(task: Task, loss: str, uneven: float) -> ScoreName:
    if task != "single":
        # Other losses than the likelihood bend the probabilities, and leave the ranking.
        return "negative log-loss" if loss in ("auto", "cross-entropy") else "mean average precision"
    return "accuracy" if uneven < SLIGHTLY_UNEVEN else "balanced accuracy"


def _smoothing(task: Task, remedy: str, teacher: str) -> tuple[float, str]:
    if teacher != "none":
        return 0.0, "the teacher's answers are soft already"
    if task == "multi":
        return 0.0, "most labels are absent from most images: softened, what is absent would outweigh what is there"
    return REMEDIES[remedy].smoothing, "Szegedy et al. 2016" if remedy == "none" else f"as remedy = {remedy} asks"


def _refuse_divided_memories(remedy: str) -> None:
    if REMEDIES[remedy].memory and world_size() > 1:
        raise UsageError(
            "each process would remember its own images alone, and a checkpoint only those of the first",
            where=f"remedy = {remedy}, WORLD_SIZE = {world_size()}",
            do="train in one process, or choose another --remedy",
        )


def _refuse_mixed_memories(augment: str, remedy: str, teacher: str) -> None:
    mixing = [row.name for row in rows_of(augment) if row.mix]
    rival = f"teacher = {teacher}" if teacher != "none" else f"remedy = {remedy}"
    if mixing and (teacher != "none" or REMEDIES[remedy].memory or REMEDIES[remedy].kept):
        raise UsageError(
            f"{mixing[0]} shows two images at once, and {rival} is about each image alone",
            where=f"augment = {augment}, {rival}",
            do=f"leave {mixing[0]} out of --augment, or leave out the other",
        )
