"""What is told of a choice among models: every candidate's row, and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fieldmark.inference.energy import COUNTERS
from fieldmark.report.selection import Candidate, Outcome, Selection
from fieldmark.training.admitting import Admission, in_words, limits_in_words
from fieldmark.training.preferring import RULE, Standing, points, reason
from fieldmark.training.race import Race
from fieldmark.training.weighing import Limits

_ORDER: tuple[Outcome, ...] = ("chosen", "tied", "behind", "no time", "over the limit", "failed")


def selection(
    admissions: Sequence[Admission],
    race: Race,
    score_name: str,
    winner: Standing,
    finish: str,
    limits: Limits,
    *,
    budget: str,
    asked: Mapping[str, str],
) -> Selection:
    """`finish`: in words, what the winner did with the rest of the budget."""
    ranked = race.ranked(score_name)
    standing = {each.name: each for each in ranked}
    rows = [_row(each, race, standing, winner, finish, limits) for each in admissions]
    place = {each.name: number for number, each in enumerate(ranked)}
    rows.sort(key=lambda row: (_ORDER.index(row.outcome), place.get(row.name, len(rows)), row.name))
    return Selection(
        candidates=tuple(rows),
        score_name=score_name,
        n=winner.score.n,
        latency_limit_ms=limits.latency_ms,
        size_limit_bytes=limits.size_bytes,
        budget=budget,
        reason=reason(ranked, winner, score_name),
        rule=RULE,
        energy=_energy(rows),
        asked=dict(asked),
    )


def _row(
    each: Admission,
    race: Race,
    standing: Mapping[str, Standing],
    winner: Standing,
    finish: str,
    limits: Limits,
) -> Candidate:
    name, recipe = each.contender.name, each.contender.recipe
    stood, result = standing.get(name), race.results.get(name)
    weight = result.judged.weight if result else each.weight
    outcome, why = _outcome(each, race, stood, winner, finish, limits)
    return Candidate(
        name=name,
        model=recipe.model,
        method=each.choice.method if each.choice else "probe" if recipe.method == "auto" else recipe.method,
        head=each.choice.head if each.choice else recipe.head,
        size_px=each.choice.geometry.size_px if each.choice else 0,
        outcome=outcome,
        why=why,
        score=stood.score if stood else None,
        behind=stood.behind if stood else None,
        latency_ms=weight.latency_ms if weight else None,
        size_bytes=weight.size_bytes if weight else None,
        energy_mj=weight.energy_mj if weight else None,
        rounds=result.rounds if result else 0,
        seconds=round(result.seconds, 1) if result else 0.0,
    )


def _outcome(
    each: Admission, race: Race, stood: Standing | None, winner: Standing, finish: str, limits: Limits
) -> tuple[Outcome, str]:
    name = each.contender.name
    if each.why:
        return ("over the limit" if each.too_heavy else "no time" if each.late else "failed"), each.why
    if name in race.failed:
        return "failed", race.failed[name]
    if name in race.heavy:
        weight = race.results[name].judged.weight
        return "over the limit", f"{in_words(weight)} with the head that was fitted: {limits_in_words(limits)}"
    if stood is None:
        return ("behind", race.left[name]) if name in race.left else ("no time", "the budget ended before its turn")
    if name == winner.name:
        return "chosen", finish
    if stood.tied:
        return "tied", race.left.get(name) or _why_not(stood, winner)
    return "behind", race.left.get(name) or f"{points(stood.behind)} behind the best"


def _why_not(stood: Standing, winner: Standing) -> str:
    if stood.latency_ms > winner.latency_ms:
        return f"may be as good, but answers in {stood.latency_ms:.3g} ms instead of {winner.latency_ms:.3g} ms"
    return "may be as good, and about as quick, but is larger or was less accurate"


def _energy(rows: Sequence[Candidate]) -> str:
    if any(row.energy_mj is not None for row in rows):
        return "Energy is what the whole processor used while it answered, by its own counters (RAPL), for one image."
    return f"Energy was not measured: this machine shows no counters of its processor's use (RAPL, {COUNTERS})."
