# SPDX-License-Identifier: Apache-2.0
"""Accounts, repositories, settings and lists, through the real client."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from tests.hub_server import RunningHub, xlt_hub


def test_whoami(api: HfApi) -> None:
    who = api.whoami()
    assert (who["type"], who["name"], who["auth"]["accessToken"]["role"]) == ("user", "xlt-hf", "write")


@pytest.mark.parametrize("token", ["hf_wrong", "not a token"])
def test_a_bad_token_is_refused(hub: RunningHub, repo: str, token: str) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        hub.api(token).model_info(repo)
    assert caught.value.response.status_code == 401
    assert caught.value.response.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
    assert not isinstance(caught.value, RepositoryNotFoundError)
    assert token not in caught.value.response.text


def test_create_says_where_and_exist_ok(api: HfApi, new_repo: Callable[..., str]) -> None:
    repo_id = new_repo("dataset", private=True)
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo(repo_id, repo_type="dataset")
    assert caught.value.response.status_code == 409
    url = api.create_repo(repo_id, repo_type="dataset", exist_ok=True)
    assert (url.repo_id, url.repo_type) == (repo_id, "dataset")
    assert api.dataset_info(repo_id).private, "exist_ok must not change what exists"
    assert api.list_repo_files(repo_id, repo_type="dataset") == [".gitattributes"]
    assert not api.repo_exists(repo_id, repo_type="model"), "each type has its own names"


def test_a_bare_name_is_the_users(api: HfApi, repo: str) -> None:
    name = repo.partition("/")[2]
    assert api.create_repo(name, exist_ok=True).repo_id == repo


@pytest.mark.parametrize("name", ["xlt-hf/a--b", "xlt-hf/.hidden", "xlt-hf/x.git", "xlt-hf/", "xlt-hf/a b"])
def test_impossible_names(hub: RunningHub, name: str) -> None:
    body = json.dumps({"type": "model", "organization": "xlt-hf", "name": name.partition("/")[2]}).encode()
    request = urllib.request.Request(
        f"{hub.endpoint}/api/repos/create", body, {"Authorization": f"Bearer {hub.token}"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400


def test_delete(api: HfApi, repo: str) -> None:
    api.delete_repo(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo)
    api.delete_repo(repo, missing_ok=True)


def test_move_leaves_the_old_name_leading_to_the_new(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo)
    api.move_repo(repo, repo + "-new")
    assert api.model_info(repo + "-new").id == repo + "-new"
    assert api.model_info(repo).id == repo + "-new"
    api.create_repo(repo)
    assert api.model_info(repo).id == repo, "a new repository takes its name back"
    assert api.file_exists(repo + "-new", "x.txt")
    with pytest.raises(HfHubHTTPError, match="already exists"):
        api.move_repo(repo + "-new", repo)


def test_private_repositories_do_not_exist_for_others(
    hub: RunningHub, api: HfApi, stranger: HfApi, new_repo: Callable[..., str]
) -> None:
    repo_id = new_repo(private=True)
    nobody = hub.api(False)
    for client in (stranger, nobody):
        with pytest.raises(RepositoryNotFoundError) as caught:
            client.model_info(repo_id)
        assert caught.value.response.status_code == 404
        for action in (
            client.list_repo_refs,
            client.list_repo_files,
            client.list_repo_commits,
            client.auth_check,
        ):
            with pytest.raises(RepositoryNotFoundError):
                action(repo_id)
        with pytest.raises(RepositoryNotFoundError):
            client.get_paths_info(repo_id, ["README.md"])
        assert not client.file_exists(repo_id, ".gitattributes")
        assert repo_id not in [model.id for model in client.list_models()]
        with pytest.raises(RepositoryNotFoundError):
            client.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo_id)
    assert api.model_info(repo_id).private
    assert repo_id in [model.id for model in api.list_models()]
    api.update_repo_settings(repo_id, private=False)
    assert nobody.model_info(repo_id).private is False


def test_others_cannot_write_to_public_repositories(stranger: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        stranger.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo)
    assert caught.value.response.status_code == 403
    for action in (
        lambda: stranger.create_branch(repo, branch="b"),
        lambda: stranger.create_tag(repo, tag="t"),
        lambda: stranger.delete_repo(repo),
        lambda: stranger.move_repo(repo, "stranger/stolen"),
        lambda: stranger.update_repo_settings(repo, private=True),
        lambda: stranger.super_squash_history(repo),
        lambda: stranger.create_repo("xlt-hf/theirs"),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            action()
        assert caught.value.response.status_code == 403


def test_a_read_token_cannot_write(hub: RunningHub, repo: str) -> None:
    reader = hub.api(hub.add_user("xlt-hf", "read"))
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    assert reader.create_repo(repo, exist_ok=True).repo_id == repo
    with pytest.raises(HfHubHTTPError, match="role 'read'") as caught:
        reader.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo)
    assert caught.value.response.status_code == 403
    with pytest.raises(HfHubHTTPError, match="role 'read'"):
        reader.create_repo(repo + "-more")
    reader.auth_check(repo)
    with pytest.raises(HfHubHTTPError):
        reader.auth_check(repo, write=True)


def test_members_write_to_their_organisation(hub: RunningHub, stranger: HfApi) -> None:
    member = hub.api(hub.add_user("member"))
    xlt_hub("org", "add", "the-org", "member", "--root", str(hub.root))
    assert [org["name"] for org in member.whoami()["orgs"]] == ["the-org"]
    member.create_repo("the-org/m", private=True)
    member.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="the-org/m")
    with pytest.raises(RepositoryNotFoundError):
        stranger.model_info("the-org/m")


def test_gated_files_are_kept_from_others(api: HfApi, stranger: HfApi, repo: str, tmp_path) -> None:
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo)
    api.update_repo_settings(repo, gated="manual")
    assert stranger.model_info(repo).gated == "manual"
    with pytest.raises(GatedRepoError):
        stranger.hf_hub_download(repo, "x.txt", cache_dir=tmp_path)
    with pytest.raises(GatedRepoError):
        stranger.auth_check(repo)
    assert api.hf_hub_download(repo, "x.txt", cache_dir=tmp_path)
    api.update_repo_settings(repo, gated=False)
    assert stranger.hf_hub_download(repo, "x.txt", cache_dir=tmp_path)


def test_lists(hub: RunningHub, new_repo: Callable[..., str]) -> None:
    api = hub.api(hub.add_user("lister"))
    for number, (tags, language) in enumerate([("[probe, one]", "hi"), ("[probe]", "en"), ("[other]", "hi")]):
        repo_id = f"lister/list-{number}"
        api.create_repo(repo_id)
        card = f"---\ntags: {tags}\nlanguage: {language}\nlicense: mit\n---\n"
        api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo_id)

    def ids(**query) -> list[str]:
        return [model.id.removeprefix("lister/list-") for model in api.list_models(**query)]

    assert ids(author="lister") == ["2", "1", "0"], "the last changed comes first"
    assert ids(author="lister", filter="probe") == ["1", "0"]
    assert ids(author="lister", filter=["probe", "one"]) == ["0"]
    assert ids(author="lister", filter=["language:hi", "license:mit"]) == ["2", "0"]
    assert ids(search="LIST-1") == ["1"]
    assert ids(author="lister", sort="created_at", limit=2) == ["2", "1"]
    assert ids(author="lister", filter="absent") == []
    assert ids(author="nobody") == []
    full = next(iter(api.list_models(author="lister", filter="one", full=True, cardData=True)))
    assert [file.rfilename for file in full.siblings] == [".gitattributes", "README.md"]
    assert full.card_data.license == "mit"
    expanded = next(iter(api.list_models(author="lister", filter="one", expand=["sha", "cardData"])))
    assert expanded.sha == api.model_info("lister/list-0").sha
    assert expanded.tags is None
    with pytest.raises(BadRequestError):
        list(api.list_models(expand=["foo"]))
    with pytest.raises(BadRequestError, match="Unknown property 'foo'"):
        api.model_info("lister/list-0", expand=["foo"])


def test_list_pages(hub: RunningHub) -> None:
    api = hub.api(hub.add_user("pager"))
    for number in range(5):
        api.create_repo(f"pager/d{number}", repo_type="dataset")
    url: str | None = f"{hub.endpoint}/api/datasets?author=pager&limit=2&sort=createdAt"
    found, pages = [], 0
    while url:
        with urllib.request.urlopen(url) as response:
            found += [item["id"] for item in json.load(response)]
            link = response.headers.get("Link", "")
        url = link.split(">")[0].removeprefix("<") if 'rel="next"' in link else None
        pages += 1
    assert found == [f"pager/d{number}" for number in (4, 3, 2, 1, 0)]
    assert pages == 3


def test_spaces(api: HfApi, new_repo: Callable[..., str]) -> None:
    space = new_repo("space")
    info = api.space_info(space)
    assert info.sdk == "static"
    assert {file.rfilename for file in info.siblings} == {".gitattributes", "README.md"}
    assert space in [one.id for one in api.list_spaces(author="xlt-hf")]
