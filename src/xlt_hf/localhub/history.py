# SPDX-License-Identifier: Apache-2.0
"""Revisions: commits, branches and tags of a repository."""

import hashlib
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xlt_hf.localhub.errors import HubError, revision_not_found
from xlt_hf.localhub.repos import Repo, touch
from xlt_hf.localhub.trees import EMPTY_TREE, Entry, TreeCache, TreeEditor, parent_folder

MAIN = "main"
_SHA = re.compile(r"[0-9a-f]{7,40}")
# git's rules for the name of a reference.
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|\.$|/$|^[/.-]|^@$")
STALE_PARENT = "The branch was updated since you opened this page. Please refresh and try again."


@dataclass(frozen=True)
class Commit:
    """One commit. `created_at` is in milliseconds since 1970."""

    id: str
    tree: str
    parent: str | None
    author: str
    title: str
    message: str
    created_at: int


@dataclass(frozen=True)
class Ref:
    """A branch or a tag."""

    kind: str
    name: str
    commit_id: str

    @property
    def full_name(self) -> str:
        """As git writes it."""
        return f"refs/{'heads' if self.kind == 'branch' else 'tags'}/{self.name}"


@dataclass(frozen=True)
class Deletion:
    """Removal of a file or folder, in a commit."""

    path: str
    folder: bool


def find_ref(db: sqlite3.Connection, repo: Repo, kind: str, name: str) -> Ref | None:
    """The branch or tag of that name."""
    row = db.execute(
        "SELECT kind, name, commit_id FROM refs WHERE repo_id = ? AND kind = ? AND name = ?",
        (repo.id, kind, name),
    ).fetchone()
    return None if row is None else Ref(*row)


def list_refs(db: sqlite3.Connection, repo: Repo, kind: str) -> list[Ref]:
    """Branches (main first) or tags, by name."""
    rows = db.execute(
        "SELECT kind, name, commit_id FROM refs WHERE repo_id = ? AND kind = ? ORDER BY name != 'main', name",
        (repo.id, kind),
    )
    return [Ref(*row) for row in rows]


def _commit(db: sqlite3.Connection, repo: Repo, commit_id: str) -> Commit | None:
    row = db.execute(
        "SELECT id, tree, parent, author, title, message, created_at FROM commits "
        "WHERE repo_id = ? AND id = ?",
        (repo.id, commit_id),
    ).fetchone()
    return None if row is None else Commit(*row)


def resolve(db: sqlite3.Connection, repo: Repo, revision: str) -> Commit:
    """The commit that a branch, a tag or a commit id (7 to 40 digits) names.

    Raises:
        HubError: 404 RevisionNotFound.
    """
    name = revision
    kinds: tuple[str, ...] = ("branch", "tag")
    for prefix, kind in (("refs/heads/", "branch"), ("refs/tags/", "tag")):
        if revision.startswith(prefix):
            name, kinds = revision.removeprefix(prefix), (kind,)
    for kind in kinds:
        ref = find_ref(db, repo, kind, name)
        if ref is not None:
            commit = _commit(db, repo, ref.commit_id)
            assert commit is not None  # a foreign key says so
            return commit
    if _SHA.fullmatch(revision):
        ids = db.execute(
            "SELECT id FROM commits WHERE repo_id = ? AND id >= ? AND id < ? LIMIT 2",
            (repo.id, revision, revision + "g"),
        ).fetchall()
        if len(ids) == 1:
            commit = _commit(db, repo, ids[0][0])
            assert commit is not None
            return commit
    raise revision_not_found(revision)


def history(db: sqlite3.Connection, repo: Repo, start: Commit) -> Iterator[Commit]:
    """A commit and its ancestors, newest first."""
    commit: Commit | None = start
    while commit is not None:
        yield commit
        commit = _commit(db, repo, commit.parent) if commit.parent else None


def make_commit(
    db: sqlite3.Connection,
    repo: Repo,
    branch: str,
    changes: Iterable[Entry | Deletion],
    *,
    author: str,
    title: str,
    message: str = "",
    parent: str | None = None,
) -> str:
    """Commit changes, in order, to a branch; returns the commit's id. Runs inside one write transaction.

    Args:
        parent: the commit that the branch must still be at.

    Raises:
        HubError: 404 for an unknown branch or a deletion of what is not there, 412 for a stale parent, 400.
    """
    ref = find_ref(db, repo, "branch", branch.removeprefix("refs/heads/"))
    if ref is None:
        raise revision_not_found(branch)
    head = _commit(db, repo, ref.commit_id)
    assert head is not None
    if parent is not None and parent != head.id:
        raise HubError(412, STALE_PARENT)
    tree = TreeEditor(db, head.tree)
    for change in changes:
        if isinstance(change, Entry):
            tree.put(change)
        else:
            tree.delete(change.path, folder=change.folder)
    commit_id = _store_commit(db, repo, tree.write(), head.id, author, title, message)
    _set_ref(db, repo, "branch", ref.name, commit_id)
    touch(db, repo.id)
    return commit_id


def first_commit(db: sqlite3.Connection, repo: Repo, files: Iterable[Entry], author: str) -> str:
    """The commit that a new repository starts with, on `main`."""
    tree = TreeEditor(db, EMPTY_TREE)
    for file in files:
        tree.put(file)
    commit_id = _store_commit(db, repo, tree.write(), None, author, "initial commit", "")
    _set_ref(db, repo, "branch", MAIN, commit_id)
    return commit_id


def _store_commit(
    db: sqlite3.Connection, repo: Repo, tree: str, parent: str | None, author: str, title: str, message: str
) -> str:
    now = time.time_ns() // 10**6
    who = f"{author} <{author}@localhost> {now // 1000} +0000"
    lines = [
        f"tree {tree}",
        *([f"parent {parent}"] if parent else []),
        f"author {who}",
        f"committer {who}",
        "",
        title,
    ]
    body = "\n".join([*lines, *(["", message] if message else []), ""]).encode()
    commit_id = hashlib.sha1(b"commit %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
    db.execute(
        "INSERT OR IGNORE INTO commits (repo_id, id, tree, parent, author, title, message, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (repo.id, commit_id, tree, parent, author, title, message, now),
    )
    return commit_id


def _set_ref(
    db: sqlite3.Connection, repo: Repo, kind: str, name: str, commit_id: str, message: str = ""
) -> None:
    db.execute(
        "INSERT OR REPLACE INTO refs VALUES (?, ?, ?, ?, ?)", (repo.id, kind, name, commit_id, message)
    )


def create_branch(db: sqlite3.Connection, repo: Repo, name: str, starting_point: str | None) -> None:
    """Create a branch at a revision (`main` unless said). HubError 409 if it exists."""
    if (
        name.startswith("refs/")
        or (_SHA.fullmatch(name) and len(name) == 40)
        or _BAD_REF.search(name)
        or not name
    ):
        raise HubError(400, f"Invalid reference for a branch: {name}")
    if find_ref(db, repo, "branch", name) is not None:
        raise HubError(409, f"Reference refs/heads/{name} already exists")
    _check_no_folder_clash(db, repo, "branch", name)
    commit = resolve(db, repo, starting_point or MAIN)
    _set_ref(db, repo, "branch", name, commit.id)
    touch(db, repo.id)


def create_tag(db: sqlite3.Connection, repo: Repo, name: str, revision: str, message: str) -> None:
    """Tag a revision. HubError 409 if the tag exists."""
    commit = resolve(db, repo, revision)
    if name.startswith("refs/") or _BAD_REF.search(name) or not name:
        raise HubError(400, f"Invalid reference for a tag: {name}")
    if find_ref(db, repo, "tag", name) is not None:
        raise HubError(409, f"Reference refs/tags/{name} already exists")
    _check_no_folder_clash(db, repo, "tag", name)
    _set_ref(db, repo, "tag", name, commit.id, message)
    touch(db, repo.id)


def _check_no_folder_clash(db: sqlite3.Connection, repo: Repo, kind: str, name: str) -> None:
    # git cannot hold both `a` and `a/b`.
    for ref in list_refs(db, repo, kind):
        if ref.name.startswith(name + "/") or name.startswith(ref.name + "/"):
            raise HubError(409, f"Reference {ref.full_name} already exists, so '{name}' cannot")


def delete_ref(db: sqlite3.Connection, repo: Repo, kind: str, name: str) -> None:
    """Delete a branch (never `main`) or a tag."""
    if kind == "branch" and name == MAIN:
        raise HubError(403, "Cannot delete refs/heads/main")
    if find_ref(db, repo, kind, name) is None:
        raise revision_not_found(name)
    db.execute("DELETE FROM refs WHERE repo_id = ? AND kind = ? AND name = ?", (repo.id, kind, name))
    touch(db, repo.id)


def super_squash(db: sqlite3.Connection, repo: Repo, branch: str, author: str, message: str) -> None:
    """Replace a branch's history by one commit with its files."""
    ref = find_ref(db, repo, "branch", branch)
    if ref is None:
        raise revision_not_found(branch)
    head = resolve(db, repo, ref.full_name)
    title, _, rest = message.partition("\n")
    commit_id = _store_commit(db, repo, head.tree, None, author, title, rest.strip())
    _set_ref(db, repo, "branch", branch, commit_id)
    touch(db, repo.id)


def last_changes(
    db: sqlite3.Connection, repo: Repo, cache: TreeCache, start: Commit, paths: Iterable[str]
) -> dict[str, Commit]:
    """For each path, the latest commit, back from `start`, that changed it."""
    waiting = set(paths)
    found: dict[str, Commit] = {}
    commits = history(db, repo, start)
    commit = next(commits)
    while waiting:
        older = next(commits, None)
        now = cache.listing(db, commit.tree)
        before = cache.listing(db, older.tree) if older else {}
        changed = {path for path in waiting if _oid(now, path) != _oid(before, path)}
        found.update(dict.fromkeys(changed, commit))
        waiting -= changed
        if older is None:
            break
        commit = older
    return found


def _oid(listing: dict[str, Entry], path: str) -> str | None:
    entry = listing.get(path)
    return entry.oid if entry else None


def folder_of(listing: dict[str, Entry], path: str, *, recursive: bool) -> list[Entry]:
    """What a folder of a listing holds, at one level or at all."""
    if recursive:
        prefix = path + "/" if path else ""
        return [entry for entry in listing.values() if entry.path.startswith(prefix)]
    return [entry for entry in listing.values() if parent_folder(entry.path) == path]
