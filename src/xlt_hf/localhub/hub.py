# SPDX-License-Identifier: Apache-2.0
"""The Hub's state on disk, and what its endpoints share."""

import hmac
import os
import time
from hashlib import sha256
from pathlib import Path

from xlt_hf.localhub.accounts import add_account, add_token, find_account
from xlt_hf.localhub.blobs import BlobStore
from xlt_hf.localhub.database import Database
from xlt_hf.localhub.errors import CorruptBlobError, HubError, StartupError, describe_storage_error
from xlt_hf.localhub.trees import Entry, TreeCache

DEFAULT_USER = "xlt-hf"


class Hub:
    """Everything under one data folder. Opening it makes what is missing.

    Args:
        root: the data folder.
        default_user: user made on the first start, with a write token in `root/token`.

    Raises:
        StartupError: the folder cannot be used; the message says why and what to do.
    """

    def __init__(self, root: Path, default_user: str = DEFAULT_USER) -> None:
        self.root = root
        self.token_file = root / "token"
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.blobs = BlobStore(root)
        except (FileExistsError, NotADirectoryError) as error:
            raise StartupError(
                f"The data folder {root} is a file or lies below one: choose another --root."
            ) from error
        except OSError as error:
            described = describe_storage_error(error, str(root))
            raise StartupError(
                described[1] if described else f"Cannot use the data folder {root}: {error}"
            ) from error
        self.db = Database(root / "hub.sqlite3")
        self.trees = TreeCache()
        self.secret = self.db.secret()
        self._first_user(default_user)

    def _first_user(self, name: str) -> None:
        with self.db.read() as db:
            if find_account(db, name) is not None and self.token_file.exists():
                return
        try:
            with self.db.write() as db:
                if find_account(db, name) is None:
                    add_account(db, name)
                write_private(self.token_file, add_token(db, name, "write"))
        except HubError as error:
            raise StartupError(f"Cannot create the user '{name}': {error.message}") from error
        except OSError as error:
            raise StartupError(f"Cannot write {self.token_file}: {error.strerror}.") from error

    def sign(self, purpose: str, text: str) -> str:
        """A short signature of `text`, of no use for another purpose."""
        return hmac.new(self.secret, f"{purpose}\0{text}".encode(), sha256).hexdigest()[:40]

    def signed(self, purpose: str, subject: str, lifetime_s: int) -> str:
        """`expiry.signature`, proof that we let somebody do `purpose` to `subject` for a while."""
        expiry = str(int(time.time()) + lifetime_s)
        return f"{expiry}.{self.sign(purpose, subject + chr(0) + expiry)}"

    def check_signed(self, purpose: str, subject: str, proof: str) -> bool:
        """Whether `proof` came from `signed` and has not expired."""
        expiry, _, signature = proof.partition(".")
        expected = self.sign(purpose, subject + chr(0) + expiry)
        return hmac.compare_digest(signature.encode(), expected.encode()) and float(expiry) > time.time()

    def text(self, entry: Entry | None, limit: int = 4 << 20) -> str | None:
        """A file's text; None if there is no file or it is larger than `limit` bytes."""
        if entry is None or entry.kind == "tree" or entry.size > limit:
            return None
        return self.content(entry).decode("utf-8", "replace")

    def content(self, entry: Entry) -> bytes:
        """A small file's bytes. HubError 500 if its blob is damaged."""
        try:
            return self.blobs.read(entry.sha256)
        except CorruptBlobError as error:
            raise HubError(500, f"Cannot read {entry.path}: {error}") from error

    def close(self) -> None:
        """Release the database."""
        self.db.close()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
