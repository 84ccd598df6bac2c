# SPDX-License-Identifier: Apache-2.0
"""Content-addressed storage: one file per sha256, written whole or not at all."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlt_hf.localhub.errors import CorruptBlobError, HubError

_CHUNK = 1 << 20


def git_blob_oid(data: bytes) -> str:
    """The name that git gives to a file's content; clients compare it to skip unchanged files."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class BlobWriter:
    """Bytes on their way into the store; hashed as they come."""

    def __init__(self, fd: int, path: Path) -> None:
        self.path = path
        self._file = os.fdopen(fd, "wb", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append; may raise OSError when the disk is full."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Digest of what has been written so far."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Flush to the disk and close."""
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Close and remove what is left of the temporary file."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class BlobStore:
    """Blobs under `root/blobs`, temporary files under `root/tmp`.

    A blob is hashed again the first time that this process reads it, and whenever its size or modification
    time has changed since; a blob that does not have its own sha256 is never served.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "blobs"
        self.tmp = root / "tmp"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tmp.mkdir(parents=True, exist_ok=True)
        self._verified: dict[str, tuple[int, int, int]] = {}

    def clear_tmp(self) -> int:
        """Remove what a killed server left half-written. Returns how many files."""
        leftovers = [path for path in self.tmp.iterdir() if path.is_file()]
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def path(self, sha256: str) -> Path:
        """Where the blob lies, whether it exists or not."""
        return self.folder / sha256[:2] / sha256

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A temporary file that `keep` turns into a blob; removed if it was not kept."""
        fd, name = tempfile.mkstemp(dir=self.tmp)
        writer = BlobWriter(fd, Path(name))
        try:
            yield writer
        finally:
            writer.discard()

    def keep(self, writer: BlobWriter, sha256: str | None = None, size: int | None = None) -> str:
        """Store what was written, durably, under its sha256.

        Raises:
            HubError: the declared sha256 or size is not that of the bytes received.
        """
        actual = writer.sha256
        if size is not None and writer.size != size:
            raise HubError(
                400, f"Upload has {writer.size} bytes, {size} were declared. Nothing was stored; retry."
            )
        if sha256 is not None and actual != sha256:
            raise HubError(
                400, f"Upload has sha256 {actual}, {sha256} was declared. Nothing was stored; retry."
            )
        target = self.path(actual)
        if self._known_good(actual):
            return actual
        writer.sync()
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            _sync_folder(self.folder)
        os.replace(writer.path, target)  # also heals a damaged copy
        _sync_folder(target.parent)
        self._verified[actual] = _fingerprint(target)
        return actual

    def put(self, data: bytes) -> str:
        """Store a small blob; returns its sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self._known_good(sha256):
            with self.writer() as writer:
                writer.write(data)
                self.keep(writer)
        return sha256

    def _known_good(self, sha256: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return self._verified.get(sha256) == _fingerprint(self.path(sha256))
        return False

    def intact(self, sha256: str) -> bool:
        """Whether the blob is there and has its sha256."""
        try:
            self.verified_path(sha256)
        except CorruptBlobError:
            return False
        return True

    def verified_path(self, sha256: str) -> Path:
        """Path of a blob whose bytes are right.

        Raises:
            CorruptBlobError: missing or damaged.
        """
        path = self.path(sha256)
        try:
            before = _fingerprint(path)
            if self._verified.get(sha256) == before:
                return path
            with path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise CorruptBlobError(
                f"Blob {sha256} is missing from the Hub's storage. Upload the file again."
            ) from error
        if actual != sha256:
            raise CorruptBlobError(
                f"Blob {sha256} is corrupt: its bytes have sha256 {actual}. Upload the file again; "
                "`xlt-hub fsck` lists every damaged blob."
            )
        self._verified[sha256] = before
        return path

    def read(self, sha256: str) -> bytes:
        """The whole of a small blob, verified."""
        return self.verified_path(sha256).read_bytes()

    def stored(self) -> Iterator[str]:
        """The sha256 of every blob on disk."""
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir():
                yield from sorted(path.name for path in folder.iterdir())


def _fingerprint(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
