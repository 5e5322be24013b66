"""The deployment files say what the server understands: its flags, its routes, its extras."""

import re
import tomllib
from pathlib import Path

import pytest

from fieldmark.cli.serve import command
from fieldmark.server.watching import OPEN

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy").iterdir())
# Flags of the tools that the files are for.
_OTHERS = {
    "--no-cache-dir",
    "--constraint",
    "--system",
    "--uid",
    "--no-create-home",
    "--interval",
    "--timeout",
    "--start-period",
    "--retries",
    "--from-file",
    "--read-only",
    "--tmpfs",
    "--now",
}
FLAGS = {flag for option in command.params for flag in option.opts}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_flag_is_the_servers_or_the_tools(file):
    used = set(re.findall(r"--[a-z][a-z-]+", file.read_text()))
    assert used, "a deployment file that starts nothing"
    assert used <= FLAGS | _OTHERS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_probe_asks_a_route_that_needs_no_key(file):
    assert set(re.findall(r"/health/[a-z]+", file.read_text())) <= OPEN


def test_the_container_installs_extras_that_there_are_and_runs_as_nobody_special():
    text = (ROOT / "deploy" / "Containerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (asked,) = re.findall(r'"/source\[(\w+)\]"', text)
    assert asked in extras
    assert text.index("\nUSER 10001") < text.index("\nENTRYPOINT")
    assert "HEALTHCHECK" in text


def test_kubernetes_gives_the_server_time_to_end():
    text = (ROOT / "deploy" / "kubernetes.yaml").read_text()
    (grace_s,) = map(int, re.findall(r"terminationGracePeriodSeconds: (\d+)", text))
    (drain_s,) = map(int, re.findall(r'"--drain", "(\d+)s"', (ROOT / "deploy" / "Containerfile").read_text()))
    assert grace_s > drain_s + 10  # the longest answer
    assert "runAsNonRoot: true" in text
