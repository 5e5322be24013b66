"""How a model was chosen among several: every candidate with its figures, what became of it, and why."""

from __future__ import annotations

from typing import Literal

import msgspec

from fieldmark.measures.estimate import Estimate

# chosen; as good as the best, as far as these images tell; behind; over a limit that was set; failed; out of time
Outcome = Literal["chosen", "tied", "behind", "over the limit", "failed", "no time"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model that was tried, as it stood when it was last looked at.

    `score` is of validation images, `behind` the paired difference of the best candidate's score and this one's.
    `latency_ms` is (median, p95) of its exported graph, decoding included; `energy_mj` what the processor used for an
    answer, in millijoules, where its counters can be read. `rounds` it was in, `seconds` it took in all.
    """

    name: str
    model: str
    method: Literal["probe", "network"]
    head: str
    size_px: int
    outcome: Outcome
    why: str
    score: Estimate | None = None
    behind: Estimate | None = None
    latency_ms: tuple[float, float] | None = None
    size_bytes: int | None = None
    energy_mj: float | None = None
    rounds: int = 0
    seconds: float = 0.0


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`candidates` stand in the order of preference, the chosen one first. `score_name` is a measure's name, judged
    on `n` validation images that all candidates share. `reason` is two sentences, `rule` how the choice is made."""

    candidates: tuple[Candidate, ...]
    score_name: str
    n: int
    latency_limit_ms: float | None
    size_limit_bytes: int | None
    budget: str
    reason: str
    rule: str
    energy: str  # how it was measured, or why it was not
    asked: dict[str, str]  # the flags of the command

    @property
    def chosen(self) -> Candidate:
        return self.candidates[0]

    def over_again(self, latency_ms: float, size_bytes: int) -> tuple[str, ...]:
        """What should be said where the finished model, measured again, is over a limit that it kept to before."""
        found = []
        if self.latency_limit_ms is not None and latency_ms > self.latency_limit_ms:
            before = f" (before: {self.chosen.latency_ms[0]:.3g} ms)" if self.chosen.latency_ms else ""
            found.append(
                f"measured again at the end, the finished model took {latency_ms:.3g} ms{before}, above the limit of "
                f"{self.latency_limit_ms:g} ms: the machine was busier then, or the limit is close"
            )
        if self.size_limit_bytes is not None and size_bytes > self.size_limit_bytes:
            found.append(f"the finished model has {size_bytes:,} bytes, above the limit of {self.size_limit_bytes:,}")
        return tuple(found)
