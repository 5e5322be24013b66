"""What is not installed is named, with the command that installs it."""

import os
import sys

import pytest

from fieldmark.cli.extras import extra
from fieldmark.errors import MissingExtra
from makers import assert_clear, fieldmark, refused


def test_a_package_that_is_not_there_is_named_with_its_extra():
    with pytest.raises(MissingExtra) as missing, extra("serve", where="fieldmark serve"):
        import no_such_package.inside  # noqa: F401
    assert "no_such_package" in missing.value.what
    assert (missing.value.where, missing.value.do) == ("fieldmark serve", "pip install 'fieldmark[serve]'")


def test_a_module_of_ours_that_is_not_there_is_no_matter_of_installing():
    with pytest.raises(ModuleNotFoundError), extra("serve", where="here"):
        import fieldmark.no_such_module  # noqa: F401


def test_a_server_that_is_not_installed_says_how_to_have_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "fieldmark.server.running", raising=False)
    assert_clear(refused("serve", "any.fieldmark", cwd=tmp_path), "uvicorn", "pip install 'fieldmark[serve]'")


def test_a_key_can_be_made_without_a_server(tmp_path):
    packages = "fastapi", "starlette", "uvicorn", "prometheus_client"
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({packages}))")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    made = fieldmark("key", "warehouse", "--keys", "keys.json", cwd=tmp_path, PYTHONPATH=path)
    assert made.returncode == 0, made.stderr
