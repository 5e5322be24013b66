"""Laws of what is said: digits that are never rounder than the truth, sentences that hold for any figures."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import makers_report as make
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.measures.estimate import Estimate
from fieldmark.report.advice import hints
from fieldmark.report.evidence import confusions, strongest, weakest, worst_first
from fieldmark.report.terminal import headline
from fieldmark.report.wording import duration, hundredths, in_100, named, printable, shorten, size

shares = st.floats(0, 1)


@given(shares)
def test_only_all_is_100_and_only_none_is_0(share: float) -> None:
    said = float(hundredths(share))
    assert abs(said - 100 * share) <= 0.5 or share > 0.9999 or share < 0.0001
    assert (said == 100) == (1 - share < 1e-9) and (said == 0) == (share < 1e-9)


@given(shares, shares, shares)
def test_an_interval_said_still_holds_its_value(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    said = in_100(Estimate(value=value, low=low, high=high, n=9, interval="wilson"))
    assert float(said.low) <= float(said.value) + 0.5 and float(said.value) <= float(said.high) + 0.5
    assert said.between in ("", f"between {said.low} and {said.high}") and bool(said.between) == (
        said.low != said.high
    )


@given(st.text(st.sampled_from("a8- \n\t\x00\u202e\ud800é漢😀<")))
def test_printable_text_is_one_safe_line(text: str) -> None:
    safe = printable(text)
    assert safe.isprintable() and len(safe) == len(text) and printable(safe) == safe
    assert len(shorten(text, 12)) <= 12 and shorten(text, 12).isprintable()
    assert shorten("hat", 12) == "hat"
    assert shorten(text, 12).encode() or not text


@given(st.integers(1, 10**12))
def test_sizes_keep_three_digits(count: int) -> None:
    number, unit = size(count).split(" ")
    scale = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert abs(float(number) * scale - count) <= 0.01 * count


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.24, "0.2 s"), (42.4, "42 s"), (154.2, "2 min 34 s"), (59.9, "1 min 0 s"), (7384, "2 h 3 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_that_read_as_words_stand_bare() -> None:
    assert [named(name) for name in ("t-shirt", "8", "red fox")] == ["t-shirt", "“8”", "“red fox”"]


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    classes = draw(st.integers(2, 5))
    evaluation = make.single([f"class{i}" for i in range(classes)], draw(st.integers(1, 60)), right=draw(shares))
    missing = draw(st.sets(st.sampled_from(sorted(evaluation.figures))))
    figures = {name: estimate for name, estimate in evaluation.figures.items() if name not in missing}
    return msgspec.structs.replace(evaluation, figures=figures, part=draw(st.sampled_from(["test", "out-of-fold"])))


@given(evaluations())
def test_a_sentence_and_hints_for_any_evaluation(evaluation: Evaluation) -> None:
    report = make.report(evaluation)
    assert headline(report).startswith("On ") and headline(report).endswith(".")
    assert "None" not in headline(report)
    found = hints(report)
    assert 1 <= len(found) <= 3 and all("None" not in hint.do + hint.because for hint in found)


@given(evaluations())
def test_evidence_agrees_with_the_matrix(evaluation: Evaluation) -> None:
    found = confusions(evaluation)
    wrong = evaluation.n - sum(row[i] for i, row in enumerate(evaluation.confusion))
    assert sum(pair.count for pair in found) == wrong
    assert [pair.count for pair in found] == sorted((pair.count for pair in found), reverse=True)
    ranked = [figures for figures in worst_first(evaluation) if figures.n]
    weak, strong = weakest(evaluation), strongest(evaluation)
    assert (weak is None) == (strong is None)
    assert weak is None or weak == ranked[0]


def test_the_sentence_as_a_shop_owner_reads_it() -> None:
    accuracy = Estimate(value=0.876, low=0.839, high=0.906, n=372, interval="wilson")
    evaluation = make.single(make.CLOTHING, 372, right=0.9)
    evaluation = msgspec.structs.replace(evaluation, figures={"accuracy": accuracy})
    assert headline(make.report(evaluation)) == (
        "On 372 images it had never seen, it named the right class 88 times in 100 (between 84 and 91). "
        "It is best at longsleeve; most often it takes shirt for t-shirt (10 times)."
    )


def test_few_images_are_counted_before_they_are_shares() -> None:
    accuracy = Estimate(value=1.0, low=0.912, high=1.0, n=40, interval="wilson")
    evaluation = msgspec.structs.replace(
        make.single(("cat", "dog"), 40, right=9.0, part="out-of-fold"), figures={"accuracy": accuracy}
    )
    assert headline(make.report(evaluation)) == (
        "On 40 images, each judged by a model that had never seen it, it named the right class for all of them; "
        "of 100 new ones expect between 91 and 100 right."
    )


def test_hints_name_the_evidence() -> None:
    few = make.report(make.single(("cat", "dog"), 30, right=0.6))
    assert "halve" in hints(few)[0].because
    nothing = make.report(make.single(make.CLOTHING, 400), test=None, validation=make.single(make.CLOTHING, 400))
    assert "Hold out" in hints(nothing)[0].do
    unknown = make.report(make.single(make.CLOTHING, 400), test=None, validation=None)
    assert "Hold out" in hints(unknown)[0].do
    unsure = make.single(make.CLOTHING, 400, right=9.0)
    figures = unsure.figures | {"ece": make.number(0.2, 0.02, 400)}
    spoilt = make.report(msgspec.structs.replace(unsure, figures=figures), skipped=())
    assert any("per cents" in hint.do for hint in hints(spoilt))
