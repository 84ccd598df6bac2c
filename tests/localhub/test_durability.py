# SPDX-License-Identifier: Apache-2.0
"""Killed servers, damaged blobs, full disks: nothing acknowledged is lost, nothing wrong is served."""

import base64
import errno
import hashlib
import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from tests.hub_server import RunningHub, hub_in_thread, start_hub, xlt_hub
from xlt_hf.localhub.blobs import BlobStore, BlobWriter
from xlt_hf.localhub.errors import HubError, StartupError
from xlt_hf.localhub.hub import Hub

TEXT_SHA256 = hashlib.sha256(b"text").hexdigest()


def put(api: HfApi, repo: str, name: str, data: bytes) -> str:
    return api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=repo).oid


def upload_address(hub: RunningHub, repo: str, data: bytes) -> str:
    answer = httpx.post(
        f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch",
        json={
            "operation": "upload",
            "objects": [{"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}],
        },
        headers={"Authorization": f"Bearer {hub.token}"},
    )
    return str(answer.json()["objects"][0]["actions"]["upload"]["href"])


def test_killed_in_the_middle_of_uploads(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    acknowledged: dict[str, str] = {}
    with start_hub(root) as hub:
        hub.api().create_repo("xlt-hf/m")

        def commit_for_ever() -> None:
            # Plain HTTP: the real client would go on trying for half a minute after the kill.
            address = f"{hub.endpoint}/api/models/xlt-hf/m/commit/main"
            headers = {"Authorization": f"Bearer {hub.token}"}
            for number in range(10_000):
                content = base64.b64encode(b"%d" % number * 1000).decode()
                file = {"path": f"f{number}.txt", "content": content, "encoding": "base64"}
                lines = [{"key": "header", "value": {"summary": "x"}}, {"key": "file", "value": file}]
                try:
                    answer = httpx.post(address, content="\n".join(map(json.dumps, lines)), headers=headers)
                except httpx.TransportError:
                    return
                acknowledged[file["path"]] = answer.json()["commitOid"]

        committer = threading.Thread(target=commit_for_ever)
        committer.start()
        data = os.urandom(1 << 20)
        address = upload_address(hub, "xlt-hf/m", data)

        def slow_body():
            yield data[: 1 << 19]
            while len(acknowledged) < 5:
                time.sleep(0.01)
            assert any((root / "tmp").iterdir())
            hub.kill()
            yield data[1 << 19 :]

        with pytest.raises(httpx.TransportError):
            httpx.put(address, content=slow_body(), timeout=30)
        committer.join()
    assert any((root / "tmp").iterdir()), "the kill left half an upload"
    with start_hub(root) as hub:
        assert list((root / "tmp").iterdir()) == []
        api = hub.api()
        commits = [commit.commit_id for commit in api.list_repo_commits("xlt-hf/m")]
        assert len(acknowledged) >= 5
        assert set(acknowledged.values()) <= set(commits)
        assert len(commits) <= len(acknowledged) + 2, "at most the commit in flight, and the first one"
        for name in acknowledged:
            path = Path(api.hf_hub_download("xlt-hf/m", name, cache_dir=tmp_path / "cache"))
            assert path.read_bytes() == name[1:-4].encode() * 1000
        assert not (
            root / "blobs" / hashlib.sha256(data).hexdigest()[:2] / hashlib.sha256(data).hexdigest()
        ).exists()
        assert xlt_hub("fsck", "--root", str(root)).returncode == 0


def test_a_corrupt_blob_is_never_served(tmp_path: Path) -> None:
    root, data = tmp_path / "hub", b"right" * 1000
    sha256 = hashlib.sha256(data).hexdigest()
    with start_hub(root) as hub:
        hub.api().create_repo("xlt-hf/m")
        put(hub.api(), "xlt-hf/m", "w.bin", data)
        put(hub.api(), "xlt-hf/m", "a.txt", b"text")
    blob = root / "blobs" / sha256[:2] / sha256
    times = blob.stat()
    blob.write_bytes(b"wrong" * 1000)
    os.utime(blob, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a failing disk would: same size, same time
    with start_hub(root) as hub:
        answer = httpx.get(f"{hub.endpoint}/xlt-hf/m/resolve/main/w.bin")
        assert answer.status_code == 500
        assert f"Blob {sha256} is corrupt" in answer.headers["X-Error-Message"]
        assert b"wrong" not in answer.content
        fsck = xlt_hub("fsck", "--root", str(root), check=False)
        assert fsck.returncode == 1
        assert sha256 in fsck.stdout
        assert "model xlt-hf/m w.bin" in fsck.stdout
        put(hub.api(), "xlt-hf/m", "w.bin", data)  # the client would skip a file that the Hub said it had
        assert httpx.get(f"{hub.endpoint}/xlt-hf/m/resolve/main/w.bin").content == data
        text = root / "blobs" / TEXT_SHA256[:2] / TEXT_SHA256
        text.write_bytes(b"tixt")
        put(hub.api(), "xlt-hf/m", "a.txt", b"text")
        assert text.read_bytes() == b"text"
        blob.write_bytes(b"later" * 1000)  # damaged again, after it was verified
        assert httpx.get(f"{hub.endpoint}/xlt-hf/m/resolve/main/w.bin").status_code == 500
        blob.unlink()
        assert (
            "is missing"
            in httpx.get(f"{hub.endpoint}/xlt-hf/m/resolve/main/w.bin").headers["X-Error-Message"]
        )
        assert httpx.get(f"{hub.endpoint}/xlt-hf/m/resolve/main/a.txt").text == "text"


def test_prune_removes_only_what_nothing_names(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    with start_hub(root) as hub:
        api = hub.api()
        for name, data in (("keep", b"kept" * 9), ("go", b"gone" * 9)):
            api.create_repo(f"xlt-hf/{name}")
            put(api, f"xlt-hf/{name}", "w.bin", data)
        put(api, "xlt-hf/keep", "w.bin", b"newer" * 9)  # the older one is still in the history
        api.delete_repo("xlt-hf/go")
        refused = xlt_hub("fsck", "--prune", "--root", str(root), check=False)
        assert refused.returncode == 1
        assert "stop" in refused.stderr
    pruned = xlt_hub("fsck", "--prune", "--root", str(root)).stdout
    assert "3 blobs checked, 0 damaged, 1 unused" in pruned
    assert "36 bytes freed" in pruned
    left = {path.read_bytes() for path in (root / "blobs").glob("*/*")}
    assert {b"kept" * 9, b"newer" * 9} <= left
    assert b"gone" * 9 not in left


@pytest.mark.parametrize(
    "code, status, said", [(errno.ENOSPC, 507, "is full"), (errno.EROFS, 500, "read-only")]
)
def test_a_disk_that_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int, said: str
) -> None:
    with hub_in_thread(tmp_path / "hub") as hub:
        api = hub.api()
        api.create_repo("xlt-hf/m")
        head = api.model_info("xlt-hf/m").sha
        data = os.urandom(1000)
        address = upload_address(hub, "xlt-hf/m", data)

        def refuse(self: BlobWriter, data: bytes) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(BlobWriter, "write", refuse)
            answer = httpx.put(address, content=data)
            assert (answer.status_code, said in answer.headers["X-Error-Message"]) == (status, True)
            with pytest.raises(HfHubHTTPError, match=said) as caught:
                api.create_commit(
                    "xlt-hf/m", [CommitOperationAdd("a.txt", b"unseen text")], commit_message="x"
                )
            assert caught.value.response.status_code == status
        assert api.model_info("xlt-hf/m").sha == head
        assert list((hub.root / "tmp").iterdir()) == []
        assert httpx.put(address, content=data).status_code == 200, "with room again, the same address works"


def test_a_full_database_publishes_nothing(tmp_path: Path) -> None:
    with hub_in_thread(tmp_path / "hub") as hub:
        api = hub.api()
        api.create_repo("xlt-hf/m")
        head = api.model_info("xlt-hf/m").sha
        with sqlite3.connect(hub.root / "hub.sqlite3") as other:
            # Another process's lock stands for a database that cannot be written.
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON commits BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
            )
        other.close()
        with pytest.raises(HfHubHTTPError, match="is full") as caught:
            put(api, "xlt-hf/m", "a.txt", b"x")
        assert caught.value.response.status_code == 507
        assert api.model_info("xlt-hf/m").sha == head
        assert api.list_repo_files("xlt-hf/m") == [".gitattributes"]


def test_a_damaged_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "hub.sqlite3").write_bytes(b"not a database at all, " * 100)
    with pytest.raises(StartupError, match="damaged"):
        Hub(tmp_path)
    served = xlt_hub("serve", "--root", str(tmp_path), "--port", "0", check=False)
    assert served.returncode == 1
    assert "damaged" in served.stderr
    assert "Traceback" not in served.stderr


def test_blobs_are_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with store.writer() as writer:
        writer.write(b"abc")
        with pytest.raises(HubError, match="sha256"):
            store.keep(writer, "0" * 64)
        with pytest.raises(HubError, match="3 bytes, 4 were declared"):
            store.keep(writer, size=4)
    assert list(store.stored()) == []
    sha256 = store.put(b"abc")
    assert store.put(b"abc") == sha256 == hashlib.sha256(b"abc").hexdigest()
    assert list(store.stored()) == [sha256]
    assert list(store.tmp.iterdir()) == []


def test_a_permission_ends(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    assert hub.check_signed("upload", "x", hub.signed("upload", "x", 60))
    assert not hub.check_signed("upload", "x", hub.signed("upload", "x", -1))
    assert not hub.check_signed("session", "x", hub.signed("upload", "x", 60)), "each serves one purpose"
    assert hub.token_file.stat().st_mode & 0o077 == 0, "whatever the umask"
    hub.close()


def test_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    with start_hub(tmp_path / "hub") as hub:
        for path in (hub.root / "hub.sqlite3", hub.root / "server.json", hub.root / "blobs"):
            assert path.stat().st_mode & 0o077 == 0
        assert hub.token.encode() not in (hub.root / "hub.sqlite3").read_bytes()
        hub.api().create_repo("xlt-hf/m")
        put(hub.api(), "xlt-hf/m", "w.bin", b"\0" * 10)
    assert hub.token not in (hub.root / "server.log").read_text()
