# SPDX-License-Identifier: Apache-2.0
"""Errors that the Hub's clients understand, and errors for the person at the terminal."""

import errno
import sqlite3


class HubError(Exception):
    """An HTTP error with the headers that huggingface_hub maps to its exceptions.

    Args:
        status: HTTP status.
        message: what happened, in one sentence; sent as `X-Error-Message` and in the body.
        code: `X-Error-Code`, one of RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo.
        body: more keys of the JSON body.
    """

    def __init__(self, status: int, message: str, code: str | None = None, body: dict | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.body = body or {}


def repo_not_found() -> HubError:
    """The answer for a missing repository, and for one that the caller may not know of."""
    return HubError(404, "Repository not found", "RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    """No branch, tag or commit of that name."""
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(path: str, what: str = "Entry not found") -> HubError:
    """No such file or folder at the revision."""
    return HubError(404, f"{what}: {path}" if path else what, "EntryNotFound")


class StartupError(Exception):
    """The server cannot start or run; the message says what to do. Shown without a traceback."""


class CorruptBlobError(Exception):
    """A stored blob is missing, or its bytes no longer have the sha256 that names it."""


_READ_ONLY = (
    "The Hub cannot write to its data folder {root} (read-only). Nothing was published; make it writable, or set "
    "XLT_HUB_ROOT to another folder."
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


def describe_storage_error(error: OSError | sqlite3.Error, root: str) -> tuple[int, str] | None:
    """HTTP status and message for a full, read-only or damaged data folder; None for anything else."""
    if isinstance(error, OSError):
        if error.errno in _DISK_FULL:
            return (
                507,
                f"The Hub's data folder {root} is full. Nothing was published; free some space and retry.",
            )
        if error.errno in _NOT_WRITABLE:
            return 500, _READ_ONLY.format(root=root)
        if error.errno == errno.ENOENT:
            return 500, f"The Hub's data folder {root} has gone. Nothing was published; restart the Hub."
        return None
    text = str(error)
    if "disk is full" in text:
        return 507, f"The Hub's data folder {root} is full. Nothing was published; free some space and retry."
    if "readonly database" in text:
        return 500, _READ_ONLY.format(root=root)
    if "locked" in text or "busy" in text:
        return 503, "The Hub's database is busy. Nothing was published; retry."
    if "malformed" in text or "not a database" in text or "disk I/O" in text:
        return 500, f"The Hub's database in {root} is damaged ({text}). Run `xlt-hub fsck --root {root}`."
    return None
