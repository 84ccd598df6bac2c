# SPDX-License-Identifier: Apache-2.0
"""One server process on one data folder."""

import contextlib
import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from filelock import Timeout

from xlt_hf.localhub.app import create_app
from xlt_hf.localhub.errors import StartupError, describe_storage_error
from xlt_hf.localhub.hub import DEFAULT_USER, Hub, write_private
from xlt_hf.localhub.state import read_state, server_lock

LOOPBACK = "127.0.0.1"


def serve(
    root: Path,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    default_user: str = DEFAULT_USER,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a data folder until SIGTERM or SIGINT.

    Args:
        port: the port to take; without one, the last port of this folder if it is free, or another.
        on_ready: called with the endpoint once the port is taken.

    Raises:
        StartupError: the folder or the port cannot be used, or another server has the folder.
    """
    root = root.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        root = root.resolve()
        lock = server_lock(root)
        lock.acquire(timeout=1)
    except Timeout as error:
        state = read_state(root)
        where = f" (process {state.pid}, {state.endpoint})" if state else ""
        raise StartupError(
            f"Another server already serves {root}{where}: use it, or `xlt-hub stop` it first."
        ) from error
    except (FileExistsError, NotADirectoryError) as error:
        raise StartupError(
            f"The data folder {root} is a file or lies below one: choose another --root."
        ) from error
    except OSError as error:
        raise _storage_error(root, error) from error
    try:
        hub = Hub(root, default_user)
        hub.blobs.clear_tmp()  # safe: we hold the lock, so nobody is writing
        with contextlib.closing(_listen(root, host, port)) as listener:
            taken = listener.getsockname()[1]
            endpoint = f"http://{_visible_host(host)}:{taken}"
            _write_state(root, endpoint, taken)
            if on_ready is not None:
                on_ready(endpoint)
            # No access log: upload addresses carry a signature.
            config = uvicorn.Config(
                create_app(hub),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=5,
                server_header=False,
            )
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        lock.release()


def _storage_error(root: Path, error: OSError) -> StartupError:
    described = describe_storage_error(error, str(root))
    return StartupError(described[1] if described else f"Cannot use the data folder {root}: {error}")


def _visible_host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def _listen(root: Path, host: str, port: int | None) -> socket.socket:
    if port is not None:
        return _bind(host, port)
    state = read_state(root)
    # From the folder's name, below the range that systems hand out: likely to be free next time too.
    usual = 20000 + int.from_bytes(hashlib.sha256(str(root).encode()).digest()[:4], "big") % 10000
    for candidate in ([state.port] if state else []) + [usual]:
        with contextlib.suppress(StartupError):
            return _bind(host, candidate)
    return _bind(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: asyncio sets TCP_NODELAY only where it sees it, and without it each answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise StartupError(
                f"Port {port} on {host} is in use: choose another with --port, or leave it out."
            ) from error
        raise StartupError(f"Cannot listen on {host}:{port}: {error}.") from error
    return listener


def _write_state(root: Path, endpoint: str, port: int) -> None:
    state = {"endpoint": endpoint, "port": port, "pid": os.getpid(), "started_at": time.time()}
    try:
        write_private(root / "server.json", json.dumps(state))
    except OSError as error:
        raise _storage_error(root, error) from error
