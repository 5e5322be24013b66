"""Training a network, interrupting it, and going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from makers import fieldmark, photo_folder

SETTINGS = ("--model", "lenet", "--epochs", "4", "--batch", "16", "--size", "32", "--patience", "0", "--json")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("small") / "small", per_class=24, size=(32, 32))


def weights_and_graph(bundle: Path) -> tuple[bytes, bytes]:
    return (bundle / "weights.safetensors").read_bytes(), (bundle / "model.onnx").read_bytes()


def test_the_same_recipe_gives_the_same_bytes_and_kill_9_changes_nothing(small: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = fieldmark("train", small, *SETTINGS, "--out", f"{name}.fieldmark", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert weights_and_graph(tmp_path / "one.fieldmark") == weights_and_graph(tmp_path / "two.fieldmark")

    kill_after_the_first_checkpoint(small, tmp_path)
    assert not (tmp_path / "three.fieldmark").exists()
    resumed = fieldmark("train", small, *SETTINGS, "--out", "three.fieldmark", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert weights_and_graph(tmp_path / "one.fieldmark") == weights_and_graph(tmp_path / "three.fieldmark")
    assert not (tmp_path / "three.fieldmark.run").exists()
    report = json.loads((tmp_path / "three.fieldmark" / "report" / "report.json").read_text())
    assert [epoch["epoch"] for epoch in report["epochs"]] == [1, 2, 3, 4]


def test_images_that_are_decoded_for_every_batch_give_the_same_bundle(small: Path, tmp_path: Path) -> None:
    cache = {"FIELDMARK_CACHE": str(tmp_path / "cache")}
    said = {}
    for name, size in (("partly", "150KB"), ("kept", "1GB"), ("streamed", "0")):
        words = ("train", small, *SETTINGS, "--epochs", "1", "--out", f"{name}.fieldmark", "--cache-size", size)
        done = fieldmark(*words, cwd=tmp_path, **cache)
        assert done.returncode == 0, done.stderr
        said[name] = json.loads(done.stdout)
        if name == "partly":
            size = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
            assert 72 * 32 * 32 < size <= 150_000
    files = {name: weights_and_graph(tmp_path / f"{name}.fieldmark") for name in said}
    assert files["kept"] == files["streamed"] == files["partly"]
    manifests = [json.loads((tmp_path / f"{name}.fieldmark" / "fieldmark.json").read_text()) for name in said]
    for manifest in manifests:
        del manifest["created"], manifest["name"]
    assert all(manifest == manifests[0] for manifest in manifests)
    again = {name: [n for n in each["notes"] if "whenever they are needed" in n] for name, each in said.items()}
    assert again["kept"] == []
    assert "72 of 72 images are decoded" in again["streamed"][0]
    assert again["partly"] and "72 of 72" not in again["partly"][0]


def kill_after_the_first_checkpoint(small: Path, folder: Path) -> None:
    words = [sys.executable, "-m", "fieldmark", "train", str(small), *SETTINGS, "--out", "three.fieldmark"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        run_folder = folder / "three.fieldmark.run"
        while running.poll() is None and not list(run_folder.glob("checkpoint*")):
            os.sched_yield()
        os.kill(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL, "the run was over before it could be killed"


def test_resume_with_nothing_to_resume(small: Path, tmp_path: Path) -> None:
    done = fieldmark("train", small, *SETTINGS, "--out", "new.fieldmark", "--resume", cwd=tmp_path)
    assert done.returncode == 2
    assert "no interrupted run" in done.stderr


def test_the_report_shows_what_the_network_was_given_unless_photos_are_to_stay_out(
    small: Path, tmp_path: Path
) -> None:
    asked = ("--augment", "flip+trivial+cutmix", "--out", "views.fieldmark")
    for words, shown in ((asked, True), ((*asked, "--no-thumbnails"), False)):
        done = fieldmark("train", small, *SETTINGS, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        page = (tmp_path / "views.fieldmark" / "report" / "index.html").read_text()
        assert ("What the network was shown" in page) == ("<img" in page) == shown
    manifest = json.loads((tmp_path / "views.fieldmark" / "fieldmark.json").read_text())
    assert manifest["recipe"]["augment"] == manifest["asked"]["augment"] == "flip+trivial+cutmix"


TWO = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "fieldmark",
    "train",
)


def rank_of(process: Path) -> str:
    variables = (process / "environ").read_bytes().split(b"\0")
    return next((each.removeprefix(b"RANK=").decode() for each in variables if each.startswith(b"RANK=")), "")


@pytest.mark.slow
def test_two_processes_speak_and_write_as_one(small: Path, tmp_path: Path) -> None:
    words = [*TWO, str(small), *SETTINGS, "--out", "two.fieldmark"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bundle"] == "two.fieldmark"
    assert done.stderr.count("train: ") == 1 and done.stderr.count("exporting: ") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["two.fieldmark"]
    kept = (tmp_path / "two.fieldmark" / "report" / "log.jsonl").read_text().splitlines()
    assert json.loads(kept[0])["plan"]["processes"] == 2 and json.loads(kept[-1])["kind"] == "end"


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["0", "1"])
def test_a_process_that_the_system_kills_ends_both_in_words_and_the_run_goes_on(
    killed: str, small: Path, tmp_path: Path
) -> None:
    long = ("--model", "lenet", "--epochs", "400", "--batch", "16", "--size", "32")
    words = [*TWO, str(small), *long, "--out", "two.fieldmark"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while running.poll() is None and not list((tmp_path / "two.fieldmark.run").glob("checkpoint*")):
            os.sched_yield()
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        (victim,) = [int(child) for child in children if rank_of(Path("/proc") / child) == killed]
        os.kill(victim, signal.SIGKILL)
        said = running.communicate(timeout=400)[1]
    assert running.returncode != 0
    assert said.count("error: one of the processes that train together has ended") == 1
    assert "--resume" in said and not (tmp_path / "two.fieldmark").exists()
    resumed = fieldmark("train", small, *long, "--out", "two.fieldmark", "--resume", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert any("begun with 2 processes" in note for note in json.loads(resumed.stdout)["notes"])


@pytest.mark.slow
def test_a_mistake_is_told_once_by_two_processes(small: Path, tmp_path: Path) -> None:
    words = [*TWO, str(small), "--model", "lenet", "--schedule", "one-cyle"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode != 0
    assert done.stderr.count("error: unknown schedule") == 1 and "one-cycle" in done.stderr
    assert not list(tmp_path.iterdir())
