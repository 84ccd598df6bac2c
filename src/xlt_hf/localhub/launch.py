# SPDX-License-Identifier: Apache-2.0
"""Start the embedded Hub, once, however many processes ask at the same moment.

Imports no Hugging Face library: `HF_ENDPOINT` must be set before they are.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from xlt_hf.localhub.errors import StartupError, describe_storage_error
from xlt_hf.localhub.state import HubInfo, ServerState, default_root, find_running, is_locked, read_state

__all__ = ["HubInfo", "ensure_running", "find_running", "stop"]

# Kept so that the interpreter does not warn of children that outlive it on purpose.
_children: list[subprocess.Popen] = []


def ensure_running(root: Path | None = None, *, port: int | None = None, timeout_s: float = 30) -> HubInfo:
    """The Hub of a data folder, started as a process of its own if none serves it.

    Args:
        root: the data folder; `$XLT_HUB_ROOT` or `.xlt-hub` if not given.
        port: the port to start on. A Hub that already runs keeps its own.
        timeout_s: seconds to wait for an answer.

    Raises:
        StartupError: it did not start; the message holds the server's own.
    """
    root = default_root() if root is None else Path(root).absolute()
    running = find_running(root)
    if running is not None:
        return running
    deadline = time.monotonic() + timeout_s
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(root / "launch.lock", timeout=timeout_s):
            return _start(root, port, deadline)
    except Timeout as error:
        raise StartupError(
            f"Another process has been starting the Hub on {root} for {timeout_s:g} s."
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise StartupError(
            f"The data folder {root} is a file or lies below one: set XLT_HUB_ROOT."
        ) from error
    except OSError as error:
        described = describe_storage_error(error, str(root))
        what = described[1] if described else f"{error}."
        raise StartupError(
            f"Cannot start the Hub on {root}: {what} XLT_HUB_ROOT names another folder."
        ) from error


def _start(root: Path, port: int | None, deadline: float) -> HubInfo:
    process: subprocess.Popen | None = None
    log = root / "server.log"
    while time.monotonic() < deadline:
        running = find_running(root, timeout_s=2)
        if running is not None:
            return replace(running, started=process is not None)
        if process is None and not is_locked(root):
            process = _spawn(root, port, log)
        elif process is not None and process.poll() is not None:
            raise StartupError(f"The Hub did not start: {_last_line(log)} (log: {log})")
        time.sleep(0.05)
    if process is not None:
        process.terminate()
    raise StartupError(f"The Hub on {root} does not answer; its log is {log}.")


def _spawn(root: Path, port: int | None, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "xlt_hf.localhub.cli", "serve", "--root", str(root)]
    if port is not None:
        command += ["--port", str(port)]
    # `python -m` would put a working folder with its own `xlt_hf` first.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C in a recipe must not stop the Hub
        )
    _children.append(process)
    return process


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def stop(root: Path | None = None, timeout_s: float = 15) -> ServerState | None:
    """Stop the Hub of a data folder; returns what was stopped, None if none ran.

    Raises:
        StartupError: it is still there after `timeout_s`.
    """
    root = default_root() if root is None else Path(root).absolute()
    if not is_locked(root):
        return None
    deadline = time.monotonic() + timeout_s
    running = find_running(root)
    state = read_state(root)
    if running is None or state is None:
        raise StartupError(f"A server holds {root} but does not answer; its log is {root / 'server.log'}.")
    os.kill(running.pid, signal.SIGTERM)
    while time.monotonic() < deadline:
        if not is_locked(root):
            return state
        time.sleep(0.05)
    raise StartupError(f"Process {running.pid} still serves {root} after {timeout_s:g} s.")
