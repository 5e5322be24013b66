"""Every runner: the same answers on the same pixels, whatever the threads, and from several threads at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fieldmark.errors import BundleError
from fieldmark.inference import openvino
from fieldmark.inference.runner import open_graph
from fieldmark.inference.runners import DEFAULT_RUNNER, RUNNERS
from makers_bundle import SIZE_PX, graph, pictures

every_runner = pytest.mark.parametrize("name", list(RUNNERS))
PIXELS = pictures(64)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(graph())
    return tmp_path / "model.onnx"


@every_runner
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_class_and_nearly_the_same_logits_as_the_reference(name: str, threads: int, file: Path) -> None:
    embedding, logits = RUNNERS[name].open(file, threads, 1, 5).run(PIXELS)
    expected_embedding, expected = open_graph(file, threads=1).run(PIXELS)
    assert len(set(expected.argmax(axis=1))) > 1
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.allclose(logits, expected, atol=1e-4) and np.allclose(embedding, expected_embedding, atol=1e-4)


@every_runner
@pytest.mark.parametrize("images", [1, 2, 5, 7])
def test_any_number_of_pictures_is_answered_whatever_batch_it_was_opened_for(
    name: str, images: int, file: Path
) -> None:
    for batch in (1, 2, 5):
        embedding, logits = RUNNERS[name].open(file, 1, 1, batch).run(PIXELS[:images])
        assert len(embedding) == len(logits) == images
        assert np.allclose(logits, open_graph(file, threads=1).run(PIXELS[:images])[1], atol=1e-4)


@every_runner
def test_it_is_safe_to_share_between_threads(name: str, file: Path) -> None:
    runner = RUNNERS[name].open(file, 1, 4, 1)
    alone = [runner.run(PIXELS[row : row + 1])[1] for row in range(len(PIXELS))]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda row: runner.run(PIXELS[row : row + 1])[1], [*range(len(PIXELS))] * 5))
    assert all(np.array_equal(one, again) for one, again in zip(alone * 5, together, strict=True))


def test_a_large_graph_has_one_copy_for_all_workers_and_answers_alike(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []
    real = openvino._compiled

    def counted(path: Path, opened: tuple[object, ...], settings: dict[str, object], size: int) -> object:
        compiled.append(size)
        return real(path, opened, settings, size)

    def answers() -> list[np.ndarray]:
        runner = RUNNERS["openvino"].open(file, 1, 4, 2)
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda row: runner.run(PIXELS[row : row + 2])[1], [*range(0, len(PIXELS), 2)] * 5))

    monkeypatch.setattr(openvino, "_compiled", counted)
    monkeypatch.setattr(openvino, "available_cores", lambda: 4)
    copied = answers()
    compiled.clear()
    monkeypatch.setattr(openvino, "_MOST_COPIED_BYTES", 0)
    assert np.allclose(np.concatenate(copied), np.concatenate(answers()), atol=1e-5)
    assert compiled == [2]


@every_runner
@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_graph_that_is_exchanged_once_it_is_open_never_answers(name: str, how: str, file: Path) -> None:
    """OpenVINO compiles for a size of batch when that comes; what lies there then may be another model."""
    runner = RUNNERS[name].open(file, 1, 1, 4)
    expected = open_graph(file, threads=1).run(PIXELS)[1]
    file.unlink()
    if how == "replaced":
        file.write_bytes(graph(seed=7))
    try:
        logits = runner.run(PIXELS)[1]
    except BundleError as error:
        assert "open" in error.do or "graph cannot be used" in error.what
    else:
        assert np.allclose(logits, expected, atol=1e-4)


@every_runner
def test_what_is_no_graph_is_refused_in_words(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"junk")
    with pytest.raises(BundleError, match="graph cannot be used") as refusal:
        RUNNERS[name].open(tmp_path / "model.onnx", 1, 1, 1)
    assert f"pip install -U {name})" in refusal.value.do


@every_runner
def test_it_tells_its_version(name: str) -> None:
    assert RUNNERS[name].version()[0].isdigit()


def test_the_default_is_a_row() -> None:
    assert DEFAULT_RUNNER in RUNNERS


@every_runner
def test_a_signal_after_threads_used_it_does_no_harm(name: str, file: Path) -> None:
    """OpenVINO's own stack for signals went with its last user, wherever that was."""
    program = (
        "import os, signal, sys, threading\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from fieldmark.inference.runners import RUNNERS\n"
        f"open_it, file = RUNNERS[{name!r}].open, Path({str(file)!r})\n"
        "runner = open_it(file, 1, 2, 1)\n"
        f"pixels = np.zeros((1, {SIZE_PX}, {SIZE_PX}, 3), np.uint8)\n"
        "kept = [runner]\n"
        "del runner\n"
        "def last():\n"
        "    kept[0].run(pixels)\n"
        "    kept.clear()\n"
        "thread = threading.Thread(target=last)\n"
        "thread.start()\n"
        "thread.join()\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('heard'))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


FIRST = """
import os, sys, threading
import numpy as np
from pathlib import Path
from fieldmark.inference.runners import RUNNERS

sys.setswitchinterval(1e-6)
runner = RUNNERS[sys.argv[1]].open(Path(sys.argv[2]), 1, 2, 1)
pixels = np.zeros((1, runner.size_px, runner.size_px, 3), np.uint8)
all_at_once = threading.Barrier(8)
threads = [threading.Thread(target=lambda: (all_at_once.wait(), runner.run(pixels)), daemon=True) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
os._exit(0)
"""


@every_runner
def test_several_threads_may_be_the_first_to_use_it(name: str, file: Path) -> None:
    """OpenVINO's bindings set something up at the first use, and two threads at once then waited for each other: one
    process in three stood still here, holding the interpreter's lock."""
    words = [sys.executable, "-c", FIRST, name, str(file)]
    processes = [subprocess.Popen(words) for _ in range(6)]
    try:
        assert [process.wait(60) for process in processes] == [0] * 6
    finally:
        for process in processes:
            process.kill()
            process.wait()
