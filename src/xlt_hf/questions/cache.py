# SPDX-License-Identifier: Apache-2.0
"""A durable store of what was paid for once: translations and replies of models, by the hash of what was asked.

One SQLite file. Every batch is one synced transaction, so a kill loses the batch under way and nothing else.
Batches of several processes take turns, and look again before they pay, so that nothing is paid for twice.
"""

import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xlt_hf.errors import UserError

logger = logging.getLogger(__name__)

_APPLICATION_ID = 0x786C7431
"""Marks the file as one of ours ("xlt1"); another layout would get another one."""
_VARIABLES = 500
_SCHEMA = """
CREATE TABLE replies (
    key TEXT PRIMARY KEY,
    value TEXT,
    reason TEXT NOT NULL,
    model TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID
"""


class CacheError(UserError):
    """The cache cannot be used."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of one request.

    Attributes:
        value: the reply; None where the model was given up on.
        reason: why it was.
    """

    value: str | None
    reason: str = ""


def content_key(*parts: Any) -> str:
    """sha256 of JSON data: the same wherever and whenever the same is asked."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def default_cache_path() -> Path:
    """`$XLT_HF_CACHE`, or `xlt-hf/replies.sqlite3` in the user's cache folder."""
    chosen = os.environ.get("XLT_HF_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "xlt-hf" / "replies.sqlite3"


class ReplyCache:
    """The store. Used from one thread; any number of processes may share the file.

    Args:
        path: of the SQLite file, made with its folders if missing.

    Raises:
        CacheError: the file is something else, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{self.path}.lock")
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise CacheError(
                f"{self.path} cannot be used as the cache of replies ({error}). Move it away, or name another "
                "file in XLT_HF_CACHE."
            ) from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            (mark,) = self._db.execute("PRAGMA application_id").fetchone()
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if mark != _APPLICATION_ID:
                if tables:
                    raise sqlite3.DatabaseError("it is another program's database")
                self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._db.execute(_SCHEMA)

    def get(self, keys: Collection[str]) -> dict[str, Entry]:
        """The entries that there are."""
        found: dict[str, Entry] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _VARIABLES):
            part = wanted[start : start + _VARIABLES]
            marks = ",".join("?" * len(part))
            rows = self._db.execute(f"SELECT key, value, reason FROM replies WHERE key IN ({marks})", part)
            found.update((key, Entry(value, reason)) for key, value, reason in rows)
        return found

    def put(self, entries: Mapping[str, Entry], model: str) -> None:
        """Store entries for good, in one transaction; an earlier failure under the same key is replaced."""
        now = int(time.time())
        with self._transaction():
            self._db.executemany(
                "INSERT INTO replies VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "value = excluded.value, reason = excluded.reason, created_at = excluded.created_at "
                "WHERE replies.value IS NULL",
                [(key, entry.value, entry.reason, model, now) for key, entry in entries.items()],
            )

    def fill(
        self,
        keys: Sequence[str],
        compute: Callable[[list[int]], Iterable[Mapping[int, Entry]]],
        *,
        model: str,
        batch_size: int,
        retry_failed: bool = False,
        progress: Callable[[int], object] = lambda _: None,
    ) -> list[Entry]:
        """The entries of all keys; what is missing is computed, once per key, and stored.

        Args:
            keys: one per request.
            compute: gets positions in `keys` and gives entries by position, in as many pieces as it likes; each
                piece is stored before the next one is asked for.
            model: noted beside the entries.
            batch_size: requests per call of `compute`.
            retry_failed: whether failures that are stored count as missing.
            progress: called with the number of requests that have just been answered.
        """
        found = self._usable(keys, retry_failed)
        first: dict[str, int] = {}
        for position, key in enumerate(keys):
            first.setdefault(key, position)
        progress(sum(key in found for key in first))
        missing = [position for key, position in first.items() if key not in found]
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            with self._turn():
                # Another process may have paid for these since.
                found.update(self._usable([keys[position] for position in batch], retry_failed))
                todo = [position for position in batch if keys[position] not in found]
                progress(len(batch) - len(todo))
                for piece in compute(todo) if todo else ():
                    entries = {keys[position]: entry for position, entry in piece.items()}
                    self.put(entries, model)
                    found.update(entries)
                    progress(len(entries))
        return [found[key] for key in keys]

    def _usable(self, keys: Collection[str], retry_failed: bool) -> dict[str, Entry]:
        entries = self.get(keys)
        if retry_failed:
            return {key: entry for key, entry in entries.items() if entry.value is not None}
        return entries

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """This process's turn among those that share the file."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another process is filling %s: waiting for its batch to end.", self.path)
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> "ReplyCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
