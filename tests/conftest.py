"""What holds for every test: no network, no settings of the person at the keyboard, the same examples each time."""

import os

import hypothesis
import pytest

# Read by the hub's client when it is imported, and inherited by every command that a test starts.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("FIELDMARK_WEIGHTS", None)

# Failures must be the same on every machine and run, and two slow cores are no error.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True, scope="session")
def _the_cache_is_nobodys(tmp_path_factory):
    """Decoded images are kept for this session alone, by every command that a test starts as well."""
    os.environ["FIELDMARK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _the_folder_is_left_as_it_was(tmp_path, monkeypatch):
    """Every test works in an empty folder of its own, so that nothing can be left beside the source."""
    monkeypatch.chdir(tmp_path)
