# SPDX-License-Identifier: Apache-2.0
"""Uploads and commits, through the real client."""

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from tests.hub_server import RunningHub

STALE = "The branch was updated since you opened this page. Please refresh and try again."


def add(path: str, content: bytes = b"content") -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def read(api: HfApi, repo: str, path: str, tmp_path: Path, revision: str | None = None) -> bytes:
    return Path(api.hf_hub_download(repo, path, revision=revision, cache_dir=tmp_path / "cache")).read_bytes()


def test_add_delete_copy_in_one_commit(api: HfApi, repo: str, tmp_path: Path) -> None:
    big = bytes(range(256)) * 100
    api.create_commit(
        repo, [add("a.txt"), add("sub/b.txt"), add("sub/c.txt"), add("w.bin", big)], commit_message="1"
    )
    info = api.create_commit(
        repo,
        [
            add("a.txt", b"changed"),
            CommitOperationDelete("sub/b.txt"),
            CommitOperationCopy("w.bin", "copies/w.bin"),
            CommitOperationCopy("sub/c.txt", "copies/c.txt"),
        ],
        commit_message="Second",
        commit_description="with a description",
    )
    files = [".gitattributes", "a.txt", "copies/c.txt", "copies/w.bin", "sub/c.txt", "w.bin"]
    assert api.list_repo_files(repo) == files
    assert read(api, repo, "a.txt", tmp_path) == b"changed"
    assert read(api, repo, "copies/w.bin", tmp_path) == big
    head = api.list_repo_commits(repo)[0]
    assert (head.commit_id, head.title, head.message) == (info.oid, "Second", "with a description")
    assert head.authors == ["xlt-hf"]
    assert info.commit_url == f"{api.endpoint}/{repo}/commit/{info.oid}"


def test_deleting_a_folder_removes_it(api: HfApi, repo: str) -> None:
    api.create_commit(repo, [add("keep/x"), add("go/a"), add("go/deep/b")], commit_message="1")
    api.create_commit(repo, [CommitOperationDelete("go")], commit_message="No slash: a folder all the same")
    assert api.list_repo_files(repo) == [".gitattributes", "keep/x"]
    api.create_commit(repo, [add("go/a")], commit_message="again")
    api.delete_folder("go", repo)
    with pytest.raises(EntryNotFoundError, match="A folder with this name doesn't exist"):
        api.delete_folder("keep/x", repo)
    api.delete_file("keep/x", repo)
    assert [entry.path for entry in api.list_repo_tree(repo)] == [".gitattributes"], (
        "an emptied folder is gone"
    )


def test_deleting_what_is_not_there(api: HfApi, repo: str) -> None:
    before = api.model_info(repo).sha
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist"):
        api.create_commit(repo, [add("new"), CommitOperationDelete("absent")], commit_message="x")
    assert api.model_info(repo).sha == before
    assert not api.file_exists(repo, "new"), "a refused commit publishes nothing"


def test_hashes_are_gits(api: HfApi, repo: str, tmp_path: Path) -> None:
    # In git's order `a.b` comes before the folder `a`.
    contents = {"a.txt": b"one\n", "sub/b.txt": "नमस्ते\n".encode(), "sub/a/z": b"z", "sub/a.b": b"dot"}
    api.create_commit(repo, [add(path, data) for path, data in contents.items()], commit_message="1")
    api.delete_file(".gitattributes", repo)
    for path, data in contents.items():
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_bytes(data)

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", *contents)
    git("write-tree")
    ours = {entry.path: getattr(entry, "blob_id", None) for entry in api.list_repo_tree(repo, recursive=True)}
    for path in contents:
        assert ours[path] == git("hash-object", path)
    folders = {
        entry.path: entry.tree_id for entry in api.list_repo_tree(repo) if not hasattr(entry, "blob_id")
    }
    assert folders["sub"] == git("rev-parse", git("write-tree") + ":sub")


def test_lfs_file_of_five_megabytes(hub: RunningHub, api: HfApi, repo: str, tmp_path: Path) -> None:
    data = hashlib.shake_128(b"seed").digest(5_300_000)
    (tmp_path / "big.txt").write_bytes(data)  # LFS for its size, not its name
    api.upload_file(path_or_fileobj=tmp_path / "big.txt", path_in_repo="big.txt", repo_id=repo)
    sha256 = hashlib.sha256(data).hexdigest()
    (file,) = api.get_paths_info(repo, "big.txt")
    assert (file.size, file.lfs.size, file.lfs.sha256) == (len(data), len(data), sha256)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n".encode()
    assert file.lfs.pointer_size == len(pointer)
    assert file.blob_id == hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    assert read(api, repo, "big.txt", tmp_path) == data
    assert (hub.root / "blobs" / sha256[:2] / sha256).read_bytes() == data
    assert list((hub.root / "tmp").iterdir()) == []


def test_upload_folder_again_publishes_nothing(api: HfApi, repo: str, tmp_path: Path) -> None:
    for name, data in {
        "a.txt": b"a",
        "w.safetensors": b"\0" * 100,
        "d/.gitkeep": b"",
        "d/x.json": b"{}",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    first = api.upload_folder(folder_path=tmp_path, repo_id=repo)
    again = api.upload_folder(folder_path=tmp_path, repo_id=repo)
    assert again.oid == first.oid
    assert len(api.list_repo_commits(repo)) == 2
    (file,) = api.get_paths_info(repo, "w.safetensors")
    assert file.lfs is not None
    assert api.get_paths_info(repo, "d/.gitkeep")[0].lfs is None, "an empty file is never LFS"


def test_gitignore_is_obeyed(api: HfApi, repo: str, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nout/\n")
    for name in ("a.log", "keep.log", "b.txt", "out/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    api.upload_folder(folder_path=tmp_path, repo_id=repo)
    expected = [".gitattributes", ".gitignore", "b.txt", "keep.log"]
    assert api.list_repo_files(repo) == expected
    api.upload_file(path_or_fileobj=b"x", path_in_repo="later.log", repo_id=repo)
    assert api.list_repo_files(repo) == expected, "the repository's own .gitignore counts too"


def test_a_stale_parent_is_refused(api: HfApi, repo: str) -> None:
    start = api.model_info(repo).sha
    api.create_commit(repo, [add("a")], commit_message="1", parent_commit=start)
    with pytest.raises(HfHubHTTPError, match=STALE) as caught:
        api.create_commit(repo, [add("b")], commit_message="2", parent_commit=start)
    assert caught.value.response.status_code == 412
    assert api.list_repo_files(repo) == [".gitattributes", "a"]


def test_concurrent_commits_all_land(hub: RunningHub, repo: str) -> None:
    count, errors = 8, []

    def commit(number: int) -> None:
        try:
            hub.api().create_commit(repo, [add(f"file-{number}", b"%d" % number)], commit_message=f"{number}")
        except HfHubHTTPError as error:
            errors.append(error)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    api = hub.api()
    assert api.list_repo_files(repo) == [".gitattributes", *sorted(f"file-{n}" for n in range(count))]
    assert len(api.list_repo_commits(repo)) == count + 1, "one history, no commit lost"


def test_of_two_with_the_same_parent_one_wins(hub: RunningHub, repo: str) -> None:
    start = hub.api().model_info(repo).sha
    outcomes: list[int] = []

    def commit(number: int) -> None:
        try:
            hub.api().create_commit(repo, [add(f"{number}")], commit_message="x", parent_commit=start)
            outcomes.append(200)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200, 412, 412, 412]


def test_a_missing_repository_is_explained(api: HfApi) -> None:
    """Word for word what huggingface_hub's own tests expect."""
    with pytest.raises(RepositoryNotFoundError) as caught:
        api.create_commit("xlt-hf/absent", [add("config.json")], commit_message="x")
    request_id = caught.value.response.headers["X-Request-Id"]
    message = str(caught.value)
    assert message.startswith(
        f"404 Client Error. (Request ID: {request_id})\n\nRepository Not Found for url: "
        f"{api.endpoint}/api/models/xlt-hf/absent/preupload/main.\nPlease make sure"
    )
    assert message.endswith("Please use `create_repo` if it's not the case.")


def test_names_in_any_case(api: HfApi, new_repo: Callable[..., str]) -> None:
    repo = new_repo(prefix="CaSe")
    api.create_commit(repo.lower(), [add("a.txt"), add("w.bin")], commit_message="x")
    assert api.list_repo_files(repo) == [".gitattributes", "a.txt", "w.bin"]
    assert api.model_info(repo.upper()).id == repo


def test_commit_to_an_unknown_branch(api: HfApi, repo: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        api.create_commit(repo, [add("a")], commit_message="x", revision="absent")


def test_a_blob_cannot_be_had_by_its_name(
    api: HfApi, stranger: HfApi, new_repo: Callable[..., str], hub: RunningHub
) -> None:
    """Knowing the sha256 of a private file must not be enough to publish it as one's own."""
    secret = b"secret" * 100
    private = new_repo(private=True)
    api.upload_file(path_or_fileobj=secret, path_in_repo="w.bin", repo_id=private)
    stranger.create_repo("stranger/thief", exist_ok=True)
    operation = add("w.bin", secret)
    operation._upload_mode, operation._is_uploaded = "lfs", True  # claim that it is there
    with pytest.raises(BadRequestError, match="does not exist"):
        stranger.create_commit("stranger/thief", [operation], commit_message="x")
    assert not stranger.file_exists("stranger/thief", "w.bin")
    stranger.upload_file(path_or_fileobj=secret, path_in_repo="w.bin", repo_id="stranger/thief")
    assert stranger.file_exists("stranger/thief", "w.bin"), "who has the bytes may upload them"


def test_pull_requests_are_declined_clearly(api: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="no pull requests"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo, create_pr=True)


@pytest.mark.parametrize("path", ["a/../b", ".git/config", "a//b", "a\nb", "./a", "..\\a"])
def test_paths_that_lead_elsewhere(hub: RunningHub, repo: str, path: str) -> None:
    lines = [
        {"key": "header", "value": {"summary": "x"}},
        {"key": "file", "value": {"path": path, "content": "eA==", "encoding": "base64"}},
    ]
    answer = httpx.post(
        f"{hub.endpoint}/api/models/{repo}/commit/main",
        content="\n".join(json.dumps(line) for line in lines),
        headers={"Authorization": f"Bearer {hub.token}", "Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 422
    assert "Invalid path in repo" in answer.json()["error"]


HEADER = '{"key": "header", "value": {"summary": "x"}}\n'


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        '{"key": "header"}',
        '{"key": "header", "value": {}}',
        HEADER + '{"key": "file", "value": {"path": "a"}}',
        HEADER + '{"key": "file", "value": {"path": "a", "content": "!", "encoding": "base64"}}',
        HEADER + '{"key": "surprise", "value": {"path": "a"}}',
        HEADER + '{"key": "lfsFile", "value": {"path": "a", "oid": "../x"}}',
        HEADER + '{"key": "file", "value": {"path": "a\\ud800", "content": ""}}',
    ],
)
def test_malformed_commits(hub: RunningHub, repo: str, body: str) -> None:
    answer = httpx.post(
        f"{hub.endpoint}/api/models/{repo}/commit/main",
        content=body,
        headers={"Authorization": f"Bearer {hub.token}"},
    )
    assert answer.status_code == 400
    assert answer.headers["X-Error-Message"]
    assert len(hub.api().list_repo_commits(repo)) == 1


def test_an_upload_with_other_bytes_is_refused(hub: RunningHub, repo: str) -> None:
    sha256 = hashlib.sha256(b"right").hexdigest()
    batch = httpx.post(
        f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch",
        json={"operation": "upload", "objects": [{"oid": sha256, "size": 5}]},
        headers={"Authorization": f"Bearer {hub.token}"},
    ).json()
    href = batch["objects"][0]["actions"]["upload"]["href"]
    for wrong in (b"wrong", b"longer than declared", b"sh"):
        answer = httpx.put(href, content=wrong)
        assert answer.status_code == 400
    assert httpx.put(href.replace("proof=", "proof=1"), content=b"right").status_code == 403
    verify = batch["objects"][0]["actions"]["verify"]["href"]
    assert httpx.post(verify, json={}).status_code == 404
    assert httpx.put(href, content=b"right").status_code == 200
    assert httpx.post(verify, json={}).status_code == 200
    assert list((hub.root / "tmp").iterdir()) == []
