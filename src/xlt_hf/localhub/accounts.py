# SPDX-License-Identifier: Apache-2.0
"""Users, organisations and tokens. A token is stored only as its sha256."""

import hashlib
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass, field

from xlt_hf.localhub.errors import HubError

# First segments of addresses that are not namespaces.
RESERVED_NAMES = frozenset(
    {
        "api",
        "datasets",
        "spaces",
        "models",
        "static",
        "login",
        "logout",
        "healthz",
        "lfs",
        "assets",
        "new",
        "settings",
    }
)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")


@dataclass(frozen=True)
class Actor:
    """Who is asking: a user, through a token of a role."""

    user_id: int
    name: str
    role: str
    token_id: int
    token_name: str
    orgs: tuple[str, ...] = field(default=())

    def owns(self, namespace: str) -> bool:
        """Whether the namespace is the user's or an organisation's of theirs."""
        return namespace.lower() in {self.name.lower(), *(org.lower() for org in self.orgs)}


def check_name(name: str) -> str:
    """Raise HubError unless `name` can be a user's, an organisation's or a repository's."""
    if not _NAME.fullmatch(name) or "--" in name or ".." in name or name.lower().endswith((".git", ".ipynb")):
        raise HubError(
            400,
            f"Invalid name '{name}': use up to 96 letters, digits, '-', '_' and '.', not '--' or '..', "
            "and neither start nor end with '-' or '.'.",
        )
    return name


def add_account(db: sqlite3.Connection, name: str, kind: str = "user") -> int:
    """Create a user (or an `org`); returns its id. HubError 409 if the name is taken."""
    check_name(name)
    if name.lower() in RESERVED_NAMES:
        raise HubError(400, f"The name '{name}' is reserved.")
    if find_account(db, name) is not None:
        raise HubError(409, f"The name '{name}' is taken.")
    cursor = db.execute(
        "INSERT INTO accounts (name, kind, created_at) VALUES (?, ?, ?)",
        (name, kind, time.time_ns() // 10**6),
    )
    return int(cursor.lastrowid or 0)


def find_account(db: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    """The account of that name, in any case."""
    return db.execute("SELECT id, name, kind FROM accounts WHERE name = ?", (name,)).fetchone()


def add_member(db: sqlite3.Connection, org: str, user: str) -> None:
    """Let a user write to an organisation's repositories."""
    org_row, user_row = find_account(db, org), find_account(db, user)
    if org_row is None or org_row["kind"] != "org":
        raise HubError(404, f"No organisation '{org}'.")
    if user_row is None or user_row["kind"] != "user":
        raise HubError(404, f"No user '{user}'.")
    db.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (org_row["id"], user_row["id"]))


def add_token(db: sqlite3.Connection, user: str, role: str, name: str = "default") -> str:
    """Make a token for a user; the only time that its text is known. HubError 404 without such a user."""
    row = find_account(db, user)
    if row is None or row["kind"] != "user":
        raise HubError(404, f"No user '{user}'.")
    token = "hf_" + secrets.token_hex(20)
    db.execute(
        "INSERT INTO tokens (sha256, user_id, name, role, created_at) VALUES (?, ?, ?, ?, ?)",
        (_digest(token), row["id"], name, role, time.time_ns() // 10**6),
    )
    return token


def actor_of_token(db: sqlite3.Connection, token: str) -> Actor | None:
    """Whose token it is."""
    return _actor(db, "tokens.sha256 = ?", _digest(token))


def actor_of_token_id(db: sqlite3.Connection, token_id: int) -> Actor | None:
    """Whose token has that row id; for sessions, which keep no token."""
    return _actor(db, "tokens.id = ?", token_id)


def _actor(db: sqlite3.Connection, where: str, value: str | int) -> Actor | None:
    row = db.execute(
        "SELECT accounts.id, accounts.name, tokens.id AS token_id, tokens.role, tokens.name AS token_name "
        f"FROM tokens JOIN accounts ON accounts.id = tokens.user_id WHERE {where}",
        (value,),
    ).fetchone()
    if row is None:
        return None
    orgs = db.execute(
        "SELECT name FROM accounts JOIN members ON members.org_id = accounts.id "
        "WHERE members.user_id = ? ORDER BY name",
        (row["id"],),
    )
    return Actor(
        row["id"],
        row["name"],
        row["role"],
        row["token_id"],
        row["token_name"],
        tuple(org["name"] for org in orgs),
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
