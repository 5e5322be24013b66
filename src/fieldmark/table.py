"""The one registry: rows of a kind, found by name.

Things that are one function each stand in a tuple: `Table("measure", ROWS)`, each row with a `name` and a
`summary`. Things with a body are a folder, one file each: `Table.folder("head", "fieldmark.heads")`. There the
file's stem is the name (`linear_svm.py` is `linear-svm`), the first line of its docstring the summary, and its
`ROW` the row. A folder is listed by reading the files' text, so that the light half can name what it cannot
import; a row's module is imported when the row is asked for.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from fieldmark.errors import UnknownName


class NamedRow(Protocol):
    """What a row in a tuple says of itself."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...


R = TypeVar("R")


class Table(Generic[R]):
    """Rows of one kind by name; a second row of the same name is an error at once."""

    def __init__(self, kind: str, entries: Iterable[tuple[str, str, Callable[[], R]]]) -> None:
        self.kind = kind
        self._entries: dict[str, tuple[str, Callable[[], R]]] = {}
        for name, summary, fetch in entries:
            if name in self._entries:
                raise ValueError(f"two rows of the {kind} table are named {name!r}")
            self._entries[name] = (summary, fetch)

    @classmethod
    def rows(cls, kind: str, rows: Iterable[R]) -> Table[R]:
        """A table of rows that are at hand; each has `name` and `summary`."""
        named = [(cast(NamedRow, row), row) for row in rows]
        return cls(kind, [(of.name, of.summary, partial(_itself, row)) for of, row in named])

    @classmethod
    def folder(cls, kind: str, package: str) -> Table[R]:
        """A table whose rows are the `ROW` of each module in `package` that has one."""
        return cls(kind, _modules_with_a_row(package))

    def __getitem__(self, name: str) -> R:
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name][1]()

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def listing(self) -> tuple[tuple[str, str], ...]:
        """(name, summary) of each row, without importing any."""
        return tuple((name, summary) for name, (summary, _) in self._entries.items())


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The one message for a name that is not there, whatever its kind."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    shown = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of: {shown}"
    return UnknownName(f"unknown {kind} {name!r}", where=f"{kind} = {name!r}", do=hint)


def _itself(row: R) -> R:
    return row


def _modules_with_a_row(package: str) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    # find_spec imports the package's __init__ alone, which holds nothing but its docstring.
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for file in sorted(path for place in places for path in Path(place).glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if any(_assigns_row(node) for node in tree.body):
            summary = (ast.get_docstring(tree) or "").partition("\n")[0]
            yield file.stem.replace("_", "-"), summary, partial(_row_of, f"{package}.{file.stem}")


def _assigns_row(node: ast.stmt) -> bool:
    targets = (
        node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    )
    return any(isinstance(target, ast.Name) and target.id == "ROW" for target in targets)


def _row_of(module: str) -> Any:
    return importlib.import_module(module).ROW
