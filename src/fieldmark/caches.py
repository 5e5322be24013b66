"""Where Fieldmark keeps, between runs, what it could make again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """`$FIELDMARK_CACHE/kind`, or in the folder that this system has for caches; `kind` is "pixels" or "executions".

    OSError where there is none.
    """
    if asked := os.environ.get("FIELDMARK_CACHE"):
        return Path(asked).absolute() / kind
    try:
        home = Path.home()
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from error
    if sys.platform == "darwin":
        ours = home / "Library" / "Caches" / "fieldmark"
    elif sys.platform == "win32":
        ours = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "fieldmark" / "Cache"
    else:
        ours = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "fieldmark"
    return ours / kind
