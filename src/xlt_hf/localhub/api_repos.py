# SPDX-License-Identifier: Apache-2.0
"""Endpoints for accounts and repositories: who am I, create, delete, move, settings, validate a card."""

import sqlite3

from starlette.responses import JSONResponse, PlainTextResponse, Response

from xlt_hf.localhub.accounts import Actor, find_account
from xlt_hf.localhub.card_rules import validate_card
from xlt_hf.localhub.errors import HubError, repo_not_found
from xlt_hf.localhub.history import first_commit
from xlt_hf.localhub.repos import (
    REPO_TYPES,
    Repo,
    check_gate,
    create_repo,
    delete_repo,
    move_repo,
    readable_repo,
    update_settings,
    writable_repo,
)
from xlt_hf.localhub.trees import Entry, regular_file
from xlt_hf.localhub.upload_rules import default_gitattributes
from xlt_hf.localhub.web import Call, Routes

routes = Routes()


@routes.add("GET", "/api/whoami-v2")
def whoami(call: Call) -> Response:
    """The token's user."""
    actor = call.actor
    if actor is None:
        raise HubError(401, "Invalid username or password.")
    return JSONResponse(
        {
            "type": "user",
            "id": str(actor.user_id),
            "name": actor.name,
            "fullname": actor.name,
            "isPro": False,
            "orgs": [{"type": "org", "name": org, "fullname": org} for org in actor.orgs],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": actor.token_name, "role": actor.role},
            },
        }
    )


@routes.add("GET", "/api/users/{user}/overview", "/api/organizations/{user}/overview")
def overview(call: Call) -> Response:
    """What is public about an account."""
    with call.hub.db.read() as db:
        account = find_account(db, call.args["user"])
    if account is None:
        raise HubError(404, f"No user or organisation '{call.args['user']}'")
    name = account["name"]
    return JSONResponse({"user": name, "name": name, "fullname": name, "type": account["kind"]})


@routes.add("POST", "/api/repos/create")
def create(call: Call) -> Response:
    """Create a repository with its first commit."""
    body = call.json()
    visibility = body.get("visibility") or ("private" if body.get("private") else "public")
    if visibility not in ("public", "private"):
        raise HubError(400, f"Invalid visibility '{visibility}': 'public' or 'private'")
    name, owner = body.get("name"), body.get("organization")
    if not isinstance(name, str) or not isinstance(owner, str | None):
        raise HubError(400, '"name" must be a string, "organization" a string or null')
    repo_type = body.get("type") or "model"
    # Its blobs are on disk before the transaction that names them.
    starters = [("README.md", _space_card(name, str(body.get("sdk"))))] if repo_type == "space" else []
    starters.append((".gitattributes", default_gitattributes(repo_type)))
    files = [_starter(call, path, text) for path, text in starters]
    try:
        with call.hub.db.write() as db:
            repo = create_repo(
                db, call.actor, repo_type, owner, name, private=visibility == "private", sdk=body.get("sdk")
            )
            assert call.actor is not None  # create_repo refuses otherwise
            first_commit(db, repo, files, call.actor.name)
    except HubError as error:
        if "path" in error.body:
            error.body["url"] = f"{call.base_url}/{error.body.pop('path')}"
        raise
    return JSONResponse({"url": f"{call.base_url}/{repo.path}", "name": repo.full_name, "id": str(repo.id)})


def _starter(call: Call, path: str, text: str) -> Entry:
    data = text.encode()
    return regular_file(path, data, call.hub.blobs.put(data))


def _space_card(name: str, sdk: str) -> str:
    extra = "" if sdk == "static" else "app_file: app.py\n"
    return f"---\ntitle: {name!r}\nsdk: {sdk}\n{extra}pinned: false\n---\n"


def _split_id(full_name: object) -> tuple[str, str]:
    owner, slash, name = str(full_name).partition("/")
    if not slash or "/" in name:
        raise HubError(400, f"Invalid repo id '{full_name}': it should be namespace/name")
    return owner, name


def _type_of(body: dict) -> str:
    repo_type = body.get("type") or "model"
    if repo_type not in REPO_TYPES:
        raise HubError(400, f"Invalid repo type '{repo_type}': one of {', '.join(REPO_TYPES)}")
    return str(repo_type)


@routes.add("DELETE", "/api/repos/delete")
def delete(call: Call) -> Response:
    """Delete a repository."""
    body = call.json()
    owner = body.get("organization") or (call.actor.name if call.actor else "")
    with call.hub.db.write() as db:
        delete_repo(db, writable_repo(db, call.actor, _type_of(body), str(owner), str(body.get("name"))))
    return PlainTextResponse("OK")


@routes.add("POST", "/api/repos/move")
def move(call: Call) -> Response:
    """Rename a repository."""
    body = call.json()
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, _type_of(body), *_split_id(body.get("fromRepo")))
        move_repo(db, call.actor, repo, *_split_id(body.get("toRepo")))
    return PlainTextResponse("OK")


@routes.add("PUT", "/api/{type}/{ns}/{name}/settings")
def settings(call: Call) -> Response:
    """Change visibility or gating."""
    body = call.json()
    visibility = body.get("visibility")
    if visibility is None and "private" in body:
        visibility = "private" if body["private"] else "public"
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        update_settings(db, repo, visibility=visibility, gated=body.get("gated"))
    return JSONResponse(
        {key: value for key, value in body.items() if key in ("visibility", "private", "gated")}
    )


@routes.add("GET", "/api/{type}/{ns}/{name}/auth-check", "/api/{type}/{ns}/{name}/auth-check/write")
def auth_check(call: Call) -> Response:
    """Whether the caller may read (or write)."""
    find = writable_repo if call.request.url.path.endswith("/write") else _open_repo
    with call.hub.db.read() as db:
        find(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
    return PlainTextResponse("OK")


def _open_repo(db: sqlite3.Connection, actor: Actor | None, repo_type: str, owner: str, name: str) -> Repo:
    repo = readable_repo(db, actor, repo_type, owner, name)
    check_gate(actor, repo)
    return repo


@routes.add("POST", "/api/validate-yaml")
def validate_yaml(call: Call) -> Response:
    """Check a card's metadata; 400 with the errors if there are any."""
    body = call.json()
    content, repo_type = body.get("content"), body.get("repoType") or "model"
    if not isinstance(content, str) or repo_type not in REPO_TYPES:
        raise HubError(400, '"content" must be a string and "repoType" one of ' + ", ".join(REPO_TYPES))
    errors, warnings = validate_card(content, repo_type)
    status = 400 if errors else 200
    if call.request.headers.get("accept", "").startswith("text/plain"):
        lines = [f"- Error: {message}" for message in errors] + [
            f"- Warning: {message}" for message in warnings
        ]
        return PlainTextResponse("\n".join(lines), status)
    return JSONResponse(
        {"errors": [{"message": m} for m in errors], "warnings": [{"message": m} for m in warnings]}, status
    )


@routes.add(
    "GET POST PUT DELETE HEAD",
    "/api/{type}/{name}",
    "/api/{type}/{name}/revision/{rev}",
    "/{type}/{name}/resolve/{rev}/{path*}",
)
def no_namespace(call: Call) -> Response:
    """A name without a namespace: huggingface.co has a few, this Hub none."""
    raise repo_not_found()
