"""A prediction that goes on where it was cut off, by `kill -9` even: `fieldmark predict ... --resume`.

Beside the output lies its folder, `answers.csv.run`, until the output is whole:

    job.json   what the answers follow from: bundle, form, images, and how the graph is run
    images     the names of all images, in order
    answers    the output so far; it grows by what one run through the graph answered, and becomes the output at last

A run through the graph can differ in its last digit from one with other neighbours. So what goes on begins where a
run began: of a batch that was cut off in the middle of being written, nothing is kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import click
import msgspec

from fieldmark import __version__
from fieldmark.bundle.claiming import try_lock
from fieldmark.cli.names import read_names, write_name
from fieldmark.cli.rows import ROW_FORMS, Answer, written_rows
from fieldmark.cli.tally import Tally
from fieldmark.data.writing import told_of_the_disk, writing_whole
from fieldmark.errors import UsageError
from fieldmark.inference.execution import Execution
from fieldmark.progress import Progress

_JOB, _IMAGES, _ANSWERS = "job.json", "images", "answers"
_GO_ON = "free some space; the same command goes on from here"
_LARGEST_JOB = 2**20


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be the same when a run is gone on with. `bundle` is the sha256 of its list of checksums."""

    bundle: str
    form: str
    top: int
    runner: str | None
    threads: int | None
    version: str = __version__


class _Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    asked: Asked
    images: int
    images_sha256: str
    execution: Execution


_WORDS = {
    "version": "Fieldmark",
    "bundle": "the bundle",
    "form": "--format",
    "top": "--top",
    "runner": "--runner",
    "threads": "--threads",
}


def run_folder(output: Path) -> Path:
    """Where the run that writes `output` keeps what it has."""
    return output.with_name(f"{output.name}.run")


def answer_all(
    output: Path,
    paths: Iterable[Path],
    asked: Asked,
    *,
    choose: Callable[[Iterator[Path]], Execution],
    answer: Callable[[Execution, Iterator[Path]], Iterable[Answer]],
    progress: Progress,
) -> Tally:
    """Writes the answer to each of `paths` to `output`, from the start or from where the last run was cut off.

    `choose` says how the graph is run, from the images; it is asked once, and a run that goes on keeps to it.
    `answer(execution, images)` answers them, in order, in batches of `execution.batch`. UsageError where the folder
    is of another job, or in another process's hands; OutputError where the disk will not take more.
    """
    folder = run_folder(output)
    with told_of_the_disk(output, do=_GO_ON):
        folder.mkdir(exist_ok=True)
        with _alone(folder) as stream:
            images, digest = _list(folder, paths)
            job = _begun(folder, asked, images, digest, choose)
            tally = Tally(progress, images)
            done = _keep_whole_batches(stream, job, tally)
            if done:
                click.echo(f"going on after {done} of {images} images, run by {job.execution}, as before", err=True)
            with closing(_images(folder)) as listed:
                _append(stream, job, answer(job.execution, islice(listed, done, None)), tally)
        (folder / _ANSWERS).replace(output)
        shutil.rmtree(folder)
    return tally


@contextmanager
def _alone(folder: Path) -> Iterator[IO[bytes]]:
    """The answers' file, open to be read and appended to, and locked."""
    with (folder / _ANSWERS).open("a+b") as stream:
        if try_lock(stream.fileno()) is False:
            raise UsageError(
                "another run is just writing these answers",
                where=str(folder),
                do="wait for it to end, or choose another --output",
            )
        yield stream


def _list(folder: Path, paths: Iterable[Path]) -> tuple[int, str]:
    """Writes down every image: how many, and the sha256 of their names."""
    digest, images = hashlib.sha256(), 0
    with (folder / _IMAGES).open("wb") as stream:
        for path in paths:
            digest.update(write_name(stream, str(path)))
            images += 1
    return images, digest.hexdigest()


def _images(folder: Path) -> Generator[Path]:
    with (folder / _IMAGES).open("rb") as stream:
        yield from map(Path, read_names(stream))


def _begun(
    folder: Path, asked: Asked, images: int, digest: str, choose: Callable[[Iterator[Path]], Execution]
) -> _Job:
    """The job of this folder: the one that was begun, if it is the same; else a new one, written down."""
    file = folder / _JOB
    if file.exists():
        begun = _read(file)
        changed = [
            word if name == "bundle" else f"{word} (was {getattr(begun.asked, name)}, is {getattr(asked, name)})"
            for name, word in _WORDS.items()
            if getattr(begun.asked, name) != getattr(asked, name)
        ]
        if digest != begun.images_sha256:
            changed.append(f"the list of images (was {begun.images} long, is {images})")
        if changed:
            raise _not_this_run(f"something has changed since it was begun: {', '.join(changed)}", folder)
        return begun
    with closing(_images(folder)) as listed:
        job = _Job(asked=asked, images=images, images_sha256=digest, execution=choose(listed))
    with writing_whole(file) as stream:
        stream.write(msgspec.json.encode(job))
    return job


def _read(file: Path) -> _Job:
    with file.open("rb") as stream:
        encoded = stream.read(_LARGEST_JOB)
    try:
        return msgspec.json.decode(encoded, type=_Job)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_this_run(f"{file.name} is not as it was written ({error})", file.parent) from None


def _not_this_run(why: str, folder: Path) -> UsageError:
    return UsageError(
        f"the interrupted run cannot be gone on with: {why}",
        where=str(folder),
        do="give the command that began it, or remove this folder to begin anew",
    )


def _keep_whole_batches(stream: IO[bytes], job: _Job, tally: Tally) -> int:
    """Cuts off what is not a whole batch, or begins the file; returns how many images are answered."""
    form = ROW_FORMS[job.asked.form]
    stream.seek(0)
    rows = written_rows(stream, form, job.asked.top)
    done, end = 0, 0
    while wanted := min(job.execution.batch, job.images - done):
        batch = list(islice(rows, wanted))
        if len(batch) < wanted:
            break
        for row in batch:
            tally.count(row.file, row.problem)
        done, end = done + wanted, batch[-1].end
    stream.truncate(end)
    stream.seek(end)
    if not done:
        stream.write(form.header(job.asked.top))
    return done


def _append(stream: IO[bytes], job: _Job, answers: Iterable[Answer], tally: Tally) -> None:
    form, top = ROW_FORMS[job.asked.form], job.asked.top
    counted = tally.counting(answers)
    while batch := list(islice(counted, job.execution.batch)):
        stream.write(b"".join(form.row(answer, top) for answer in batch))
        stream.flush()
    stream.flush()
    os.fsync(stream.fileno())
