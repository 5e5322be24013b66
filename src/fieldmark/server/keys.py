"""Who may ask, and how often: keys are kept as hashes, and each has its own rate."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path

import msgspec

from fieldmark.data.writing import writing_whole
from fieldmark.errors import UsageError
from fieldmark.server.refusals import RequestError

_SHOWN = "fm_"  # so that a key is known for one where it leaks, as into a log or a repository
_BURST_S = 2.0


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key's name, the sha256 of the key in hex, and requests per second (0: as many as come).

    A plain hash will do: a key is 256 random bits and no password that could be guessed.
    """

    name: str
    sha256: str
    per_second: float = 0.0


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that holds them."""

    keys: tuple[Key, ...] = ()


class Gate:
    """Lets requests in by their key. Without keys everybody may ask, as "anybody"."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys
        self._buckets: dict[str, tuple[float, float]] = {}  # by key: tokens, and when there were so many

    @property
    def asks(self) -> bool:
        return bool(self._keys)

    def admit(self, presented: str | None) -> str:
        """The name of the key. RequestError: 401 without a key that is known, 429 beyond its rate."""
        if not self.asks:
            return "anybody"
        # By its hash: how long looking up takes tells nothing of the keys themselves.
        given = _hash(presented or "")
        key = next((key for key in self._keys if secrets.compare_digest(key.sha256, given)), None)
        if key is None:
            raise RequestError(
                "this needs a key" if presented is None else "this key is not known",
                where="Authorization",
                do="send the header  Authorization: Bearer <key>",
                status=401,
            )
        if key.per_second > 0:
            self._take(key)
        return key.name

    def _take(self, key: Key) -> None:
        now, most = time.monotonic(), max(1.0, key.per_second * _BURST_S)
        had, then = self._buckets.get(key.name, (most, now))
        tokens = min(most, had + (now - then) * key.per_second)
        self._buckets[key.name] = (tokens - (tokens >= 1), now)
        if tokens < 1:
            raise RequestError(
                f"{key.name} may ask {key.per_second:g} times a second",
                where="Authorization",
                do="come again later",
                status=429,
                retry_after_s=(1 - tokens) / key.per_second,
            )


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file. UsageError where it is missing or is no such file."""
    do = f"make one with: fieldmark key NAME --keys {path}"
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeyFile).keys
    except OSError as error:
        raise UsageError("the keys cannot be read", where=str(path), do=do) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"this is no file of keys: {error}", where=str(path), do=do) from error


def add_key(path: Path, name: str, per_second: float) -> str:
    """Adds a new key to the file, which may be new, and returns it; it is not kept anywhere else."""
    old = read_keys(path) if path.exists() else ()
    if any(key.name == name for key in old):
        raise UsageError(
            f"there is a key {name!r} already", where=str(path), do="take it out first, or use another name"
        )
    key = _SHOWN + secrets.token_urlsafe(32)
    made = KeyFile(keys=(*old, Key(name=name, sha256=_hash(key), per_second=per_second)))
    with writing_whole(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return key


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
