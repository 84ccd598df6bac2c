# SPDX-License-Identifier: Apache-2.0
"""Branches, tags and history, through the real client."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError


def put(api: HfApi, repo: str, content: str, revision: str | None = None) -> str:
    info = api.upload_file(
        path_or_fileobj=content.encode(),
        path_in_repo="x.txt",
        repo_id=repo,
        revision=revision,
        commit_message=f"Write {content}",
    )
    return info.oid


def test_a_branch_goes_its_own_way(api: HfApi, repo: str, tmp_path: Path) -> None:
    one = put(api, repo, "one")
    two = put(api, repo, "two")
    api.create_branch(repo, branch="step-000000500", revision=one)
    api.create_branch(repo, branch="from/main")
    three = put(api, repo, "three", "from/main")
    heads = {branch.name: branch.target_commit for branch in api.list_repo_refs(repo).branches}
    assert heads == {"main": two, "step-000000500": one, "from/main": three}
    for revision, expected in (
        ("step-000000500", "one"),
        ("from/main", "three"),
        ("refs/heads/from/main", "three"),
    ):
        path = api.hf_hub_download(repo, "x.txt", revision=revision, cache_dir=tmp_path)
        assert Path(path).read_text() == expected
        assert api.model_info(repo, revision=revision).sha == heads[revision.removeprefix("refs/heads/")]
    titles = [commit.title for commit in api.list_repo_commits(repo, revision="from/main")]
    assert titles == ["Write three", "Write two", "Write one", "initial commit"]


def test_an_existing_branch(api: HfApi, repo: str) -> None:
    api.create_branch(repo, branch="b")
    with pytest.raises(HfHubHTTPError, match="Reference refs/heads/b already exists") as caught:
        api.create_branch(repo, branch="b")
    assert caught.value.response.status_code == 409
    api.create_branch(repo, branch="b", exist_ok=True)


def test_deleting_branches(api: HfApi, repo: str) -> None:
    api.create_branch(repo, branch="b")
    api.delete_branch(repo, branch="b")
    with pytest.raises(RevisionNotFoundError):
        api.delete_branch(repo, branch="b")
    with pytest.raises(HfHubHTTPError, match="Cannot delete refs/heads/main"):
        api.delete_branch(repo, branch="main")


@pytest.mark.parametrize("name", ["refs/pr/5", "a b", "a..b", "x.lock", "-x", "a~1", "0" * 40])
def test_names_that_git_forbids(api: HfApi, repo: str, name: str) -> None:
    with pytest.raises(BadRequestError, match="Invalid reference for a branch"):
        api.create_branch(repo, branch=name)


def test_a_branch_from_nowhere(api: HfApi, repo: str) -> None:
    with pytest.raises(RevisionNotFoundError, match="Invalid rev id"):
        api.create_branch(repo, branch="b", revision="absent")


def test_tags(api: HfApi, repo: str) -> None:
    one = put(api, repo, "one")
    put(api, repo, "two")
    api.create_tag(repo, tag="v1", revision=one, tag_message="First")
    api.create_tag(repo, tag="latest")
    assert {tag.name: tag.target_commit for tag in api.list_repo_refs(repo).tags}["v1"] == one
    assert api.model_info(repo, revision="v1").sha == one
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_tag(repo, tag="v1")
    assert caught.value.response.status_code == 409
    api.create_tag(repo, tag="v1", exist_ok=True)
    api.delete_tag(repo, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        put(api, repo, "three", "latest")  # a tag does not move
    with pytest.raises(BadRequestError):
        api.create_tag(repo, tag="a b")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="a b", revision="absent")
    with pytest.raises(HfHubHTTPError):
        api.delete_tag(repo, tag="main")


def test_super_squash(api: HfApi, repo: str, tmp_path: Path) -> None:
    for number in range(3):
        put(api, repo, f"{number}")
    api.create_branch(repo, branch="before")
    api.super_squash_history(repo, commit_message="All of it")
    assert [commit.title for commit in api.list_repo_commits(repo)] == ["All of it"]
    assert len(api.list_repo_commits(repo, revision="before")) == 4
    assert Path(api.hf_hub_download(repo, "x.txt", cache_dir=tmp_path)).read_text() == "2"


def test_a_long_history_comes_in_pages(api: HfApi, repo: str) -> None:
    for number in range(52):
        put(api, repo, f"{number}")
    titles = [commit.title for commit in api.list_repo_commits(repo)]
    assert titles == [*(f"Write {number}" for number in reversed(range(52))), "initial commit"]
    formatted = api.list_repo_commits(repo, formatted=True)
    assert formatted[0].formatted_title == "Write 51"


def test_commits_are_in_order_of_time(api: HfApi, repo: str) -> None:
    put(api, repo, "one")
    dates = [commit.created_at for commit in api.list_repo_commits(repo)]
    assert dates == sorted(dates, reverse=True)
    assert api.model_info(repo).last_modified >= dates[0]
