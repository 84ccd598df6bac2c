# SPDX-License-Identifier: Apache-2.0
"""Pages for a person, and static Spaces."""

import re
from collections.abc import Callable

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.utils import httpx

from tests.hub_server import RunningHub
from xlt_hf.localhub.markdown import render_markdown

CARD = """\
---
language: [en, hi]
license: mit
tags: ["<script>alert('tag')</script>"]
model-index:
- name: m
  results:
  - task: {type: text-generation}
    dataset: {type: d, name: Almanac facts, config: hi}
    metrics: [{type: exact_match, value: 71.5}]
---
# नमस्ते दुनिया

<!-- a note to authors -->
Some *text*, [a file](sub/file.txt), ![a plot](plot.png) <script>alert('card')</script>

[bad](javascript:alert(1)) <img src=x onerror=alert(1)>

| a | b |
|---|--:|
| काठमांडू | 2 |
"""


@pytest.fixture
def browser(hub: RunningHub):
    """A person's browser, not logged in."""
    with httpx.Client(
        base_url=hub.endpoint, headers={"Accept": "text/html"}, follow_redirects=False
    ) as client:
        yield client


def log_in(browser, hub: RunningHub, next_path: str = "/"):
    return browser.post("/login", data={"token": hub.token, "next": next_path})


@pytest.fixture
def published(api: HfApi, new_repo: Callable[..., str]) -> str:
    """A public model with a card, a branch and a tag."""
    repo = new_repo()
    operations = [
        CommitOperationAdd("README.md", CARD.encode()),
        CommitOperationAdd("sub/file.txt", "<b>नेपाल</b> की राजधानी काठमांडू है।".encode()),
        CommitOperationAdd("w.bin", b"\0" * 2048),
    ]
    api.create_commit(repo, operations, commit_message="Publish <it>", commit_description="All of it")
    api.create_branch(repo, branch="step-000000500")
    api.create_tag(repo, tag="v1")
    return repo


def test_the_card(browser, published: str) -> None:
    answer = browser.get(f"/{published}")
    assert answer.status_code == 200
    html = answer.text
    assert '<h1 lang="hi">नमस्ते दुनिया</h1>' in html
    assert '<td lang="hi">काठमांडू</td>' in html
    assert '<td class="right">2</td>' in html
    assert f'href="/{published}/blob/main/sub/file.txt"' in html
    assert f'src="/{published}/resolve/main/plot.png"' in html
    assert "a note to authors" not in html
    assert "Almanac facts · hi" in html
    assert "71.5" in html
    assert "<script" not in html
    assert "<img src=x" not in html
    assert 'href="javascript:' not in html
    assert "&lt;script&gt;alert(&#39;tag&#39;)" in html
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert not re.search(r' style="', html), "the policy would block it"


def test_files_and_history(browser, api: HfApi, published: str) -> None:
    sha = api.model_info(published).sha
    tree = browser.get(f"/{published}/tree/main").text
    assert "w.bin" in tree
    assert "2.0 kB" in tree
    assert "Publish &lt;it&gt;" in tree
    assert "file.txt" in browser.get(f"/{published}/tree/main/sub").text
    blob = browser.get(f"/{published}/blob/main/sub/file.txt").text
    assert '<pre class="source" lang="hi">&lt;b&gt;नेपाल&lt;/b&gt;' in blob
    assert "not shown" in browser.get(f"/{published}/blob/v1/w.bin").text
    commits = browser.get(f"/{published}/commits/main").text
    assert sha[:12] in commits
    assert "initial commit" in commits
    commit = browser.get(f"/{published}/commit/{sha}").text
    assert "All of it" in commit
    assert "sub/file.txt" in commit
    refs = browser.get(f"/{published}/refs").text
    assert "step-000000500" in refs
    assert "v1" in refs
    assert browser.get(f"/{published}/tree/absent").status_code == 404
    assert browser.get(f"/{published}/blob/main/absent").status_code == 404


def test_the_address_of_a_commit_is_a_page(browser, api: HfApi, repo: str) -> None:
    info = api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo)
    assert browser.get(info.commit_url).status_code == 200


def test_private_repositories_show_after_login(
    hub: RunningHub, browser, new_repo: Callable[..., str]
) -> None:
    repo = new_repo(private=True)
    pages = [
        f"/{repo}",
        f"/{repo}/tree/main",
        f"/{repo}/commits/main",
        f"/{repo}/resolve/main/.gitattributes",
    ]
    assert repo not in browser.get("/").text
    for path in pages:
        assert browser.get(path).status_code == 404
    assert "/login?next=" in browser.get(f"/{repo}").text
    assert browser.post("/login", data={"token": "wrong"}).status_code == 401
    answer = log_in(browser, hub, f"/{repo}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/{repo}")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert hub.token not in cookie
    assert repo in browser.get("/").text
    for path in pages:
        assert browser.get(path).status_code == 200
    browser.post("/logout")
    assert browser.get(f"/{repo}").status_code == 404


def test_a_session_changes_nothing(hub: RunningHub, browser, repo: str) -> None:
    log_in(browser, hub)
    assert browser.delete(f"/api/models/{repo}/branch/main").status_code == 401
    assert browser.post("/api/repos/create", json={"name": "x", "type": "model"}).status_code == 401
    assert browser.get("/api/whoami-v2").status_code == 401


def test_a_forged_session_is_nobody(hub: RunningHub, browser, new_repo: Callable[..., str]) -> None:
    repo = new_repo(private=True)
    log_in(browser, hub)
    ((name, value),) = browser.cookies.items()
    forgeries = [value + "0", "2" + value[1:], value.replace(".", ".9", 1), "1.9999999999.0", "1..", "x"]
    for forged in forgeries:
        assert httpx.get(f"{hub.endpoint}/{repo}", cookies={name: forged}).status_code == 404
    assert httpx.get(f"{hub.endpoint}/{repo}", cookies={name: value}).status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)"]
)
def test_login_leads_nowhere_else(hub: RunningHub, browser, target: str) -> None:
    assert log_in(browser, hub, target).headers["Location"] == "/"


def test_forms_from_other_sites_are_refused(hub: RunningHub, browser) -> None:
    for path in ("/login", "/logout"):
        answer = browser.post(path, data={"token": hub.token}, headers={"Origin": "https://evil.test"})
        assert answer.status_code == 403


def test_search(browser, published: str) -> None:
    assert published in browser.get("/", params={"q": published.upper()}).text
    assert published not in browser.get("/", params={"q": "absent"}).text
    assert published not in browser.get("/datasets").text
    assert "&#34;&gt;&lt;b&gt;" in browser.get("/", params={"q": '"><b>'}).text


def test_errors_are_pages_for_browsers_and_json_for_clients(hub: RunningHub, browser) -> None:
    assert "<html" in browser.get("/no/such").text
    assert httpx.get(f"{hub.endpoint}/no/such").json() == {"error": "Repository not found"}
    assert browser.get("/api/models/no/such").json() == {"error": "Repository not found"}


def test_markdown_links_stay_in_the_repository() -> None:
    html = render_markdown("[a](../../../x.md) [b](//evil.test/x) [c](#part)", "datasets/a/b", "v/1", "sub")
    assert 'href="/datasets/a/b/blob/v%2F1/x.md"' in html
    assert 'rel="nofollow noopener noreferrer"' in html
    assert 'href="#part"' in html


SPACE = {
    "index.html": b'<link rel=stylesheet href="css/a.css"><script src="a.js"></script>',
    "css/a.css": b"body{}",
    "a.js": b"1",
    "data/rows.json": b"[]",
    "plot.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}
TYPES = {
    "index.html": "text/html",
    "css/a.css": "text/css",
    "a.js": "text/javascript",
    "data/rows.json": "application/json",
}


@pytest.mark.parametrize("private", [False, True])
def test_static_space(
    hub: RunningHub, api: HfApi, browser, new_repo: Callable[..., str], private: bool
) -> None:
    space = new_repo("space", private=private)
    operations = [CommitOperationAdd(path, data) for path, data in SPACE.items()]
    api.create_commit(space, operations, commit_message="Space", repo_type="space")
    if private:
        assert browser.get(f"/static/{space}/index.html").status_code == 404
        log_in(browser, hub)
        assert browser.get(f"/static/{space}/a.js").status_code == 302
    page = browser.get(f"/spaces/{space}").text
    address = re.search(r'<iframe class="app" src="([^"]+)"', page)
    assert address is not None
    assert 'sandbox="allow-scripts' in page
    assert "allow-same-origin" not in page
    # As in the sandboxed frame: no cookie comes along, and relative links keep the permission.
    base = hub.endpoint + address.group(1)
    assert httpx.get(base).content == SPACE["index.html"]
    for path, data in SPACE.items():
        answer = httpx.get(base + path)
        assert answer.content == data
        assert answer.headers["Content-Type"].startswith(TYPES.get(path, "image/svg+xml"))
        assert answer.headers["Content-Security-Policy"].startswith("sandbox ")
        assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert httpx.get(base + "absent.js").status_code == 404
    if private:
        assert httpx.get(base.replace("/~", "/~9")).status_code == 404
        other = new_repo("space", private=True)
        assert httpx.get(base.replace(space, other)).status_code == 404, "a permission is for one Space"


def test_a_space_of_another_kind_is_not_run(api: HfApi, browser, hub: RunningHub) -> None:
    api.create_repo("xlt-hf/gradio", repo_type="space", space_sdk="gradio", exist_ok=True)
    answer = browser.get("/static/xlt-hf/gradio/")
    assert answer.status_code == 404
    assert "not a static Space" in answer.text
    assert "<iframe" not in browser.get("/spaces/xlt-hf/gradio").text
