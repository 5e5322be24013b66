"""After any end of writing there stands the old bundle or the new one, whole, and nothing beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fieldmark.bundle.layout import GRAPH, SUMS
from fieldmark.bundle.reading import open_bundle
from fieldmark.bundle.schema import Decision
from fieldmark.bundle.writing import seal, staged
from fieldmark.errors import BundleError, OutputError
from makers_bundle import graph, manifest, write_bundle

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a bundle shall stand: in a folder of its own, so that whatever is left shows."""
    (tmp_path / "parent").mkdir()
    return tmp_path / "parent" / "tiny.fieldmark"


def name_at(out: Path) -> str:
    return open_bundle(out).manifest.name


def left_beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir() if path != out)


def test_writes_and_replaces(out: Path) -> None:
    write_bundle(out, name="old")
    write_bundle(out, name="new")
    assert name_at(out) == "new" and left_beside(out) == []


def test_replaces_an_empty_folder(out: Path) -> None:
    out.mkdir()
    write_bundle(out)
    assert name_at(out) == "tiny" and left_beside(out) == []


def test_a_link_to_a_bundle_stays_a_link(out: Path) -> None:
    link = out.parent.parent / "link"
    write_bundle(out, name="old")
    link.symlink_to(out)
    write_bundle(link, name="new")
    assert link.is_symlink() and name_at(out) == "new"


@pytest.mark.parametrize("there", ["file", "folder", "bundle with a stranger", "damaged bundle"])
def test_refuses_what_is_in_the_way_before_any_work(out: Path, there: str) -> None:
    if there == "file":
        out.write_text("precious")
    elif there == "folder":
        out.mkdir()
        (out / "precious.txt").write_text("precious")
    else:
        write_bundle(out)
        (out / "precious.txt").write_text("precious")
        if there == "damaged bundle":
            (out / SUMS).unlink()
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(OutputError, match=r"in the way|not its own"), staged(out):
        pytest.fail("work began")
    assert sorted(out.parent.rglob("*")) == before


def test_refuses_a_missing_parent_before_any_work(out: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"), staged(out / "below" / "it"):
        pytest.fail("work began")
    assert left_beside(out) == []


def test_spares_what_came_in_the_way_meanwhile(out: Path) -> None:
    with pytest.raises(OutputError, match="in the way"), staged(out) as folder:
        (folder / GRAPH).write_bytes(graph())
        seal(folder, manifest())
        out.mkdir()
        (out / "precious.txt").write_text("precious")
    assert (out / "precious.txt").read_text() == "precious" and left_beside(out) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, BundleError])
@pytest.mark.parametrize("had_one", [True, False])
def test_an_error_leaves_nothing(out: Path, error: type[BaseException], had_one: bool) -> None:
    if had_one:
        write_bundle(out, name="old")
    raised = error("boom", where="", do="") if error is BundleError else error("boom")
    with pytest.raises(error), staged(out) as folder:
        (folder / GRAPH).write_bytes(b"half")
        raise raised
    assert left_beside(out) == [] and out.exists() == had_one
    assert not had_one or name_at(out) == "old"


def test_an_unsealed_bundle_is_not_moved(out: Path) -> None:
    with pytest.raises(ValueError, match="sealed"), staged(out):
        pass
    assert left_beside(out) == [] and not out.exists()


def test_seal_refuses_what_reading_would_refuse(tmp_path: Path) -> None:
    for temperature in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature"):
            seal(tmp_path, manifest(decision=Decision(temperature=temperature)))
    with pytest.raises(ValueError, match="JSON compliant"):
        seal(tmp_path, manifest(recipe={"learning_rate": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_sealing_again_covers_what_was_added(out: Path) -> None:
    with staged(out) as folder:
        (folder / GRAPH).write_bytes(graph())
        seal(folder, manifest())
        (folder / "report").mkdir()
        (folder / "report" / "index.html").write_text("<p>")
        seal(folder, manifest(name="second"))
    assert name_at(out) == "second"
    (out / "report" / "index.html").write_text("<q>")
    with pytest.raises(BundleError, match=r"report/index\.html"):
        open_bundle(out)


def test_nothing_that_is_written_is_lost_in_reading(out: Path) -> None:
    whole = manifest(recipe={"sizes": [1, 2.5, -3e-7], "deep": {"er": [[1], ["a", None]]}})
    with staged(out) as folder:
        (folder / GRAPH).write_bytes(graph())
        seal(folder, whole)
    assert msgspec.to_builtins(open_bundle(out).manifest) == msgspec.to_builtins(whole)


FILL = """
import resource, sys
from pathlib import Path
from fieldmark.bundle.writing import staged
from fieldmark.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with staged(Path(sys.argv[1])) as folder:
        (folder / "model.onnx").write_bytes(bytes(200_000))
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("had_one", [True, False])
def test_a_disk_that_takes_no_more_leaves_nothing(out: Path, had_one: bool) -> None:
    """The kernel refuses the write, as on a full disk; the limit binds root too."""
    if had_one:
        write_bundle(out, name="old")
    done = subprocess.run(
        [sys.executable, "-c", FILL, out], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert "could not be written" in done.stdout and f"where: {out}" in done.stdout and "do:" in done.stdout
    assert left_beside(out) == [] and out.exists() == had_one
    assert not had_one or name_at(out) == "old"


def test_a_full_device_is_said(out: Path) -> None:
    """/dev/full answers every write with "no space left on device"."""
    with pytest.raises(OutputError, match="disk is full"), staged(out) as folder:
        (folder / GRAPH).symlink_to("/dev/full")
        (folder / GRAPH).write_bytes(b"x" * 10_000)
    assert left_beside(out) == []


def test_a_folder_that_may_not_be_written_is_said() -> None:
    """/sys takes no folders from anybody, root included."""
    with (
        pytest.raises(OutputError, match="could not be written"),
        staged(Path("/sys/tiny.fieldmark")),
    ):
        pytest.fail("work began")


def test_a_fault_of_another_file_is_not_called_ours(out: Path, tmp_path: Path) -> None:
    with pytest.raises(PermissionError), staged(out):
        raise PermissionError(13, "not allowed", str(tmp_path / "photo.jpg"))
    assert left_beside(out) == []


DIE = """
import os, shutil, signal, sys
from pathlib import Path
import msgspec
from fieldmark.bundle.reading import open_bundle
from fieldmark.bundle.writing import seal, staged

out, move = Path(sys.argv[1]), int(sys.argv[2])
old = open_bundle(out)
moves = iter(range(10))
def die_at(path, target, rename=Path.rename):
    if next(moves) == move:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)

Path.rename = die_at
with staged(out) as folder:
    shutil.copy(old.graph, folder)
    seal(folder, msgspec.structs.replace(old.manifest, name="new"))
"""


@pytest.mark.parametrize(("move", "standing"), [(0, "old"), (1, None)])
def test_killed_between_the_moves_the_old_one_comes_back(out: Path, move: int, standing: str | None) -> None:
    write_bundle(out, name="old")
    died = subprocess.run([sys.executable, "-c", DIE, out, str(move)], env=ENVIRONMENT, check=False)
    assert died.returncode == -signal.SIGKILL
    assert left_beside(out) != []
    if standing is None:
        with pytest.raises(BundleError, match=r"get it back with: mv"):
            open_bundle(out)
    else:
        assert name_at(out) == standing
    with pytest.raises(RuntimeError), staged(out):
        assert name_at(out) == "old"
        raise RuntimeError
    assert name_at(out) == "old" and left_beside(out) == []


def test_killed_after_the_moves_the_new_one_stays(out: Path) -> None:
    write_bundle(out, name="new")
    write_bundle(out.parent / f".{out.name}.previous", name="old")
    with pytest.raises(RuntimeError), staged(out):
        raise RuntimeError
    assert name_at(out) == "new" and left_beside(out) == []


def test_a_writer_at_work_is_no_leftover(out: Path) -> None:
    with staged(out) as first:
        (first / GRAPH).write_bytes(graph())
        write_bundle(out, name="second")
        assert first.is_dir()
        seal(first, manifest(name="first"))
    assert name_at(out) == "first" and left_beside(out) == []
