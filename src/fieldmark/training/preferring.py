"""Who is dropped, who is preferred, and how that is said. Pure: figures in, decisions and words out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldmark.measures.estimate import Estimate
from fieldmark.measures.outcomes import Outcomes
from fieldmark.measures.paired import difference, estimate_one
from fieldmark.measures.table import MEASURES
from fieldmark.report.wording import size as said_size
from fieldmark.report.wording import wording
from fieldmark.training.weighing import Weight

ALIKE = 1.1  # latencies and sizes that differ by less are taken for the same
RULE = (
    "A candidate is within reach of the best where the 95 % interval (paired bootstrap over the same validation "
    "images) of the difference to the best one includes nought. Of those within reach the fastest is preferred; of "
    "those within 10 % of its latency the smallest; of those within 10 % of its size the most accurate."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A candidate among those that were judged alike. `behind`: the best one's score less this one's, paired;
    `complete`: more time would not change it."""

    name: str
    score: Estimate
    behind: Estimate
    weight: Weight
    complete: bool

    @property
    def tied(self) -> bool:
        """Whether these images cannot tell it from the best."""
        return self.behind.low is None or self.behind.low <= 0.0

    @property
    def latency_ms(self) -> float:
        return self.weight.latency_ms[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a candidate answered on the validation images that all share, and what it weighs."""

    seen: Outcomes
    weight: Weight
    complete: bool


def standings(judged: Mapping[str, Judged], score_name: str) -> tuple[Standing, ...]:
    """Best first; of equal scores the faster one. None judged, none standing."""
    if not judged:
        return ()
    measure = MEASURES[score_name]
    scores = {name: estimate_one(measure, each.seen) for name, each in judged.items()}
    order = sorted(judged, key=lambda name: (-(scores[name].value or 0.0), judged[name].weight.latency_ms[0], name))
    best = judged[order[0]].seen
    return tuple(
        Standing(
            name=name,
            score=scores[name],
            behind=difference(measure, best, judged[name].seen),
            weight=judged[name].weight,
            complete=judged[name].complete,
        )
        for name in order
    )


def dropped(ranked: Sequence[Standing]) -> dict[str, str]:
    """Of candidates ranked best first, those of the lower half that need no more time, and why (successive halving,
    Jamieson and Talwalkar 2016; but whoever may still tie with the best stays).

    A candidate goes where it is surely behind; and where it can improve no further, and another that is at least as
    good is neither slower nor larger.
    """
    out = {}
    for place, each in enumerate(ranked):
        if place < (len(ranked) + 1) // 2:
            continue
        if not each.tied:
            out[each.name] = f"{points(each.behind)} behind {ranked[0].name}"
        elif each.complete and (better := _at_least_as_good(each, ranked[:place])):
            out[each.name] = f"no better than {better}, and neither faster nor smaller"
    return out


def preferred(ranked: Sequence[Standing]) -> Standing:
    """By RULE, of candidates ranked best first."""
    reach = [each for each in ranked if each.tied]
    fastest = min(each.latency_ms for each in reach)
    quick = [each for each in reach if each.latency_ms <= ALIKE * fastest]
    smallest = min(each.weight.size_bytes for each in quick)
    return next(each for each in quick if each.weight.size_bytes <= ALIKE * smallest)


def reason(ranked: Sequence[Standing], winner: Standing, score_name: str) -> str:
    """Why the winner won, in two sentences."""
    best, label = ranked[0], wording(score_name).label
    figures = f"it answers in {winner.latency_ms:.3g} ms and is {said_size(winner.weight.size_bytes)} large."
    if winner.name != best.name:
        return (
            f"{winner.name} is preferred to {best.name}, the best of {len(ranked)} candidates, because on the same "
            f"{best.score.n:,} validation images they are {points(winner.behind)} apart, which may be chance. "
            f"It answers in {winner.latency_ms:.3g} ms instead of {best.latency_ms:.3g} ms and is "
            f"{said_size(winner.weight.size_bytes)} instead of {said_size(best.weight.size_bytes)} large."
        )
    if len(ranked) == 1:
        return f"{best.name} was the only candidate that could be judged. I{figures[1:]}"
    runner_up = ranked[1]
    value = "" if best.score.value is None else f" ({label.lower()} {100 * best.score.value:.1f} %)"
    ahead = f"{points(runner_up.behind)} ahead of {runner_up.name}"
    chance = ", which may be chance, but none within reach is clearly faster" if runner_up.tied else ""
    return (
        f"{best.name} did best of {len(ranked)} candidates on {best.score.n:,} validation images{value}, "
        f"{ahead}{chance}. I{figures[1:]}"
    )


def points(gap: Estimate) -> str:
    """A difference of shares in points: "2.1 points (-0.4 to 4.6)"."""
    if gap.value is None or gap.low is None or gap.high is None:
        return "an unknown number of points"
    return f"{100 * gap.value:.1f} points ({100 * gap.low:.1f} to {100 * gap.high:.1f})"


def _at_least_as_good(each: Standing, better: Sequence[Standing]) -> str | None:
    return next(
        (
            other.name
            for other in better
            if other.latency_ms <= ALIKE * each.latency_ms
            and other.weight.size_bytes <= ALIKE * each.weight.size_bytes
        ),
        None,
    )
