"""What importing costs, asserted on sys.modules and not on a clock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fieldmark

SOURCE = Path(__file__).parents[2] / "src"
LIGHT_ROOMS = ("data", "bundle", "inference", "measures", "evaluation", "report", "server", "cli")
# What the light install does not have.
NOT_THERE = ("torch", "torchvision", "timm", "accelerate", "sklearn", "scipy", "safetensors", "onnx")

PUBLIC_NAMES = [
    "Classifier",
    "Dataset",
    "Estimate",
    "Evaluation",
    "FieldmarkError",
    "Recipe",
    "__version__",
    "choose",
    "combine",
    "demonstrate",
    "evaluate",
    "export",
    "load",
    "read",
    "train",
]


def _fresh(program: str) -> list[str]:
    """The lines that a program prints in an interpreter of its own."""
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _light_modules() -> list[str]:
    top = (SOURCE / "fieldmark").glob("*.py")
    files = [*top, *(path for room in LIGHT_ROOMS for path in (SOURCE / "fieldmark" / room).rglob("*.py"))]
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in files]
    return sorted(name for name in names if not name.endswith("__main__"))


def test_every_light_module_imports_where_the_heavy_half_is_not_installed():
    block = f"for name in {NOT_THERE!r}: sys.modules[name] = None\n"
    imports = f"import importlib\nfor name in {_light_modules()!r}: importlib.import_module(name)\n"
    count = _fresh(block + imports + "print(sum(name.startswith('fieldmark') for name in sys.modules))")
    assert int(count[0]) >= len(_light_modules()) >= 20


def test_the_block_above_does_block():
    with pytest.raises(AssertionError, match="torch"):
        _fresh("sys.modules['torch'] = None\nimport fieldmark.encoders.encoder")


def test_import_fieldmark_brings_no_package_at_all():
    brought = _fresh(
        "before = set(sys.modules)\nimport fieldmark\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(names - set(sys.stdlib_module_names)))"
    )
    assert brought == ["fieldmark"]


def test_help_brings_nothing_that_reads_or_judges_images():
    brought = _fresh(
        "from fieldmark.cli.main import main\n"
        "sys.argv[1:] = ['--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sorted({'numpy', 'PIL', 'onnxruntime', 'jinja2', 'torch', 'rich'} & set(sys.modules)))"
    )
    assert "train" in "\n".join(brought[:-1])
    assert brought[-1] == ""


def test_the_public_names_are_these_and_each_is_there():
    assert sorted(fieldmark.__all__) == PUBLIC_NAMES
    assert all(getattr(fieldmark, name) is not None for name in PUBLIC_NAMES)
    assert dir(fieldmark) == PUBLIC_NAMES


def test_no_submodule_bears_the_name_of_a_public_one():
    """Importing `fieldmark.train` as a module would overwrite the function of that name."""
    modules = {path.stem for path in (SOURCE / "fieldmark").iterdir()}
    assert not modules & set(PUBLIC_NAMES)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fieldmark.nothing


TELLING = {
    "onnxruntime": "import fieldmark.inference.runner",
    "nncf": "import fieldmark; from nncf.telemetry import telemetry; assert type(telemetry).__name__ == 'MagicMock'",
    "mlflow": "import fieldmark; from mlflow.telemetry.utils import is_telemetry_disabled as off; assert off()",
}


@pytest.mark.parametrize("library", TELLING)
def test_no_library_tells_its_makers_anything(library: str, tmp_path: Path) -> None:
    """onnxruntime kept a database and an identifier of the machine in the home folder, to send them."""
    pytest.importorskip(library)
    # No variable of a CI's, which quieten them, too.
    usual = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", TELLING[library]], env=usual, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.rglob("Microsoft")]


def test_who_wants_telemetry_can_have_it(tmp_path: Path) -> None:
    program = "import os, fieldmark; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    usual = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=usual, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
