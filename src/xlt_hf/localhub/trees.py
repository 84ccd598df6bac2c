# SPDX-License-Identifier: Apache-2.0
"""Folders as git's tree objects: stored once however many commits share them."""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from xlt_hf.localhub.blobs import git_blob_oid, lfs_pointer
from xlt_hf.localhub.errors import HubError, entry_not_found

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git's own name for it
_FORBIDDEN_PARTS = frozenset({"", ".", "..", ".git"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder at a path. `kind` is "file", "lfs" or "tree"; a tree has no sha256 and no size."""

    path: str
    kind: str
    oid: str
    sha256: str = ""
    size: int = 0


def regular_file(path: str, data: bytes, sha256: str) -> Entry:
    """Entry of a file kept as it is."""
    return Entry(path, "file", git_blob_oid(data), sha256, len(data))


def lfs_file(path: str, sha256: str, size: int) -> Entry:
    """Entry of a file of which git would keep a pointer."""
    return Entry(path, "lfs", git_blob_oid(lfs_pointer(sha256, size)), sha256, size)


def split_path(path: str) -> list[str]:
    """Parts of a path in a repository. HubError 422 for a path that could not be checked out everywhere."""
    parts = path.split("/")
    backwards = ".." in path.split("\\")  # leads out of the folder on Windows
    if (
        _FORBIDDEN_PARTS.intersection(parts)
        or backwards
        or any(ord(char) < 32 or char == "\x7f" for char in path)
        or len(path) > 1024
    ):
        raise HubError(422, f"Invalid path in repo: '{path[:200]}'")
    return parts


class TreeCache:
    """Listings of whole trees. A tree never changes, so neither does its listing."""

    def __init__(self, size: int = 256) -> None:
        self._recent: dict[str, dict[str, Entry]] = {}
        self._size = size

    def listing(self, db: sqlite3.Connection, tree: str) -> dict[str, Entry]:
        """Every file and folder under a tree, by path, folders before what they hold."""
        found = self._recent.get(tree)
        if found is None:
            found = {entry.path: entry for entry in _walk(db, tree, "")}
            while len(self._recent) >= self._size:
                self._recent.pop(next(iter(self._recent)), None)
            self._recent[tree] = found
        return found

    def files(self, db: sqlite3.Connection, tree: str) -> dict[str, Entry]:
        """Every file under a tree, by path."""
        return {path: entry for path, entry in self.listing(db, tree).items() if entry.kind != "tree"}


def _walk(db: sqlite3.Connection, tree: str, prefix: str) -> Iterator[Entry]:
    for entry in _children(db, tree, prefix):
        yield entry
        if entry.kind == "tree":
            yield from _walk(db, entry.oid, entry.path + "/")


def _children(db: sqlite3.Connection, tree: str, prefix: str) -> list[Entry]:
    rows = db.execute(
        "SELECT name, tree_entries.kind, tree_entries.oid, sha256, size FROM tree_entries "
        "LEFT JOIN files ON files.kind = tree_entries.kind AND files.oid = tree_entries.oid "
        "WHERE tree = ? ORDER BY name",
        (tree,),
    )
    return [Entry(prefix + row[0], row[1], row[2], row[3] or "", row[4] or 0) for row in rows]


class TreeEditor:
    """A folder being changed: reads only what it must, writes only what changed."""

    def __init__(self, db: sqlite3.Connection, tree: str) -> None:
        self._db = db
        self._tree: str | None = tree
        self._children: dict[str, Entry | TreeEditor] = {
            PurePosixPath(entry.path).name: entry for entry in _children(db, tree, "")
        }

    def _folder(self, name: str, path: str) -> "TreeEditor | None":
        child = self._children.get(name)
        if isinstance(child, Entry):
            if child.kind != "tree":
                raise HubError(400, f"Invalid path in repo: '{path}' is below the file '{name}'")
            child = self._children[name] = TreeEditor(self._db, child.oid)
        return child

    def put(self, entry: Entry) -> None:
        """Add or replace a file."""
        self._put(split_path(entry.path), entry)

    def _put(self, parts: list[str], entry: Entry) -> None:
        self._tree = None
        name = parts[0]
        if len(parts) == 1:
            child = self._children.get(name)
            if isinstance(child, TreeEditor) or (child is not None and child.kind == "tree"):
                raise HubError(400, f"Invalid path in repo: '{entry.path}' is a folder")
            self._children[name] = entry
            return
        folder = self._folder(name, entry.path)
        if folder is None:
            folder = self._children[name] = TreeEditor(self._db, EMPTY_TREE)
        folder._put(parts[1:], entry)

    def delete(self, path: str, *, folder: bool) -> None:
        """Remove a file or a folder.

        Args:
            folder: accept only a folder. Without it both will do: clients name a folder without its slash.

        Raises:
            HubError: EntryNotFound.
        """
        missing = entry_not_found(path, f"A {'folder' if folder else 'file'} with this name doesn't exist")
        self._delete(split_path(path), folder, missing, path)

    def _delete(self, parts: list[str], folder: bool, missing: HubError, path: str) -> None:
        child = self._children.get(parts[0])
        if child is None:
            raise missing
        is_folder = isinstance(child, TreeEditor) or child.kind == "tree"
        self._tree = None
        if len(parts) == 1:
            if folder and not is_folder:
                raise missing
            del self._children[parts[0]]
            return
        if not is_folder:
            raise missing
        inner = self._folder(parts[0], path)
        assert inner is not None
        inner._delete(parts[1:], folder, missing, path)
        if not inner._children:
            del self._children[parts[0]]  # git keeps no empty folder

    def write(self) -> str:
        """Store what changed; returns the tree's oid."""
        if self._tree is not None:
            return self._tree
        rows: list[tuple[str, str, str]] = []
        for name, child in self._children.items():
            if isinstance(child, TreeEditor):
                rows.append((name, "tree", child.write()))
            else:
                rows.append((name, child.kind, child.oid))
                if child.kind != "tree":
                    self._db.execute(
                        "INSERT OR IGNORE INTO files (kind, oid, sha256, size) VALUES (?, ?, ?, ?)",
                        (child.kind, child.oid, child.sha256, child.size),
                    )
        self._tree = _tree_oid(rows)
        self._db.executemany(
            "INSERT OR IGNORE INTO tree_entries (tree, name, kind, oid) VALUES (?, ?, ?, ?)",
            [(self._tree, *row) for row in rows],
        )
        return self._tree


def _tree_oid(rows: list[tuple[str, str, str]]) -> str:
    def git_order(row: tuple[str, str, str]) -> bytes:
        return (row[0] + "/" if row[1] == "tree" else row[0]).encode()

    body = b"".join(
        (b"40000 " if kind == "tree" else b"100644 ") + name.encode() + b"\0" + bytes.fromhex(oid)
        for name, kind, oid in sorted(rows, key=git_order)
    )
    return hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=4096)
def parent_folder(path: str) -> str:
    """Folder of a path, "" for the top one."""
    return path.rpartition("/")[0]
