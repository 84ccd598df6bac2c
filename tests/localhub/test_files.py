# SPDX-License-Identifier: Apache-2.0
"""Downloads, ranges, trees, through the real client and plain HTTP."""

import hashlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import get_hf_file_metadata
from huggingface_hub.utils import httpx

from tests.hub_server import RunningHub

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def files(api: HfApi) -> str:
    """A repository with an LFS file, a text file and a name that needs quoting."""
    api.create_repo("xlt-hf/files")
    operations = [
        CommitOperationAdd("w.bin", DATA),
        CommitOperationAdd("a.txt", b"hello"),
        CommitOperationAdd("empty.txt", b""),
        CommitOperationAdd("फ़ाइल/a b#?%.txt", "नमस्ते".encode()),
        CommitOperationAdd("page.html", b"<script>alert(1)</script>"),
    ]
    api.create_commit("xlt-hf/files", operations, commit_message="Files")
    return "xlt-hf/files"


@pytest.mark.parametrize("path", ["w.bin", "a.txt", "empty.txt", "फ़ाइल/a b#?%.txt"])
def test_download(api: HfApi, files: str, path: str, tmp_path: Path) -> None:
    expected = {"w.bin": DATA, "a.txt": b"hello", "empty.txt": b""}.get(path, "नमस्ते".encode())
    assert Path(api.hf_hub_download(files, path, cache_dir=tmp_path)).read_bytes() == expected


def test_snapshot_download_at_a_commit(api: HfApi, repo: str, tmp_path: Path) -> None:
    old = api.upload_file(path_or_fileobj=b"old", path_in_repo="x.txt", repo_id=repo).oid
    api.upload_file(path_or_fileobj=b"new", path_in_repo="x.txt", repo_id=repo)
    for revision, expected in ((old, b"old"), (old[:10], b"old"), ("main", b"new")):
        folder = api.snapshot_download(repo, revision=revision, cache_dir=tmp_path)
        assert (Path(folder) / "x.txt").read_bytes() == expected


def test_metadata(hub: RunningHub, api: HfApi, files: str) -> None:
    sha = api.model_info(files).sha
    lfs = get_hf_file_metadata(f"{hub.endpoint}/{files}/resolve/main/w.bin", token=hub.token)
    assert (lfs.commit_hash, lfs.etag, lfs.size) == (sha, hashlib.sha256(DATA).hexdigest(), len(DATA))
    headers = httpx.head(f"{hub.endpoint}/{files}/resolve/main/w.bin").headers
    assert (headers["X-Linked-Etag"], headers["X-Linked-Size"]) == (headers["ETag"], str(len(DATA)))
    text = get_hf_file_metadata(f"{hub.endpoint}/{files}/resolve/{sha}/a.txt", token=hub.token)
    assert (text.commit_hash, text.size) == (sha, 5)
    assert text.etag == hashlib.sha1(b"blob 5\0hello").hexdigest()


def test_what_is_missing(hub: RunningHub, api: HfApi, files: str, tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(files, "absent.txt", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(files, "a.txt", revision="absent", cache_dir=tmp_path)
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(files, "absent"))
    with pytest.raises(RevisionNotFoundError, match="404"):
        api.model_info(files, revision="0" * 40)
    answer = httpx.head(f"{hub.endpoint}/{files}/resolve/main/absent.txt")
    assert answer.headers["X-Repo-Commit"] == api.model_info(files).sha, "clients remember absence by commit"


@pytest.mark.parametrize("path", ["w.bin", "a.txt"])
@pytest.mark.parametrize("asked", ["0-0", "0-3", "2-", "1-4", "-2", "-99999999", "3-99999999"])
def test_ranges(hub: RunningHub, files: str, path: str, asked: str) -> None:
    whole = DATA if path == "w.bin" else b"hello"
    start, _, end = asked.partition("-")
    first = int(start) if start else max(0, len(whole) - int(end))
    last = min(int(end), len(whole) - 1) if start and end else len(whole) - 1
    answer = httpx.get(f"{hub.endpoint}/{files}/resolve/main/{path}", headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.content == whole[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
    assert answer.headers["Content-Length"] == str(last + 1 - first)


def test_a_range_past_the_end(hub: RunningHub, files: str) -> None:
    answer = httpx.get(f"{hub.endpoint}/{files}/resolve/main/a.txt", headers={"Range": "bytes=5-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */5"


def test_file_system_reads_a_piece(hub: RunningHub, files: str) -> None:
    system = HfFileSystem(endpoint=hub.endpoint, token=hub.token, skip_instance_cache=True)
    with system.open(f"{files}/w.bin") as file:
        file.seek(5000)
        assert file.read(10) == DATA[5000:5010]
    assert system.info(f"{files}/a.txt")["size"] == 5


def test_answers_do_not_wait_for_acknowledgements(hub: RunningHub) -> None:
    """Without TCP_NODELAY each answer takes 40 ms, and a recipe asks hundreds of questions."""
    seconds = []
    with httpx.Client() as client:
        for _ in range(31):
            start = time.perf_counter()
            client.get(f"{hub.endpoint}/healthz")
            seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 0.035


def test_html_is_never_sent_as_html(hub: RunningHub, files: str) -> None:
    answer = httpx.get(f"{hub.endpoint}/{files}/resolve/main/page.html")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_tree_and_paths_info(api: HfApi, repo: str) -> None:
    first = api.create_commit(
        repo,
        [CommitOperationAdd(path, b"1") for path in ("a.txt", "d/b.txt", "d/e/c.txt")],
        commit_message="First",
    )
    second = api.upload_file(
        path_or_fileobj=b"2", path_in_repo="d/b.txt", repo_id=repo, commit_message="Second"
    )
    assert [entry.path for entry in api.list_repo_tree(repo)] == [".gitattributes", "a.txt", "d"]
    assert [entry.path for entry in api.list_repo_tree(repo, "d")] == ["d/b.txt", "d/e"]
    assert [entry.path for entry in api.list_repo_tree(repo, "d", recursive=True)] == [
        "d/b.txt",
        "d/e",
        "d/e/c.txt",
    ]
    last = {entry.path: entry.last_commit for entry in api.list_repo_tree(repo, recursive=True, expand=True)}
    assert {path: commit.title for path, commit in last.items()} == {
        ".gitattributes": "initial commit",
        "a.txt": "First",
        "d": "Second",
        "d/b.txt": "Second",
        "d/e": "First",
        "d/e/c.txt": "First",
    }
    assert last["a.txt"].oid == first.oid
    found = api.get_paths_info(repo, ["d/b.txt", "d", "absent"], expand=True)
    assert [(entry.path, entry.last_commit.oid) for entry in found] == [
        ("d/b.txt", second.oid),
        ("d", second.oid),
    ]
    assert api.get_paths_info(repo, "d/b.txt", revision=first.oid)[0].last_commit is None


def test_a_long_tree_comes_in_pages(api: HfApi, new_repo: Callable[..., str]) -> None:
    repo = new_repo("dataset")
    names = [f"data/{number:04}.txt" for number in range(1203)]
    operations = [CommitOperationAdd(name, b"same") for name in names]
    api.create_commit(repo, operations, commit_message="Many", repo_type="dataset")
    tree = list(api.list_repo_tree(repo, recursive=True, repo_type="dataset"))
    assert [entry.path for entry in tree] == [".gitattributes", "data", *names]
    expanded = list(api.list_repo_tree(repo, "data", expand=True, repo_type="dataset"))
    assert [entry.path for entry in expanded] == names
    assert {entry.last_commit.title for entry in expanded} == {"Many"}
    assert len(api.dataset_info(repo).siblings) == 1204


def test_info_with_file_metadata(api: HfApi, files: str) -> None:
    by_name = {file.rfilename: file for file in api.model_info(files, files_metadata=True).siblings}
    assert by_name["w.bin"].lfs.sha256 == hashlib.sha256(DATA).hexdigest()
    assert by_name["a.txt"].lfs is None
    assert by_name["a.txt"].blob_id == hashlib.sha1(b"blob 5\0hello").hexdigest()
    assert api.model_info(files).siblings[0].size is None
