"""Pretrained weights from the model hub, without waiting where there is none."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]

from fieldmark.encoders.zoo import hub_file

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A file from the hub, now in the hub's own cache on this machine."""

    path: Path
    source: str
    licence: str


def from_hub(name: str) -> Downloaded | str:
    """The pretrained weights of a timm backbone, or in words why the hub gave none.

    What the hub's cache already has is used without asking the network; HF_HUB_OFFLINE, HF_ENDPOINT and HF_HOME
    are respected. One short request goes before any download, because the hub's client tries for half a minute
    before it believes that there is no network.
    """
    repository, file, licence = hub_file(name)
    if not repository:
        return "it has no pretrained weights of that name"
    try:
        path = hf_hub_download(repository, file, local_files_only=True)
    except LocalEntryNotFoundError:
        why = _why_unreachable()
        if why:
            return why
        try:
            path = hf_hub_download(repository, file, etag_timeout=_PATIENCE_S)
        except (OSError, HTTPError) as refusal:
            return str(refusal).partition("\n")[0]
    # The cache keeps a file under the commit that it is of.
    return Downloaded(path=Path(path), source=f"hub {repository}@{Path(path).parent.name}", licence=licence)


def _why_unreachable() -> str:
    """In words why the hub cannot be asked, or ""."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        with urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=_PATIENCE_S):
            return ""
    except urllib.error.HTTPError:
        return ""  # it answered
    except OSError as silence:
        return f"it cannot be reached ({getattr(silence, 'reason', silence)})"
