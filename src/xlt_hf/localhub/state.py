# SPDX-License-Identifier: Apache-2.0
"""Where a Hub's data folder is, and what its server wrote there about itself. Imports nothing heavy."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock, Timeout

ROOT_VARIABLE = "XLT_HUB_ROOT"
DEFAULT_FOLDER = ".xlt-hub"


def default_root() -> Path:
    """`$XLT_HUB_ROOT`, or `.xlt-hub` in the working folder."""
    return Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_FOLDER).absolute()


@dataclass(frozen=True)
class HubInfo:
    """A Hub that answers. `started` says whether the call that returned this has started it."""

    endpoint: str
    root: Path
    token_file: Path
    started: bool = False
    pid: int = 0
    version: str = ""

    def read_token(self) -> str:
        """The write token of the default user."""
        return self.token_file.read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class ServerState:
    """What `root/server.json` says: where a server is, or was."""

    endpoint: str
    port: int
    pid: int


def read_state(root: Path) -> ServerState | None:
    """The last server's state; None if there is none that can be read."""
    try:
        data = json.loads((root / "server.json").read_text(encoding="utf-8"))
        return ServerState(str(data["endpoint"]), int(data["port"]), int(data["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def server_lock(root: Path) -> FileLock:
    """Held by the one server of a data folder for as long as it lives; the system frees it when it dies."""
    return FileLock(root / "server.lock")


def is_locked(root: Path) -> bool:
    """Whether a server holds the data folder."""
    if not (root / "server.lock").exists():
        return False
    lock = server_lock(root)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def find_running(root: Path | None = None, timeout_s: float = 5) -> HubInfo | None:
    """The Hub that serves a data folder now, or None. Starts nothing."""
    root = default_root() if root is None else root.absolute()
    state = read_state(root)
    if state is None:
        return None
    # A proxy must never stand between us and the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{state.endpoint}/healthz", timeout=timeout_s) as response:
            health = json.loads(response.read(65536))
    except (OSError, urllib.error.URLError, HTTPException, ValueError):
        return None
    if (
        not isinstance(health, dict)
        or health.get("service") != "xlt-hub"
        or health.get("root") != str(root.resolve())
    ):
        return None  # another server has taken the port
    return HubInfo(
        state.endpoint,
        root,
        root / "token",
        pid=int(health.get("pid", 0)),
        version=str(health.get("version", "")),
    )
