"""How many images were answered, and which were not: counted as they pass, never held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fieldmark.cli.console import SKIPPED_SHOWN, show_skipped
from fieldmark.cli.rows import Answer
from fieldmark.errors import DataError
from fieldmark.inference.prediction import Failure
from fieldmark.progress import Progress


class Tally:
    """Counts answers; keeps the first few failures, never all. `total` is how many images there are, 0 where nobody
    knows."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.answered = 0
        self.failed = 0
        self.first: list[tuple[str, str]] = []
        self._progress = progress
        self._total = total

    def counting(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """The same answers, each counted as it passes."""
        for answer in answers:
            problem = f"{answer.unreadable.reason}: {answer.unreadable.detail}" if isinstance(answer, Failure) else ""
            self.count(answer.source, problem)
            if self._total:
                remark = f"{self.failed} unreadable" if self.failed else ""
                self._progress("predicting", self.answered + self.failed, self._total, remark)
            yield answer

    def count(self, file: str, problem: str) -> None:
        """One more image; `problem` says why it has no answer, and is empty where it has."""
        if problem:
            self.failed += 1
            if len(self.first) < SKIPPED_SHOWN:
                self.first.append((file, problem))
        else:
            self.answered += 1

    def tell(self, strict: bool) -> None:
        """What was skipped, on standard error. DataError where nothing was answered, or, if `strict`, not all."""
        show_skipped(self.first, self.failed)
        if not self.answered and not self.failed:
            raise DataError("no image was found", where="the sources given", do="name a folder that holds images")
        if self.failed and (strict or not self.answered):
            raise DataError(
                f"{self.failed} of {self.failed + self.answered} images could not be read",
                where=self.first[0][0],
                do="mend or remove them, or leave out --strict" if self.answered else "check that these are images",
            )
