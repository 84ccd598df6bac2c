# SPDX-License-Identifier: Apache-2.0
"""The Hub's SQLite database: schema, connections, transactions."""

import queue
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlt_hf.localhub.errors import StartupError

SCHEMA_VERSION = 1

# Objects are git's: a tree has the sha1 that git would give it, an LFS file the sha1 of its pointer.
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'org')),
    created_at INTEGER NOT NULL
);
CREATE TABLE members (
    org_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    PRIMARY KEY (org_id, user_id)
);
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('read', 'write')),
    created_at INTEGER NOT NULL
);
CREATE TABLE repos (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL CHECK (type IN ('model', 'dataset', 'space')),
    owner_id INTEGER NOT NULL REFERENCES accounts(id),
    name TEXT NOT NULL COLLATE NOCASE,
    visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private')),
    gated TEXT NOT NULL DEFAULT 'false' CHECK (gated IN ('false', 'auto', 'manual')),
    sdk TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (type, owner_id, name)
);
CREATE TABLE aliases (
    type TEXT NOT NULL,
    full_name TEXT NOT NULL COLLATE NOCASE,
    repo_id INTEGER NOT NULL REFERENCES repos(id) ON DELETE CASCADE,
    PRIMARY KEY (type, full_name)
);
CREATE TABLE lfs_objects (
    repo_id INTEGER NOT NULL REFERENCES repos(id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (repo_id, sha256)
) WITHOUT ROWID;
CREATE TABLE files (
    kind TEXT NOT NULL CHECK (kind IN ('file', 'lfs')),
    oid TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (kind, oid)
) WITHOUT ROWID;
CREATE TABLE tree_entries (
    tree TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('file', 'lfs', 'tree')),
    oid TEXT NOT NULL,
    PRIMARY KEY (tree, name)
) WITHOUT ROWID;
CREATE TABLE commits (
    repo_id INTEGER NOT NULL REFERENCES repos(id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    tree TEXT NOT NULL,
    parent TEXT,
    author TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (repo_id, id)
) WITHOUT ROWID;
CREATE TABLE refs (
    repo_id INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('branch', 'tag')),
    name TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (repo_id, kind, name),
    FOREIGN KEY (repo_id, commit_id) REFERENCES commits(repo_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
"""


class Database:
    """A pool of connections. `read()` sees a snapshot; `write()` is one durable transaction at a time.

    Args:
        path: the database file; made, with its schema, if it does not exist.

    Raises:
        StartupError: the file is damaged, or was made by a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        # A queue within the process; between processes SQLite polls, which is slower.
        self._writer = threading.Lock()
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            raise StartupError(
                f"Cannot open the Hub's database {path}: {error}. Is the folder writable?"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StartupError(
                f"The Hub's database {path} is damaged ({error}). Restore it from a copy, or move it away "
                "to start empty: the blobs beside it stay."
            ) from error

    def _prepare(self) -> None:
        connection = self._connect()
        try:
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise sqlite3.DatabaseError(damage)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StartupError(
                    f"{self.path} was made by a later version of xlt_hf (schema {version}); update it."
                )
            connection.execute("BEGIN IMMEDIATE")  # two processes may be here at once
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('secret', ?)", (secrets.token_hex(32),))
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        # Connections move between worker threads, one thread at a time.
        connection = sqlite3.connect(self.path, timeout=20, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: an acknowledged commit survives a power cut, not only a kill.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _borrow(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._idle.put(connection)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A snapshot: every query inside sees the same state."""
        with self._borrow() as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction, durable once the block ends, undone if it raises."""
        with self._writer, self._borrow() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def secret(self) -> bytes:
        """The key that signs upload addresses and sessions."""
        with self.read() as connection:
            return bytes.fromhex(
                connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0]
            )

    def close(self) -> None:
        """Close the idle connections."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return
