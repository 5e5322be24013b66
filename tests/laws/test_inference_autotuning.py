"""How a graph is run is measured once, remembered, told, and never changes an answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fieldmark.bundle.reading import Bundle, open_bundle
from fieldmark.cores import available_cores, instruction_sets, processor_model
from fieldmark.errors import UnknownName
from fieldmark.inference import autotuning, remembering
from fieldmark.inference.autotuning import ENOUGH_IMAGES, burst_rate, choose, fastest_first, measure
from fieldmark.inference.classifier import load
from fieldmark.inference.execution import Execution, candidates, for_many, for_one
from fieldmark.inference.remembering import Circumstances, Measured, recall, remember
from fieldmark.inference.runners import DEFAULT_RUNNER
from makers_bundle import pictures, write_bundle

CORES, SIZES = st.integers(1, 256), st.integers(8, 4096)
HERE = Circumstances(graph="0" * 64, processor="Some Processor", cores=2, runner="onnxruntime", version="1.30.0")


def rated(rate: float, **changes: int) -> Measured:
    values = {"threads": 1, "workers": 2, "batch": 8, **changes}
    return Measured(execution=Execution(runner="onnxruntime", **values), images_per_s=rate)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_bundle(tmp_path_factory.mktemp("bundles") / "tiny.fieldmark"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(pictures(9, 40)):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return sorted(folder.iterdir())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(autotuning, "SLICE_S", 0.0)  # one wave each
    return tmp_path / "cache"


@given(CORES, SIZES)
def test_what_is_worth_measuring_is_little_distinct_and_bounded(cores, size_px):
    found = candidates(cores, size_px, DEFAULT_RUNNER)
    assert found[0] == for_many(cores, size_px) and for_one(cores, size_px) in found
    assert len(set(found)) == len(found) <= 4
    for execution in found:
        in_hand = execution.workers * execution.batch
        assert in_hand * size_px**2 <= 64 * 224**2 or execution.batch == 1
        assert execution.workers <= cores and execution.threads <= cores


def test_two_cores_hold_eight_pictures_of_224_px():
    assert for_many(2, 224) == Execution(runner="onnxruntime", threads=1, workers=2, batch=4)


@pytest.mark.parametrize(
    "execution",
    [
        *candidates(1, 16, DEFAULT_RUNNER),
        *candidates(4, 224, DEFAULT_RUNNER),
        Execution(runner="onnxruntime", threads=3, workers=5, batch=7),
    ],
)
def test_no_execution_changes_an_answer_or_the_order(execution, bundle, photos, tmp_path):
    sources = [*photos, tmp_path / "missing.jpg", *photos[::-1]]
    usual = list(load(bundle.path).predict_many(sources))
    for given_as in (sources, iter(sources)):
        answers = list(load(bundle.path, execution=execution).predict_many(given_as))
        assert [each.source for each in answers] == [str(source) for source in sources]
        for one, other in zip(answers, usual, strict=True):
            assert type(one) is type(other)
            if hasattr(one, "probabilities"):
                assert one.labels == other.labels and np.allclose(one.probabilities, other.probabilities, atol=1e-6)


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=6))
def test_the_fastest_is_first_and_of_equals_the_one_named_first(rates):
    ranked = fastest_first(rated(rate, batch=place + 1) for place, rate in enumerate(rates))
    assert [each.images_per_s for each in ranked] == sorted(rates, reverse=True)
    assert ranked[0].execution.batch == rates.index(max(rates)) + 1


@given(st.integers(1, 9), st.integers(1, 20), st.floats(0.0, 5.0), st.booleans())
def test_the_rate_is_of_whole_work_after_a_wave_however_its_results_come(wave, a_second, slice_s, at_once):
    """Work that gives `a_second` results a second of a clock that this work alone moves on: one after another, or all
    at its end, as from threads that do not finish in turn."""
    now, asked = 0.0, []

    def results(count: int) -> Iterator[int]:
        nonlocal now
        asked.append(count)
        now += 0.0 if len(asked) > 1 else 1000.0  # the first opens files, compiles ...
        for number in range(count):
            now += count / a_second if at_once and not number else 0.0 if at_once else 1 / a_second
            yield number

    rate, counted = burst_rate(results, wave, slice_s, clock=lambda: now)
    assert rate == pytest.approx(a_second)
    assert asked[:2] == [wave, wave] and counted == asked[-1] and counted / a_second >= slice_s - 1e-6


def test_enough_images_are_measured_once_and_remembered(bundle, photos, cache):
    many = list(itertools.islice(itertools.cycle(photos), ENOUGH_IMAGES))
    first = choose(bundle, many)
    assert first.how == "measured" and not first.unkept and first.execution == first.between[0].execution
    assert {each.execution for each in first.between} == set(candidates(available_cores(), 16, DEFAULT_RUNNER))
    assert len(list(cache.rglob("*.json"))) == 1
    for images in (many, []):
        again = choose(bundle, images)
        assert again.how == "remembered" and again.between == first.between
    assert "measured now" in str(first) and "measured before" in str(again)
    assert f"{first.between[0].images_per_s:.0f} images/s" in str(first) and "\n" not in str(first)


def test_few_images_are_not_measured(bundle, photos, cache):
    choice = choose(bundle, photos)
    assert (choice.how, choice.between) == ("usual", ()) and choice.execution == for_many(available_cores(), 16)
    assert not cache.exists() and "too few" in str(choice)


def test_images_that_cannot_be_read_are_nothing_to_measure_on(bundle, tmp_path):
    assert choose(bundle, [tmp_path / "missing.jpg"] * ENOUGH_IMAGES).how == "usual"


def test_what_is_asked_for_is_taken(bundle, photos):
    choice = choose(bundle, photos * 100, threads=3)
    assert choice.how == "asked" and choice.execution == for_many(3, 16) and "as asked" in str(choice)
    assert choose(replace(bundle, runner="onnxruntime"), photos).how == "usual"


def test_a_runner_that_is_not_there_is_helped(bundle):
    with pytest.raises(UnknownName, match="onnxruntim"):
        choose(replace(bundle, runner="onnxruntim"), [])


def test_where_nothing_can_be_kept_it_is_said(bundle, photos, cache):
    cache.write_text("a file stands where the folder should")
    choice = choose(bundle, photos * 100)
    assert choice.how == "measured" and "could not be kept" in str(choice)


def test_each_candidate_is_measured_as_it_would_run(bundle, photos, monkeypatch):
    asked = candidates(2, 16, DEFAULT_RUNNER)
    opened = []
    real = autotuning.ready

    def ready(bundle, execution):
        opened.append(execution)
        return real(bundle, execution)

    monkeypatch.setattr(autotuning, "ready", ready)
    found = list(measure(bundle, asked, photos))
    assert [each.execution for each in found] == list(asked) and all(each.images_per_s > 0 for each in found)
    assert opened == list(asked)


def test_what_is_remembered_is_recalled_in_the_same_circumstances_alone():
    measured = (rated(10.0), rated(5.0, batch=2))
    assert recall(HERE) == () and remember(HERE, measured) == "" and recall(HERE) == measured
    for change in (
        {"graph": "1" * 64},
        {"processor": "Another"},
        {"cores": 4},
        {"version": "2.0.0"},
    ):
        assert recall(msgspec.structs.replace(HERE, **change)) == ()


@pytest.mark.parametrize(
    "encoded", [b"", b"junk", b"[" * 9000, b"\xff\xfe", b'{"circumstances": {}, "measured": []}']
)
def test_what_is_no_longer_whole_is_not_recalled(encoded, cache):
    remember(HERE, (rated(10.0),))
    (file,) = cache.rglob("*.json")
    file.write_bytes(encoded)
    assert recall(HERE) == ()


def test_a_file_of_other_circumstances_is_not_recalled(cache):
    remember(HERE, (rated(10.0),))
    (file,) = cache.rglob("*.json")
    file.write_bytes(file.read_bytes().replace(b"Some Processor", b"Copied From Elsewhere"))
    assert recall(HERE) == () and remembering.KIND in str(file)


@pytest.mark.parametrize("bad", ["threads", "workers", "batch"])
def test_no_count_is_nought(bad, cache):
    remember(HERE, (rated(10.0),))
    (file,) = cache.rglob("*.json")
    kept = msgspec.json.decode(file.read_bytes())
    kept["measured"][0]["execution"][bad] = 0
    file.write_bytes(msgspec.json.encode(kept))
    assert recall(HERE) == ()


def test_the_processor_is_named(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: AMD EPYC 9V74\nprocessor\t: 1\nmodel name\t: x\n"
    )
    assert processor_model(cpuinfo=tmp_path / "cpuinfo") == "AMD EPYC 9V74"
    assert processor_model(cpuinfo=tmp_path / "none") != ""


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "told"),
    [
        ("x86_64", "flags\t: fpu avx2 avx512f avx512_vnni\n", {"int8": "x86-64 with VNNI"}),
        ("AMD64", "flags\t: fpu avx2 avx_vnni\n", {"int8": "x86-64 with VNNI"}),
        (
            "x86_64",
            "flags\t: fpu avx512_bf16 avx_vnni\n",
            {"int8": "x86-64 with VNNI", "bfloat16": "x86-64 with bf16"},
        ),
        ("x86_64", "flags\t: fpu avx2\n", {"int8": "x86-64 without VNNI"}),
        ("x86_64", "", {"int8": "x86-64 without VNNI"}),
        ("aarch64", "Features\t: fp asimd asimddp\n", {"int8": "ARM64 with dot products"}),
        ("aarch64", "Features\t: fp asimd\n", {"int8": "ARM64 without dot products"}),
        ("riscv64", "", {"int8": "riscv64"}),
    ],
)
def test_what_it_computes_with_is_told(machine, cpuinfo, told, tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert instruction_sets(cpuinfo=tmp_path / "cpuinfo") == told
