"""Several processes give what one gives: batches divided over two of them, which talk by gloo, for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

import makers_training as make
from fieldmark.errors import UsageError
from fieldmark.training import checkpoint, together
from fieldmark.training.logbook import LOG
from fieldmark.training.loop import fit
from fieldmark.training.plan import Plan

# Fits the tiny network as the plan in FOLDER/plan.json says; the main process leaves its weights there, and each says
# what it has seen.
CHILD = """
import json, os, sys
from pathlib import Path
import msgspec, torch
from safetensors.torch import save_file
import makers_training as make
from fieldmark.errors import FieldmarkError
from fieldmark.ranks import rank
from fieldmark.training import running
from fieldmark.training.loop import fit
from fieldmark.training.plan import Plan

running.SAVE_S = 1e9
folder, case = Path(sys.argv[1]), json.loads(sys.argv[2])
plan = msgspec.json.decode((folder / "plan.json").read_bytes(), type=Plan)
network = make.network(seed=rank(), plain=case["plain"])  # begun unlike, to be made alike
seen = []

def look(module, inputs):
    if module.training:
        seen.append(len(inputs[0]))
        if case.get("most") and rank() == 1 and len(inputs[0]) > case["most"]:
            raise torch.OutOfMemoryError("CUDA out of memory.")

network.register_forward_pre_hook(look)

def progress(stage, done, total, remark=""):
    if rank() == 1 and done == case.get("killed_at"):
        os.kill(os.getpid(), 9)

try:
    job = make.job(folder, resume=case.get("resume", False), progress=progress)
    fitted = fit(network, job, plan)
except FieldmarkError as error:
    (folder / f"error-{rank()}").write_text(str(error))
    sys.exit(error.exit_code)
weights = {name: value.contiguous() for name, value in network.state_dict().items()}
save_file(weights, folder / f"weights-{rank()}.safetensors")
(folder / f"seen-{rank()}.json").write_text(json.dumps([seen, fitted.plan.halvings]))
"""


def run(folder: Path, plan: Plan, **case: object) -> subprocess.CompletedProcess[bytes]:
    folder.mkdir(exist_ok=True)
    (folder / "child.py").write_text(CHILD)
    (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    words = (*launch, folder / "child.py", folder, json.dumps({"plain": True, **case}))
    return subprocess.run([str(w) for w in words], env=environment, capture_output=True, check=False, timeout=400)


def changed(**changes: object) -> Plan:
    return msgspec.structs.replace(make.PLAN, **changes)


def alone(folder: Path, plan: Plan) -> dict[str, torch.Tensor]:
    folder.mkdir()
    network = make.network(plain=True)
    fit(network, make.job(folder), plan)
    return dict(network.state_dict())


def alike(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    found = [load_file(folder / f"weights-{number}.safetensors") for number in range(2)]
    for name, weights in expected.items():
        assert torch.equal(found[0][name], found[1][name]), "processes have drifted apart"
        assert torch.allclose(found[0][name], weights, rtol=1e-3, atol=1e-5), name


@pytest.mark.slow
def test_two_processes_give_the_result_of_one_with_a_batch_that_is_odd_and_memory_for_few_in_one(tmp_path):
    plan = changed(batch=15, clip=1.0, average=0.1)
    done = run(tmp_path / "two", plan, most=5)
    assert done.returncode == 0, done.stderr.decode()
    alike(tmp_path / "two", alone(tmp_path / "one", plan))
    (first, halvings), (second, theirs) = (
        json.loads((tmp_path / "two" / f"seen-{number}.json").read_text()) for number in range(2)
    )
    # Seven images for one, eight for the other, who has memory for five: then both go in fours at most.
    assert (first[0], second[0]) == (7, 8) and halvings == theirs == [[0, 4]]
    assert first[1:3] == [4, 3] and second[1:3] == [4, 4]
    lines = (tmp_path / "two" / LOG).read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines].count("end") == 1


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_in_words_and_costs_no_step(tmp_path):
    plan = changed(epochs=6)
    done = run(tmp_path / "killed", plan, killed_at=10)
    assert done.returncode != 0
    said = (tmp_path / "killed" / "error-0").read_text()
    assert "has ended" in said and "--resume" in said
    standing, _ = checkpoint.load(tmp_path / "killed")
    assert standing.step == 10
    resumed = run(tmp_path / "killed", plan, resume=True)
    assert resumed.returncode == 0, resumed.stderr.decode()
    alike(tmp_path / "killed", alone(tmp_path / "one", plan))


@pytest.mark.slow
def test_with_batch_norm_the_statistics_are_the_same_in_all(tmp_path):
    done = run(tmp_path / "two", make.PLAN, plain=False)
    assert done.returncode == 0, done.stderr.decode()
    first, second = (load_file(tmp_path / "two" / f"weights-{number}.safetensors") for number in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("count", [2, 3, 7, 100])
@pytest.mark.parametrize("processes", [1, 2])
def test_shares_are_even_and_leave_nothing_out(count, processes, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    parts = []
    for number in range(processes):
        monkeypatch.setenv("RANK", str(number))
        parts.append(range(count)[together.share(count)])
    assert [row for part in parts for row in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fewer_images_than_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="cannot be shared"):
        together.share(1)


def test_told_to_end_it_saves_and_says_so(tmp_path, monkeypatch):
    """A scheduler's SIGTERM, in the only process there is; resumed, it is as if left alone."""
    from fieldmark.errors import Interrupted

    def tell(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    network, left_alone = make.network(), make.network()
    with pytest.raises(Interrupted, match="after step 6"):
        fit(make.network(), make.job(tmp_path, progress=tell), make.PLAN)
    assert signal.getsignal(signal.SIGTERM) is handler
    fit(network, make.job(tmp_path, resume=True), make.PLAN)
    (tmp_path / "alone").mkdir()
    fit(left_alone, make.job(tmp_path / "alone"), make.PLAN)
    assert make.weights(network) == make.weights(left_alone)
