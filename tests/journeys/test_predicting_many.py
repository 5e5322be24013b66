"""A folder of any size: cut off by kill -9 and gone on with, measured and remembered, and where the time goes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark.data.geometry import Geometry
from makers import assert_clear, fieldmark, photo, refused
from makers_bundle import graph, write_bundle, write_bundle_with_canaries

SIDE_PX = 112  # 16 pictures a batch
ROWS = 420


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose pictures are large enough to be answered in several batches."""
    return write_bundle(
        tmp_path_factory.mktemp("tiny") / "tiny.fieldmark",
        encoded_graph=graph(size_px=SIDE_PX),
        geometry=Geometry(size_px=SIDE_PX),
    )


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of the same few photos over and over; one in five is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    for number, colour in enumerate(("red", "green", "blue", "yellow")):
        photo(colour, number, (600, 450)).save(folder / f"{colour}, {number}.jpg")
    (folder / "broken.jpg").write_text("no photo")
    files = sorted(folder.glob("*.jpg"))
    (folder / "list.txt").write_text("".join(f"{files[row % len(files)]}\n" for row in range(ROWS)))
    return folder / "list.txt"


def predict(bundle: Path, listed: Path, out: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return fieldmark("predict", bundle, "-", "--output", out, "--resume", cwd=folder, stdin=listed.read_bytes())


def kill_after_some_batches(bundle: Path, listed: Path, out: str, folder: Path) -> bytes:
    """What was written until then."""
    words = [sys.executable, "-m", "fieldmark", "predict", str(bundle), "-", "--output", out, "--resume"]
    answers = folder / f"{out}.run" / "answers"
    several_batches = 8000  # bytes
    with (
        listed.open("rb") as stdin,
        subprocess.Popen(words, cwd=folder, stdin=stdin, stderr=subprocess.PIPE) as running,
    ):
        while running.poll() is None and not (answers.exists() and answers.stat().st_size > several_batches):
            os.sched_yield()
        os.kill(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL, "the run was over before it could be killed"
    return answers.read_bytes()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_kill_9_loses_nothing(form: str, tiny: Path, listed: Path, tmp_path: Path) -> None:
    whole = predict(tiny, listed, f"whole.{form}", tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert f"predicting: {ROWS} done" in whole.stderr and "skipped 84 unreadable files" in whole.stderr
    expected = (tmp_path / f"whole.{form}").read_bytes()

    written = kill_after_some_batches(tiny, listed, f"cut.{form}", tmp_path)
    assert expected.startswith(written) and not (tmp_path / f"cut.{form}").exists()
    # The end of a file that a system's crash cut off, in the middle of a row.
    (tmp_path / f"cut.{form}.run" / "answers").write_bytes(written[:-3])
    resumed = predict(tiny, listed, f"cut.{form}", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / f"cut.{form}").read_bytes() == expected
    assert "skipped 84 unreadable files" in resumed.stderr
    assert f" of {ROWS} images, run by onnxruntime" in resumed.stderr
    assert not (tmp_path / f"cut.{form}.run").exists()


def test_the_plain_command_writes_the_same_file(tiny: Path, listed: Path, tmp_path: Path) -> None:
    resumable = predict(tiny, listed, "one.csv", tmp_path)
    plain = fieldmark("predict", tiny, "-", "--output", "two.csv", cwd=tmp_path, stdin=listed.read_bytes())
    assert resumable.returncode == plain.returncode == 0, resumable.stderr + plain.stderr
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "one.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == listed.read_text().splitlines()
    assert sum(bool(row["error"]) for row in rows) == 84


def test_another_command_does_not_go_on_with_it(tiny: Path, listed: Path, tmp_path: Path) -> None:
    kill_after_some_batches(tiny, listed, "cut.csv", tmp_path)
    listed_again = (listed.read_text() + "one-more.jpg\n").encode()
    words = ("predict", tiny, "-", "--output", "cut.csv")
    longer = fieldmark(*words, "--resume", cwd=tmp_path, stdin=listed_again)
    assert_clear(longer, "the list of images (was 420 long, is 421)", "cut.csv.run")
    plain = fieldmark(*words, cwd=tmp_path, stdin=listed.read_bytes())
    assert plain.returncode == 0 and "--resume goes on with them" in plain.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resume",), "--resume without --output"),
        (("--resume", "--output", "answers.parquet"), "--resume with --format parquet"),
        (("--resume", "--output", "answers"), "--resume with --format text"),
        (("--resume", "--output", "answers.csv", "--json"), "--resume with --format json"),
        (("--output", "."), "this is a folder"),
        (("--runner", "onnxruntim"), "did you mean onnxruntime"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(
    words: tuple[str, ...], said: str, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    photo("red", 1).save(tmp_path / "photos" / "1.jpg")
    assert_clear(refused("predict", tiny, "photos", *words, cwd=tmp_path), said)
    assert [file.name for file in tmp_path.iterdir()] == ["photos"]


def test_how_it_is_run_is_measured_once_and_told(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    photo("red", 1, (40, 40)).save(tmp_path / "photos" / "0.jpg")
    for number in range(1, 520):
        (tmp_path / "photos" / f"{number}.jpg").hardlink_to(tmp_path / "photos" / "0.jpg")
    cache = {"FIELDMARK_CACHE": str(tmp_path / "cache")}
    said = {}
    for name, words in {"first": (), "again": (), "forced": ("--threads", "1", "--runner", "onnxruntime")}.items():
        done = fieldmark("predict", tiny, "photos", "--output", f"{name}.csv", *words, cwd=tmp_path, **cache)
        assert done.returncode == 0, done.stderr
        (said[name],) = [line for line in done.stderr.splitlines() if line.startswith("run by onnxruntime, ")]
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) == 521
    assert "images/s" in said["first"] and "measured now" in said["first"] and "measured before" in said["again"]
    assert "1 worker, 1 thread a run" in said["forced"] and "as asked" in said["forced"]


def test_bench_shows_where_the_time_goes(tmp_path: Path) -> None:
    bundle = write_bundle_with_canaries(tmp_path / "canaries.fieldmark")
    done = fieldmark("bench", bundle, "--seconds", "0.5", "--threads", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == 9 and "canaries" in found["source"] and found["choice"]["how"] == "asked"
    for stage in ("decode", "decode_and_geometry", "inference", "together"):
        assert found["images_per_s"][stage]["median"] > 0 and 3 <= found["images_per_s"][stage]["n"] <= 5
    assert found["latency"]["p50_ms"] <= found["latency"]["p99_ms"] and found["latency"]["n"] >= 10
    assert 20 < found["peak_mb"] < 1000 and found["process_s"]["n"] == 3


def test_bench_measures_the_images_that_are_given(tiny: Path, listed: Path, tmp_path: Path) -> None:
    done = fieldmark("bench", tiny, listed.parent, "--seconds", "0.5", "--threads", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 images (the images given)" in done.stdout
    for words in ("decode alone", "all together", "bytes to answer: p50", "everything else", "most memory"):
        assert words in done.stdout
    assert_clear(refused("bench", tiny, cwd=tmp_path), "no canaries", "fieldmark bench BUNDLE FOLDER")
