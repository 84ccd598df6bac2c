# SPDX-License-Identifier: Apache-2.0
"""Repositories: creating, finding, moving, settings, and who may do what."""

import sqlite3
import time
from dataclasses import dataclass

from xlt_hf.localhub.accounts import Actor, check_name, find_account
from xlt_hf.localhub.errors import HubError, repo_not_found

REPO_TYPES = ("model", "dataset", "space")
SPACE_SDKS = ("static", "gradio", "docker", "streamlit")


@dataclass(frozen=True)
class Repo:
    """One repository. `gated` is False, "auto" or "manual"; times are in milliseconds since 1970."""

    id: int
    type: str
    owner: str
    owner_kind: str
    name: str
    visibility: str
    gated: str | bool
    sdk: str | None
    created_at: int
    updated_at: int

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.owner}/{self.name}"

    @property
    def private(self) -> bool:
        """Whether only its owners see it."""
        return self.visibility == "private"

    @property
    def path(self) -> str:
        """Path of its page, without the leading slash."""
        return self.full_name if self.type == "model" else f"{self.type}s/{self.full_name}"


_SELECT = (
    "SELECT repos.*, accounts.name AS owner, accounts.kind AS owner_kind "
    "FROM repos JOIN accounts ON accounts.id = repos.owner_id "
)


def _repo(row: sqlite3.Row) -> Repo:
    return Repo(
        id=row["id"],
        type=row["type"],
        owner=row["owner"],
        owner_kind=row["owner_kind"],
        name=row["name"],
        visibility=row["visibility"],
        gated=False if row["gated"] == "false" else row["gated"],
        sdk=row["sdk"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def find_repo(db: sqlite3.Connection, repo_type: str, owner: str, name: str) -> Repo | None:
    """The repository of that name, or the one that bore it before it was moved."""
    row = db.execute(
        _SELECT + "WHERE repos.type = ? AND accounts.name = ? AND repos.name = ?", (repo_type, owner, name)
    ).fetchone()
    if row is None:
        row = db.execute(
            _SELECT
            + "JOIN aliases ON aliases.repo_id = repos.id WHERE aliases.type = ? AND aliases.full_name = ?",
            (repo_type, f"{owner}/{name}"),
        ).fetchone()
    return None if row is None else _repo(row)


def readable_repo(db: sqlite3.Connection, actor: Actor | None, repo_type: str, owner: str, name: str) -> Repo:
    """The repository, if the actor may know of it.

    Raises:
        HubError: 404 RepoNotFound, the same for a missing repository and for another's private one.
    """
    repo = find_repo(db, repo_type, owner, name)
    if repo is None or not can_see(actor, repo):
        raise repo_not_found()
    return repo


def writable_repo(db: sqlite3.Connection, actor: Actor | None, repo_type: str, owner: str, name: str) -> Repo:
    """The repository, if the actor may write to it. HubError 401, 403 or 404 otherwise."""
    repo = readable_repo(db, actor, repo_type, owner, name)
    check_can_write(actor, repo.owner)
    return repo


def can_see(actor: Actor | None, repo: Repo) -> bool:
    """Public, or the actor's own."""
    return not repo.private or (actor is not None and actor.owns(repo.owner))


def check_can_write(actor: Actor | None, namespace: str) -> None:
    """Raise HubError 401 without a token, 403 with a token that may not write to the namespace."""
    if actor is None:
        raise HubError(401, "This needs an access token: send it as 'Authorization: Bearer hf_…'.")
    if not actor.owns(namespace):
        raise HubError(403, f"User '{actor.name}' has no write access to the namespace '{namespace}'")
    if actor.role != "write":
        raise HubError(
            403,
            f"The token '{actor.token_name}' has the role 'read'; writing needs a token of the role 'write'",
        )


def check_gate(actor: Actor | None, repo: Repo) -> None:
    """Raise HubError GatedRepo if the repository's files are gated to the actor."""
    if repo.gated and not (actor is not None and actor.owns(repo.owner)):
        status = 401 if actor is None else 403
        raise HubError(
            status,
            f"Access to {repo.type} {repo.full_name} is restricted and you are not in the authorized list.",
            "GatedRepo",
        )


def create_repo(
    db: sqlite3.Connection,
    actor: Actor | None,
    repo_type: str,
    owner: str | None,
    name: str,
    *,
    private: bool = False,
    sdk: str | None = None,
) -> Repo:
    """Create an empty repository, without its first commit.

    Raises:
        HubError: 409 if it exists (with its `url` path in the body's `path`), 400, 401 or 403.
    """
    if repo_type not in REPO_TYPES:
        raise HubError(400, f"Invalid repo type '{repo_type}': one of {', '.join(REPO_TYPES)}")
    if actor is None:
        raise HubError(401, "This needs an access token: send it as 'Authorization: Bearer hf_…'.")
    owner = owner or actor.name
    check_name(name)
    if repo_type == "space" and sdk not in SPACE_SDKS:
        raise HubError(400, f"Invalid Space SDK '{sdk}': one of {', '.join(SPACE_SDKS)}")
    account = find_account(db, owner)
    if account is None or not actor.owns(owner):
        raise HubError(
            403, f'You don\'t have the rights to create a {repo_type} under the namespace "{owner}"'
        )
    existing = _named(db, repo_type, account["id"], name)
    if existing is not None:
        # Said before the token's role: create_repo(exist_ok=True) with a read token is harmless.
        raise HubError(
            409,
            f"You already created this {repo_type} repo: {existing.full_name}",
            body={"path": existing.path},
        )
    check_can_write(actor, owner)
    now = time.time_ns() // 10**6
    db.execute("DELETE FROM aliases WHERE type = ? AND full_name = ?", (repo_type, f"{owner}/{name}"))
    cursor = db.execute(
        "INSERT INTO repos (type, owner_id, name, visibility, sdk, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (repo_type, account["id"], name, "private" if private else "public", sdk, now, now),
    )
    row = db.execute(_SELECT + "WHERE repos.id = ?", (cursor.lastrowid,)).fetchone()
    return _repo(row)


def _named(db: sqlite3.Connection, repo_type: str, owner_id: int, name: str) -> Repo | None:
    row = db.execute(
        _SELECT + "WHERE repos.type = ? AND repos.owner_id = ? AND repos.name = ?",
        (repo_type, owner_id, name),
    ).fetchone()
    return None if row is None else _repo(row)


def delete_repo(db: sqlite3.Connection, repo: Repo) -> None:
    """Delete a repository with its history; `xlt-hub fsck --prune` removes blobs that nothing names."""
    db.execute("DELETE FROM repos WHERE id = ?", (repo.id,))


def move_repo(db: sqlite3.Connection, actor: Actor | None, repo: Repo, owner: str, name: str) -> None:
    """Rename a repository or give it to another namespace of the actor's; the old name still leads to it."""
    check_name(name)
    account = find_account(db, owner)
    if account is None:
        raise HubError(404, f"No user or organisation '{owner}'")
    check_can_write(actor, owner)
    taken = _named(db, repo.type, account["id"], name)
    if taken is not None and taken.id != repo.id:
        raise HubError(409, f"The {repo.type} {taken.full_name} already exists")
    db.execute("DELETE FROM aliases WHERE type = ? AND full_name = ?", (repo.type, f"{owner}/{name}"))
    db.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (repo.type, repo.full_name, repo.id))
    db.execute("UPDATE repos SET owner_id = ?, name = ? WHERE id = ?", (account["id"], name, repo.id))
    if taken is not None:  # only the case of the name changed
        db.execute("DELETE FROM aliases WHERE type = ? AND full_name = ?", (repo.type, repo.full_name))


def update_settings(
    db: sqlite3.Connection, repo: Repo, *, visibility: str | None = None, gated: str | bool | None = None
) -> None:
    """Change who sees a repository, or whether its files are gated. HubError 400 for an unknown value."""
    if visibility is not None:
        if visibility not in ("public", "private"):
            raise HubError(400, f"Invalid visibility '{visibility}': 'public' or 'private'")
        db.execute("UPDATE repos SET visibility = ? WHERE id = ?", (visibility, repo.id))
    if gated is not None:
        if gated not in (False, "auto", "manual"):
            raise HubError(400, f"Invalid gated '{gated}': false, 'auto' or 'manual'")
        db.execute("UPDATE repos SET gated = ? WHERE id = ?", (gated or "false", repo.id))


def touch(db: sqlite3.Connection, repo_id: int) -> None:
    """Note that a repository has changed now."""
    db.execute("UPDATE repos SET updated_at = ? WHERE id = ?", (time.time_ns() // 10**6, repo_id))


def visible_repos(db: sqlite3.Connection, actor: Actor | None, repo_type: str) -> list[Repo]:
    """Every repository of a type that the actor may see, by id."""
    rows = db.execute(_SELECT + "WHERE repos.type = ? ORDER BY accounts.name, repos.name", (repo_type,))
    return [repo for repo in map(_repo, rows) if can_see(actor, repo)]
