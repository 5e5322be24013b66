"""The world that a classifier answers for: classes as common as in the data, or all alike."""

from __future__ import annotations

from functools import partial

from fieldmark.training.balances import BALANCES, Prior
from fieldmark.training.job import Job
from fieldmark.training.settled import settled

UNEVEN = 10.0  # from here on rare classes get a margin
SLIGHTLY_UNEVEN = 2.0  # from here on plain accuracy would choose what serves large classes best


def choose_world(job: Job, choices: list[str]) -> tuple[str, Prior]:
    """(balance, prior) as the recipe asks; where it leaves them to us, a line is added to `choices`."""
    settle, uneven = partial(settled, choices), unevenness(job)
    words = f"the largest class has {uneven:.3g} times the images of the smallest; remedies begin at {UNEVEN:g}"
    balance = settle("balance", job.recipe.balance, "logit-adjustment" if uneven >= UNEVEN else "none", words)
    return balance, settle("prior", job.recipe.prior, BALANCES[balance].prior, f"what balance = {balance} is for")


def told(job: Job, prior: Prior) -> tuple[str, ...]:
    """What to know of answers that are for another world than the data's, where nobody asked for it."""
    if prior == "data" or job.recipe.prior != "auto" or job.recipe.balance != "auto":
        return ()
    return (
        f"the largest class has {unevenness(job):.3g} times the images of the smallest, so answers are for a world "
        "whose classes are alike, and rare ones are found; where the world is as your images, --prior data is right "
        "more often",
    )


def unevenness(job: Job) -> float:
    """How many times as many training images the largest class has as the smallest; 1 for several labels an image."""
    if job.data.task != "single":
        return 1.0
    return float(job.counts.max() / max(1.0, job.counts.min()))
