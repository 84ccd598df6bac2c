# SPDX-License-Identifier: Apache-2.0
"""Starting once, finding, stopping, and saying clearly why not."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import free_port, start_hub, xlt_hub
from xlt_hf.localhub.errors import StartupError
from xlt_hf.localhub.launch import ensure_running, find_running, stop
from xlt_hf.localhub.state import is_locked, read_state


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose Hub, if any, is stopped at the end."""
    folder = tmp_path / "hub"
    yield folder
    stop(folder)


def test_started_once_and_found_again(root: Path) -> None:
    first = ensure_running(root)
    second = ensure_running(root)
    assert (first.started, second.started) == (True, False)
    assert (first.endpoint, first.pid) == (second.endpoint, second.pid)
    assert first.read_token() == (root / "token").read_text().strip()
    assert first.token_file == root / "token"
    assert find_running(root) == second


def test_six_processes_at_once_get_one_server(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from xlt_hf.localhub.launch import ensure_running\n"
        "i = ensure_running(Path(sys.argv[1])); print(i.endpoint, i.pid, i.started)"
    )
    command = [sys.executable, "-c", code, str(root)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert len({(endpoint, pid) for endpoint, pid, _ in answers}) == 1
    assert sorted(started for _, _, started in answers) == ["False"] * 5 + ["True"]


def test_the_port_stays_after_a_kill(root: Path) -> None:
    first = ensure_running(root)
    os.kill(first.pid, signal.SIGKILL)
    while is_locked(root):
        time.sleep(0.01)
    assert find_running(root) is None
    second = ensure_running(root)
    assert second.started
    assert second.pid != first.pid
    assert second.endpoint == first.endpoint, "HF_ENDPOINT must stay valid"
    assert second.read_token() == first.read_token()


def test_a_stale_state_file_is_no_server(root: Path) -> None:
    root.mkdir()
    port = free_port()
    state = {"endpoint": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid()}
    (root / "server.json").write_text(json.dumps(state))
    assert find_running(root) is None
    assert ensure_running(root).endpoint == state["endpoint"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"endpoint": "x"}'])
def test_a_broken_state_file_is_no_server(root: Path, content: str) -> None:
    root.mkdir()
    (root / "server.json").write_text(content)
    assert read_state(root) is None
    assert find_running(root) is None


def test_another_server_on_the_port_is_not_mistaken_for_ours(root: Path, tmp_path: Path) -> None:
    with start_hub(tmp_path / "other") as other:
        root.mkdir()
        port = int(other.endpoint.rpartition(":")[2])
        (root / "server.json").write_text(json.dumps({"endpoint": other.endpoint, "port": port, "pid": 1}))
        assert find_running(root) is None
        ours = ensure_running(root)
        assert ours.endpoint != other.endpoint
        assert ours.read_token() != other.token


def test_something_that_is_no_hub_on_the_port(root: Path) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        root.mkdir()
        (root / "server.json").write_text(
            json.dumps({"endpoint": f"http://127.0.0.1:{port}", "port": port, "pid": 1})
        )
        assert find_running(root) is None
        assert ensure_running(root).endpoint != f"http://127.0.0.1:{port}"
        server.shutdown()


def test_a_port_in_use(root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"Port {port} on 127.0.0.1 is in use"):
            ensure_running(root, port=port)
        served = xlt_hub("serve", "--root", str(root), "--port", str(port), check=False)
    assert served.returncode == 1
    assert served.stderr.count("\n") == 1
    assert f"Port {port} on 127.0.0.1 is in use" in served.stderr


def test_a_second_server_on_the_same_folder(root: Path) -> None:
    first = ensure_running(root)
    served = xlt_hub("serve", "--root", str(root), "--port", "0", check=False)
    assert served.returncode == 1
    assert f"Another server already serves {root} (process {first.pid}, {first.endpoint})" in served.stderr
    assert find_running(root) is not None


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for root in (blocked, blocked / "below"):
        with pytest.raises(StartupError, match="is a file or lies below one"):
            ensure_running(root)
        served = xlt_hub("serve", "--root", str(root), check=False)
        assert (served.returncode, served.stderr.count("\n")) == (1, 1)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write to")
def test_a_folder_that_cannot_be_made() -> None:
    served = xlt_hub("serve", "--root", "/proc/xlt-hub", check=False)
    assert (served.returncode, served.stderr.count("\n")) == (1, 1)
    assert "/proc/xlt-hub" in served.stderr
    with pytest.raises(StartupError):
        ensure_running(Path("/proc/xlt-hub"))


def test_status_and_stop(root: Path) -> None:
    before = xlt_hub("status", "--json", "--root", str(root), check=False)
    assert before.returncode == 3
    assert json.loads(before.stdout)["running"] is False
    info = ensure_running(root)
    status = json.loads(xlt_hub("status", "--json", "--root", str(root)).stdout)
    assert status["running"] is True
    assert (status["endpoint"], status["pid"]) == (info.endpoint, info.pid)
    assert (status["root"], status["token_file"]) == (str(root), str(root / "token"))
    assert status["version"]
    assert info.endpoint in xlt_hub("status", "--root", str(root)).stdout
    assert info.endpoint in xlt_hub("stop", "--root", str(root)).stdout
    assert find_running(root) is None
    assert not is_locked(root)
    assert "Nothing serves" in xlt_hub("stop", "--root", str(root)).stdout


def test_the_folder_comes_from_the_environment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLT_HUB_ROOT", str(root))
    assert ensure_running().root == root
    monkeypatch.delenv("XLT_HUB_ROOT")
    monkeypatch.chdir(tmp_path)
    assert find_running() is None
    assert json.loads(xlt_hub("status", "--json", check=False).stdout)["root"] == str(tmp_path / ".xlt-hub")


def test_ready_quickly_and_without_the_heavy_libraries(root: Path) -> None:
    code = (
        "import sys, time; start = time.perf_counter(); from pathlib import Path\n"
        "from xlt_hf.localhub.launch import ensure_running; ensure_running(Path(sys.argv[1]))\n"
        "heavy = {'torch', 'transformers', 'datasets', 'huggingface_hub', 'starlette'} & set(sys.modules)\n"
        "assert not heavy, heavy; print(time.perf_counter() - start)"
    )
    seconds = float(subprocess.check_output([sys.executable, "-c", code, str(root)], text=True))
    assert seconds < 10, "about 0.5 s on an idle machine"


def test_accounts(root: Path) -> None:
    missing = xlt_hub("user", "add", "someone", "--root", str(root), check=False)
    assert (missing.returncode, "There is no data folder" in missing.stderr) == (1, True)
    ensure_running(root)
    token = xlt_hub("user", "add", "someone", "--role", "read", "--root", str(root)).stdout.strip()
    assert token.startswith("hf_")
    bad = xlt_hub("user", "add", "datasets", "--root", str(root), check=False)
    assert (bad.returncode, bad.stderr) == (1, "xlt-hub: The name 'datasets' is reserved.\n")
    absent = xlt_hub("org", "add", "team", "absent", "--root", str(root), check=False)
    assert (absent.returncode, absent.stderr) == (1, "xlt-hub: No user 'absent'.\n")
