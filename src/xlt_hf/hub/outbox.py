# SPDX-License-Identifier: Apache-2.0
"""A durable outbox: training writes checkpoints here and goes on; a thread pushes them, each as its own branch.

An entry is a folder with the files and a `push.json`. It appears under its name only when complete, is pushed in
order, and is removed only after the Hub's hashes have been compared with its files. What a crash leaves behind is
pushed by the next run of the same command.
"""

import dataclasses
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xlt_hf.artifacts import Artifact
from xlt_hf.errors import UserError
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.publish import IncompletePush, verify_pushed

logger = logging.getLogger(__name__)

_ENTRY = "push.json"
_FILES = "files"
_RECEIPTS = "receipts.json"


class OutboxError(UserError):
    """Checkpoints could not be pushed; they are kept."""


@dataclass(frozen=True)
class Push:
    """What is to be pushed: the whole content of a folder, as one commit, on each of some branches."""

    branches: tuple[str, ...]
    message: str


class Outbox:
    """Pushes of one model repository.

    Args:
        hub: where to.
        artifact: the repository, made if it is missing.
        folder: where entries wait; survives the process.
        attempts: tries per entry before it is given up for this run.
        backoff_s: first pause between tries, doubled each time.
    """

    def __init__(
        self, hub: Hub, artifact: Artifact, folder: Path, *, attempts: int = 6, backoff_s: float = 1.0
    ) -> None:
        self.hub = hub
        self.artifact = artifact
        self.folder = folder
        self.attempts = attempts
        self.backoff_s = backoff_s
        self._failure: BaseException | None = None
        self._wake = threading.Event()
        self._closing = False
        folder.mkdir(parents=True, exist_ok=True)
        receipts = folder / _RECEIPTS
        self.pushed: dict[str, str] = json.loads(receipts.read_text()) if receipts.exists() else {}
        """Branch -> verified commit id, of this run of the recipe and of those before it."""
        for leftover in folder.glob("*.writing"):
            shutil.rmtree(leftover)
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def waiting(self) -> list[Path]:
        """Complete entries that are not pushed yet, oldest first."""
        return sorted(path for path in self.folder.iterdir() if path.suffix == ".entry")

    def knows(self, branch: str) -> bool:
        """Whether a branch was pushed from this folder, or waits in it; asks no network."""
        return branch in self.pushed or any(entry.stem.split("-", 1)[1] == branch for entry in self.waiting())

    def add(self, push: Push, fill: Callable[[Path], None]) -> None:
        """Queue a push; `fill` writes its files into the folder it is given."""
        name = f"{time.time_ns():020d}-{push.branches[0]}"
        writing = self.folder / f"{name}.writing"
        (writing / _FILES).mkdir(parents=True)
        fill(writing / _FILES)
        (writing / _ENTRY).write_text(json.dumps(dataclasses.asdict(push)), encoding="utf-8")
        for path in writing.rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
        writing.rename(self.folder / f"{name}.entry")
        self._wake.set()

    def close(self) -> dict[str, str]:
        """Wait until everything is pushed and verified.

        Returns:
            Branch -> commit id of all that was pushed from this folder.

        Raises:
            OutboxError: some pushes failed; their files are kept.
        """
        self._closing = True
        self._wake.set()
        if self.waiting():
            logger.info("Waiting for %d push(es) to %s.", len(self.waiting()), self.artifact.repo_id)
        self._thread.join()
        if self._failure is not None:
            raise OutboxError(
                f"{len(self.waiting())} push(es) to {self.artifact.repo_id} on {self.hub.endpoint} failed "
                f"({type(self._failure).__name__}: {_first_line(self._failure)}). Nothing is lost: they wait in "
                f"{self.folder}. Run the same command again when the Hub answers."
            ) from self._failure
        return self.pushed

    def _work(self) -> None:
        while True:
            entries = self.waiting()
            if not entries:
                if self._closing:
                    return
                self._wake.wait()
                self._wake.clear()
                continue
            if not self._push_with_retries(entries[0]):
                return

    def _push_with_retries(self, entry: Path) -> bool:
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import httpx

        for attempt in range(1, self.attempts + 1):
            try:
                self._push(entry)
                return True
            except (HfHubHTTPError, IncompletePush, httpx.HTTPError, OSError) as error:
                self._failure = error
                if attempt == self.attempts or _is_final(error):
                    break
                pause = _retry_after(error) or self.backoff_s * 2 ** (attempt - 1)
                logger.warning(
                    "Push of %s failed (%s), try %d of %d, again in %.0f s.",
                    entry.name,
                    type(error).__name__,
                    attempt,
                    self.attempts,
                    pause,
                )
                time.sleep(pause)
            except BaseException as error:
                self._failure = error
                raise
        return False

    def _push(self, entry: Path) -> None:
        push = Push(**json.loads((entry / _ENTRY).read_text(encoding="utf-8")))
        api, repo_id, files = self.hub.api, self.artifact.repo_id, entry / _FILES
        api.create_repo(repo_id, private=self.hub.private, exist_ok=True)
        for branch in push.branches:
            if branch != "main":
                api.create_branch(repo_id, branch=branch, exist_ok=True)
            # No .gitattributes among the patterns: the repository's own stays.
            sha = api.upload_folder(
                repo_id=repo_id,
                folder_path=files,
                revision=branch,
                commit_message=push.message,
                delete_patterns="*",
            ).oid
            paths = [path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()]
            verify_pushed(self.hub, self.artifact, files, paths, sha)
            self.pushed[branch] = sha
        receipts = self.folder / _RECEIPTS
        receipts.with_suffix(".tmp").write_text(json.dumps(self.pushed))
        receipts.with_suffix(".tmp").replace(receipts)
        self._failure = None
        shutil.rmtree(entry)
        logger.info("Pushed and verified %s: %s.", repo_id, ", ".join(push.branches))


def receipts_lost(hub: Hub, artifact: Artifact, folder: Path) -> bool:
    """Whether an earlier run has pushed branches that the Hub no longer has, as after its data were deleted.

    Args:
        folder: of the outbox.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    receipts = folder / _RECEIPTS
    if not receipts.exists():
        return False
    try:
        there = {branch.name for branch in hub.api.list_repo_refs(artifact.repo_id).branches}
    except RepositoryNotFoundError:
        return True
    return not json.loads(receipts.read_text()).keys() <= there


def _is_final(error: BaseException) -> bool:
    """A refusal that the same request would meet again."""
    response = getattr(error, "response", None)
    return response is not None and response.status_code in (400, 401, 403, 404, 413)


def _retry_after(error: BaseException) -> float | None:
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After") if response is not None else None
    return float(value) if value and value.isdigit() else None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"
