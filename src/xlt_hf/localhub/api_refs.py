# SPDX-License-Identifier: Apache-2.0
"""Endpoints for branches, tags and the history."""

from datetime import UTC, datetime
from html import escape

from starlette.responses import JSONResponse, PlainTextResponse, Response

from xlt_hf.localhub.errors import HubError
from xlt_hf.localhub.history import (
    Commit,
    Ref,
    create_branch,
    create_tag,
    delete_ref,
    history,
    list_refs,
    resolve,
    super_squash,
)
from xlt_hf.localhub.repos import readable_repo, writable_repo
from xlt_hf.localhub.web import Call, Routes

routes = Routes()
_PAGE = 50


def iso(milliseconds: int) -> str:
    """A time as the API writes it."""
    return (
        datetime.fromtimestamp(milliseconds / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


@routes.add("GET", "/api/{type}/{ns}/{name}/refs")
def refs(call: Call) -> Response:
    """Branches and tags."""
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        branches, tags = list_refs(db, repo, "branch"), list_refs(db, repo, "tag")
    answer: dict[str, list] = {
        "branches": [_ref(r) for r in branches],
        "converts": [],
        "tags": [_ref(r) for r in tags],
    }
    if call.flag("include_prs"):
        answer["pullRequests"] = []
    return JSONResponse(answer)


def _ref(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, "ref": ref.full_name, "targetCommit": ref.commit_id}


@routes.add("POST", "/api/{type}/{ns}/{name}/branch/{branch*}")
def new_branch(call: Call) -> Response:
    """Create a branch."""
    start = call.json().get("startingPoint")
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        create_branch(db, repo, call.args["branch"], None if start is None else str(start))
    return PlainTextResponse("OK")


@routes.add("DELETE", "/api/{type}/{ns}/{name}/branch/{branch*}")
def drop_branch(call: Call) -> Response:
    """Delete a branch."""
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        delete_ref(db, repo, "branch", call.args["branch"])
    return PlainTextResponse("OK")


@routes.add("POST", "/api/{type}/{ns}/{name}/tag/{rev*}")
def new_tag(call: Call) -> Response:
    """Tag a revision."""
    body = call.json()
    if not isinstance(body.get("tag"), str):
        raise HubError(400, '"tag" must be a string')
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        create_tag(db, repo, body["tag"], call.args["rev"], str(body.get("message") or ""))
    return PlainTextResponse("OK")


@routes.add("DELETE", "/api/{type}/{ns}/{name}/tag/{tag*}")
def drop_tag(call: Call) -> Response:
    """Delete a tag."""
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        delete_ref(db, repo, "tag", call.args["tag"])
    return PlainTextResponse("OK")


@routes.add("GET", "/api/{type}/{ns}/{name}/commits/{rev}")
def commits(call: Call) -> Response:
    """The history of a revision, newest first, a page at a time."""
    cursor = call.query("cursor")
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        # The cursor is the commit that the next page starts with, so a commit made meanwhile moves nothing.
        walk = history(db, repo, resolve(db, repo, cursor or call.args["rev"]))
        page = [commit for commit, _ in zip(walk, range(_PAGE + 1))]
    headers = {}
    if len(page) > _PAGE:
        url = call.request.url.include_query_params(cursor=page[_PAGE].id)
        headers["Link"] = f'<{url}>; rel="next"'
    formatted = "formatted" in call.query_list("expand")
    return JSONResponse([_describe(commit, formatted) for commit in page[:_PAGE]], headers=headers)


def _describe(commit: Commit, formatted: bool) -> dict:
    answer: dict = {
        "id": commit.id,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": iso(commit.created_at),
    }
    if formatted:
        answer["formatted"] = {"title": escape(commit.title), "message": escape(commit.message)}
    return answer


@routes.add("POST", "/api/{type}/{ns}/{name}/super-squash/{branch*}")
def squash(call: Call) -> Response:
    """Replace a branch's history by one commit."""
    message = call.json().get("message")
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        assert call.actor is not None
        branch = call.args["branch"]
        super_squash(db, repo, branch, call.actor.name, str(message or f"Super-squash branch '{branch}'"))
    return PlainTextResponse("OK")
