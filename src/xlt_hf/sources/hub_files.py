# SPDX-License-Identifier: Apache-2.0
"""Files that sources read: in a Hub dataset at one commit, or on this machine, behind one interface.

A Hub file is opened for range requests: a reader that asks for a tenth of it downloads a tenth of it.
"""

import fnmatch
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from pydantic import ConfigDict

from xlt_hf.errors import UserError
from xlt_hf.sources.schema import DatasetRef

if TYPE_CHECKING:
    from huggingface_hub import HfApi, HfFileSystem

STRICT = ConfigDict(extra="forbid", strict=True)
"""Of every source's settings: an unknown key or a value of another type is an error."""

_LISTED = 12
_HASH_CHUNK = 1 << 20


class SourceError(UserError):
    """A source cannot be read: it is not there, not ours to read, or not of the form that its settings say."""


@dataclass(frozen=True)
class FileEntry:
    """A file of a store."""

    path: str
    size: int
    """Bytes."""


class FileStore(Protocol):
    """Files under glob patterns."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def refs(self) -> list[DatasetRef]:
        """The Hub dataset at its resolved commit; empty on this machine."""
        ...

    def matching(self, patterns: Sequence[str]) -> list[FileEntry]:
        """Files that match, those of one pattern sorted by path.

        Raises:
            SourceError: a pattern matches nothing; the message says what there is.
        """
        ...

    def open(self, path: str) -> BinaryIO:
        """A seekable file."""
        ...

    def explained(self, path: str = "") -> AbstractContextManager[None]:
        """Turn what the store raises into SourceErrors while a file is read."""
        ...


def open_store(api: "HfApi", repo_id: str | None, revision: str) -> FileStore:
    """A Hub dataset, or this machine's files where `repo_id` is None."""
    return LocalFiles() if repo_id is None else HubFiles(api, repo_id, revision)


class HubFiles:
    """Files of a Hub dataset, pinned to the commit that `revision` names when they are first asked for.

    Args:
        api: client of the Hub.
        repo_id: the dataset.
        revision: branch, tag or commit.
    """

    def __init__(self, api: "HfApi", repo_id: str, revision: str) -> None:
        self.api = api
        self.repo_id = repo_id
        self.revision = revision

    @property
    def name(self) -> str:
        return f"dataset {self.repo_id} at revision {self.revision}"

    @cached_property
    def ref(self) -> DatasetRef:
        """The dataset at its resolved commit.

        Raises:
            SourceError: no such dataset or revision, or no access to it.
        """
        with self.explained():
            sha = self.api.repo_info(self.repo_id, repo_type="dataset", revision=self.revision).sha
        assert sha is not None
        return DatasetRef(self.repo_id, sha)

    def refs(self) -> list[DatasetRef]:
        return [self.ref]

    def matching(self, patterns: Sequence[str]) -> list[FileEntry]:
        return [entry for pattern in patterns for entry in self._matching_one(pattern)]

    def _matching_one(self, pattern: str) -> list[FileEntry]:
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import EntryNotFoundError

        parts = pattern.split("/")
        fixed = next((i for i, part in enumerate(parts[:-1]) if glob.has_magic(part)), len(parts) - 1)
        entries = []
        try:
            for item in self.api.list_repo_tree(
                self.repo_id,
                "/".join(parts[:fixed]) or None,
                recursive=fixed < len(parts) - 1,
                revision=self.ref.revision,
                repo_type="dataset",
            ):
                if isinstance(item, RepoFile) and _matches(item.path, parts):
                    entries.append(FileEntry(item.path, item.size))
        except EntryNotFoundError:  # no such folder
            entries = []
        if not entries:
            raise SourceError(
                f"No file of {self.name} matches '{pattern}'. {self._contents()} Set the pattern, or the revision, "
                "of this source in the study."
            )
        return sorted(entries, key=lambda entry: entry.path)

    def _contents(self) -> str:
        with self.explained():
            tree = self.api.list_repo_tree(self.repo_id, revision=self.ref.revision, repo_type="dataset")
            return _listing([item.path for item in tree])

    @cached_property
    def _filesystem(self) -> "HfFileSystem":
        from huggingface_hub import HfFileSystem

        return HfFileSystem(endpoint=self.api.endpoint, token=self.api.token)

    def open(self, path: str) -> BinaryIO:
        address = f"datasets/{self.repo_id}@{self.ref.revision}/{path}"
        # No read-ahead: the reader of a parquet file knows best which bytes it needs.
        return cast(BinaryIO, self._filesystem.open(address, "rb", cache_type="none"))

    @contextmanager
    def explained(self, path: str = "") -> Iterator[None]:
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
        from huggingface_hub.utils import httpx

        what = f"{path} of {self.name}" if path else self.name
        try:
            yield
        except GatedRepoError:
            raise SourceError(
                f"The {self.name} on {self.api.endpoint} is gated: accept its conditions on its page there, and set "
                "HF_TOKEN to a token of that account."
            ) from None
        except RevisionNotFoundError:
            raise SourceError(
                f"There is no revision '{self.revision}' of dataset {self.repo_id} on {self.api.endpoint}. "
                f"{self._revisions()}"
            ) from None
        except RepositoryNotFoundError:
            raise SourceError(
                f"There is no {self.name} on {self.api.endpoint}, or this token may not read it. Check the id in the "
                "study, and HF_TOKEN where the dataset is private."
            ) from None
        except HFValidationError:
            raise SourceError(f"'{self.repo_id}' cannot be a dataset's id: write OWNER/NAME.") from None
        except FileNotFoundError:
            raise SourceError(f"There is no file {what} on {self.api.endpoint}.") from None
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            raise SourceError(
                f"{self.api.endpoint} answered {status} for {what}, also when asked again. Run the command again "
                "later: finished pieces are kept."
            ) from None
        except httpx.HTTPError as error:
            raise SourceError(
                f"{self.api.endpoint} cannot be reached for {what} ({type(error).__name__}), also when asked again. "
                "Run the command again later: finished pieces are kept."
            ) from None

    def _revisions(self) -> str:
        refs = self.api.list_repo_refs(self.repo_id, repo_type="dataset")
        return "There are " + _named([ref.name for ref in (*refs.branches, *refs.tags)]) + "."


class LocalFiles:
    """Files on this machine; patterns may use `**`."""

    name = "this machine"

    def refs(self) -> list[DatasetRef]:
        return []

    def matching(self, patterns: Sequence[str]) -> list[FileEntry]:
        entries: list[FileEntry] = []
        for pattern in patterns:
            expanded = os.path.expanduser(pattern)
            paths = sorted(path for path in glob.glob(expanded, recursive=True) if os.path.isfile(path))
            if not paths:
                folder = Path(expanded).parent
                there = sorted(os.listdir(folder)) if folder.is_dir() else []
                raise SourceError(
                    f"No file matches '{pattern}' (in {Path.cwd()}). "
                    + (
                        _listing(there, str(folder))
                        if there
                        else f"There is no folder {folder}, or it is empty."
                    )
                )
            entries.extend(FileEntry(path, os.path.getsize(path)) for path in paths)
        return entries

    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    @contextmanager
    def explained(self, path: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(f"Cannot read {path}: {error.strerror or error}.") from error


def content_hash(entries: Sequence[FileEntry]) -> str:
    """sha256 over the names and bytes of files on this machine."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{Path(entry.path).name}\0{entry.size}\0".encode("utf-8", "surrogateescape"))
        with LocalFiles().explained(entry.path), open(entry.path, "rb") as file:
            while chunk := file.read(_HASH_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _matches(path: str, pattern: Sequence[str]) -> bool:
    parts = path.split("/")
    return len(parts) == len(pattern) and all(map(fnmatch.fnmatchcase, parts, pattern))


def _listing(names: Sequence[str], folder: str = "") -> str:
    if not names:
        return "There is nothing in it."
    return f"In {folder or 'it'} there are {_named(names)}."


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
