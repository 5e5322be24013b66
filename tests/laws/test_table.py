"""One registry: names are unique, a wrong name is helped, listing imports nothing."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.errors import UnknownName, UsageError
from fieldmark.table import Table, unknown_name

NAMES = st.text(alphabet="abcdefgh-_", min_size=1, max_size=8)


@dataclass(frozen=True, kw_only=True)
class Thing:
    name: str
    summary: str = "A thing."


@given(st.lists(NAMES, unique=True))
def test_rows_are_found_by_name_in_the_order_given(names):
    rows = [Thing(name=name) for name in names]
    table = Table.rows("thing", rows)
    assert list(table) == names and len(table) == len(names)
    assert [table[name] for name in table] == rows
    assert table.listing() == tuple((name, "A thing.") for name in names)


@given(st.lists(NAMES, min_size=1, unique=True), st.data())
def test_a_second_row_of_a_name_is_refused(names, data):
    again = data.draw(st.sampled_from(names))
    with pytest.raises(ValueError, match="two rows of the thing table"):
        Table.rows("thing", [Thing(name=name) for name in [*names, again]])


def test_a_misspelt_name_is_told_what_was_probably_meant():
    table = Table.rows("head", [Thing(name="logistic"), Thing(name="linear-svm"), Thing(name="knn")])
    with pytest.raises(UnknownName) as caught:
        table["logistc"]
    assert "'logistc'" in caught.value.what and caught.value.where == "head = 'logistc'"
    assert caught.value.do == "did you mean logistic?"
    assert isinstance(caught.value, UsageError) and caught.value.exit_code == 2


def test_a_name_like_no_other_is_shown_the_choice():
    assert unknown_name("head", "zzz", ["knn", "forest"]).do == "choose one of: forest, knn"


def test_a_long_choice_is_cut_and_counted():
    hint = unknown_name("model", "zzz", [f"net{number:03}" for number in range(50)]).do
    assert "net019" in hint and "net020" not in hint and "50 in all" in hint


def _package(folder: Path, **files: str) -> None:
    (folder / "shelf").mkdir()
    (folder / "shelf" / "__init__.py").write_text('"""Rows."""\n')
    for stem, text in files.items():
        (folder / "shelf" / f"{stem}.py").write_text(text)


def _run(folder: Path, program: str) -> list[str]:
    source = Path(__file__).parents[2] / "src"
    program = f"import sys; sys.path[:0] = [{str(source)!r}, {str(folder)!r}]\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_folder_is_listed_without_importing_its_rows(tmp_path):
    _package(
        tmp_path,
        linear_svm='"""Linear support vectors.\n\nMore."""\nROW = 1\n',
        typed='"""Typed."""\nROW: int = 2\n',
        broken='"""Cannot be imported here."""\nimport a_package_that_is_not_installed\nROW = 3\n',
        shared='"""No row."""\nOTHER = 4\n',
    )
    shown = _run(
        tmp_path,
        "from fieldmark.table import Table\n"
        "table = Table.folder('thing', 'shelf')\n"
        "print(table.listing()); print([m for m in sys.modules if m.startswith('shelf.')])\n"
        "print(table['linear-svm'], table['typed']); print(sorted(m for m in sys.modules if m.startswith('shelf.')))",
    )
    assert shown == [
        "(('broken', 'Cannot be imported here.'), ('linear-svm', 'Linear support vectors.'), ('typed', 'Typed.'))",
        "[]",
        "1 2",
        "['shelf.linear_svm', 'shelf.typed']",
    ]
