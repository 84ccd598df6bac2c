# SPDX-License-Identifier: Apache-2.0
"""Real embedded Hubs for tests: in a process of its own, or in a thread with faults.

Import this before huggingface_hub: it reads its environment once.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

CLIENT_ENVIRONMENT = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
os.environ.update(CLIENT_ENVIRONMENT)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from xlt_hf.localhub.app import Fault


@dataclass
class RunningHub:
    """A Hub that answers at `endpoint`. `process` is None for one in a thread."""

    endpoint: str
    root: Path
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def token_file(self) -> Path:
        """Where the default user's write token is."""
        return self.root / "token"

    @property
    def token(self) -> str:
        """The default user's write token."""
        return self.token_file.read_text().strip()

    def api(self, token: str | bool | None = None) -> "HfApi":
        """The real client; as the default user unless another token (or False, nobody) is given."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token if token is None else token)

    def environment(self, home: Path) -> dict[str, str]:
        """Environment of a client process: this Hub, the default user, caches under `home`."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))
        }
        settings = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token, "HF_HOME": str(home)}
        return {**kept, **CLIENT_ENVIRONMENT, **settings}

    def run_client(self, code: str, home: Path, **variables: str) -> str:
        """Run Python code against this Hub in a process of its own; returns what it printed."""
        environment = {**self.environment(home), **variables}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def add_user(self, name: str, role: str = "write") -> str:
        """Make a user if there is none of that name; returns a new token of theirs."""
        return xlt_hub("user", "add", name, "--role", role, "--root", str(self.root)).stdout.strip()

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def xlt_hub(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "xlt_hf.localhub.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=60)


@contextmanager
def start_hub(root: Path, port: int | None = None) -> Iterator[RunningHub]:
    """A Hub in a process of its own, stopped at the end.

    Args:
        root: its data folder; what an earlier Hub left there is served again.
        port: its port; a free one if not given.
    """
    from xlt_hf.localhub.state import find_running

    command = [sys.executable, "-m", "xlt_hf.localhub.cli", "serve", "--root", str(root)]
    root.mkdir(parents=True, exist_ok=True)
    with (root / "server.log").open("ab") as log:
        process = subprocess.Popen([*command, "--port", str(port or free_port())], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while (info := find_running(root)) is None or info.pid != process.pid:
            assert process.poll() is None, (root / "server.log").read_text()
            assert time.monotonic() < deadline, "the Hub does not answer"
            time.sleep(0.03)
        yield RunningHub(info.endpoint, root, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


@contextmanager
def hub_in_thread(root: Path, faults: Sequence["Fault"] = ()) -> Iterator[RunningHub]:
    """A Hub in a thread of this process, with faults for its clients to meet."""
    import uvicorn

    from xlt_hf.localhub.app import create_app
    from xlt_hf.localhub.hub import Hub

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(Hub(root), faults), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield RunningHub(f"http://127.0.0.1:{listener.getsockname()[1]}", root)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
