"""The house rules that a reader of the source can rely on. Each rule is shown a fault that it must find."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "src").rglob("*.py"))
FUNCTION_LINES, FILE_LINES = 60, 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    return ((ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def _keyword(call: ast.Call, name: str) -> object:
    value = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else None


def long_function(tree: ast.Module) -> Iterator[str]:
    for function in _functions(tree):
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES:
            yield f"{function.name} has {lines} lines"


def long_file(tree: ast.Module) -> Iterator[str]:
    if tree.body and (lines := tree.body[-1].end_lineno or 0) > FILE_LINES:
        yield f"{lines} lines"


def thawed_value(tree: ast.Module) -> Iterator[str]:
    """A dataclass or Struct that can be changed after it was made."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        is_struct = any(ast.unparse(parent).endswith("Struct") for parent in node.bases)
        if is_struct and not any(
            word.arg == "frozen" and ast.unparse(word.value) == "True" for word in node.keywords
        ):
            yield node.name
        for decorator in node.decorator_list:
            if "dataclass" in ast.unparse(decorator) and "frozen=True" not in ast.unparse(decorator):
                yield node.name


def runs_code(tree: ast.Module) -> Iterator[str]:
    """Anything that could run what a file says. The name of pickle's error alone may be had: torch raises it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in ("pickle", "marshal", "shelve", "dill"))
        if isinstance(node, ast.ImportFrom) and node.module == "pickle":
            yield from (name.name for name in node.names if name.name != "UnpicklingError")
    for name, call in _calls(tree):
        if name in ("eval", "exec", "compile", "__import__", "joblib.load", "os.system", "yaml.load"):
            yield name
        if name == "torch.load" and _keyword(call, "weights_only") is not True:
            yield "torch.load without weights_only=True"
        if _keyword(call, "allow_pickle") is True:
            yield f"{name} with pickles"
        if _keyword(call, "shell") is True:
            yield f"{name} with a shell"


def broad_except(tree: ast.Module) -> Iterator[str]:
    """Catching everything is allowed to whoever cleans up and raises again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in ("everything", "Exception", "BaseException"):
                yield f"except {caught}, line {node.lineno}"


def prints(tree: ast.Module) -> Iterator[str]:
    yield from (f"line {call.lineno}" for name, call in _calls(tree) if name == "print")


@dataclass(frozen=True, kw_only=True)
class Rule:
    find: Callable[[ast.Module], Iterator[str]]
    fault: str
    but_not_in: tuple[str, ...] = ()  # rooms, or files where it is the point


RULES = (
    Rule(find=long_function, fault="def f():\n" + "    x = 1\n" * 60),
    Rule(find=long_file, fault="x = 1\n" * 401),
    Rule(find=thawed_value, fault="@dataclass(slots=True)\nclass A:\n    x: int"),
    Rule(find=thawed_value, fault="@dataclass\nclass A:\n    x: int"),
    Rule(find=thawed_value, fault="class A(msgspec.Struct, kw_only=True):\n    x: int"),
    Rule(find=runs_code, fault="import pickle"),
    Rule(find=runs_code, fault="from pickle import loads"),
    Rule(find=runs_code, fault="torch.load(path)"),
    Rule(find=runs_code, fault="torch.load(path, weights_only=False)"),
    Rule(find=runs_code, fault="np.load(path, allow_pickle=True)"),
    Rule(find=runs_code, fault="eval(text)"),
    Rule(find=runs_code, fault="subprocess.run(text, shell=True)"),
    Rule(find=broad_except, fault="try: f()\nexcept Exception: pass"),
    Rule(find=broad_except, fault="try: f()\nexcept: pass"),
    Rule(find=prints, fault="print(1)", but_not_in=("cli",)),
)
IDS = [f"{rule.find.__name__}-{number}" for number, rule in enumerate(RULES)]


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_the_rule_finds_its_fault(rule):
    assert list(rule.find(ast.parse(rule.fault)))


@pytest.mark.parametrize("rule", {rule.find: rule for rule in RULES}.values(), ids=lambda rule: rule.find.__name__)
def test_the_source_keeps_the_rule(rule):
    allowed = [ROOT / "src" / "fieldmark" / place for place in rule.but_not_in]
    files = [file for file in FILES if not any(file == place or place in file.parents for place in allowed)]
    offences = [
        f"{file.relative_to(ROOT)}: {offence}"
        for file in files
        for offence in rule.find(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert offences == []


def test_no_module_has_a_name_that_says_nothing():
    assert [str(file.relative_to(ROOT)) for file in FILES if file.stem in VAGUE or file.parent.name in VAGUE] == []


def _tables() -> dict[str, Path]:
    """Each `NAME = Table.rows(...)` or `Table.folder(...)` of the source, and its file."""
    tables = {}
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            made = ast.unparse(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value else ""
            if made.startswith(("Table.rows(", "Table.folder(", "Table(")):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                tables[ast.unparse(target)] = file
    return tables


def test_every_table_has_its_contract():
    contracts = [ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "tests" / "contracts").glob("*.py")]
    tested = {
        name.name
        for tree in contracts
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    tables = _tables()
    assert {"ENCODERS", "HEADS"} <= set(tables)
    assert {table: str(file) for table, file in tables.items() if table not in tested} == {}
