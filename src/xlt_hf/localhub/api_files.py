# SPDX-License-Identifier: Apache-2.0
"""Endpoints that read files: resolve, tree, paths-info."""

import mimetypes

from starlette.responses import FileResponse, JSONResponse, Response

from xlt_hf.localhub.api_refs import iso
from xlt_hf.localhub.blobs import lfs_pointer
from xlt_hf.localhub.errors import CorruptBlobError, HubError, entry_not_found
from xlt_hf.localhub.history import Commit, folder_of, last_changes, resolve
from xlt_hf.localhub.hub import Hub
from xlt_hf.localhub.repos import check_gate, readable_repo
from xlt_hf.localhub.trees import Entry
from xlt_hf.localhub.web import Call, Routes

routes = Routes()
_PAGE = 1000
_PAGE_EXPANDED = 50
_MAX_PATHS = 1000
# Types that a browser may show from here; anything that could run is sent as text.
_INERT_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/json", "application/pdf")


class BlobResponse(FileResponse):
    """A blob, whole or in ranges, read a megabyte at a time."""

    chunk_size = 1 << 20


def blob_response(
    hub: Hub, entry: Entry, headers: dict[str, str], media_type: str, *, head: bool = False
) -> Response:
    """Send a file. HubError 500 rather than bytes that are not the file's."""
    headers = {"ETag": f'"{entry.sha256 if entry.kind == "lfs" else entry.oid}"', **headers}
    path = hub.blobs.path(entry.sha256)
    try:
        if not head:
            path = hub.blobs.verified_path(entry.sha256)
        return BlobResponse(path, headers=headers, media_type=media_type, stat_result=path.stat())
    except (CorruptBlobError, FileNotFoundError) as error:
        raise HubError(500, f"Cannot read {entry.path}: {error}") from error


@routes.add(
    "GET HEAD",
    "/{type}/{ns}/{name}/resolve/{rev}/{path*}",
    "/{ns}/{name}/resolve/{rev}/{path*}",
    "/api/resolve-cache/{type}/{ns}/{name}/{rev}/{path*}",
    cookies=True,
)
def resolve_file(call: Call) -> Response:
    """A file at a revision."""
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        check_gate(call.actor, repo)
        commit = resolve(db, repo, call.args["rev"])
        entry = call.hub.trees.listing(db, commit.tree).get(call.args["path"])
    if entry is None or entry.kind == "tree":
        error = entry_not_found(call.args["path"])
        response = JSONResponse({"error": error.message}, error.status)
        # Clients cache the absence of a file under the commit.
        response.headers.update({"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        response.headers["X-Repo-Commit"] = commit.id
        return response
    headers = {
        "X-Repo-Commit": commit.id,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Expose-Headers": "X-Repo-Commit, ETag, X-Linked-Size, X-Linked-Etag, Content-Range",
    }
    if entry.kind == "lfs":
        headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    if call.flag("download"):
        headers["Content-Disposition"] = "attachment"
    guessed = mimetypes.guess_type(entry.path)[0] or ""
    if guessed not in _INERT_TYPES:
        guessed = "application/octet-stream" if entry.kind == "lfs" else "text/plain; charset=utf-8"
    return blob_response(call.hub, entry, headers, guessed, head=call.request.method == "HEAD")


def describe_entry(entry: Entry, commit: Commit | None = None) -> dict:
    """A file or folder, as tree and paths-info give it."""
    answer: dict = {
        "type": "directory" if entry.kind == "tree" else "file",
        "oid": entry.oid,
        "size": entry.size,
    }
    if entry.kind == "lfs":
        answer["lfs"] = {
            "oid": entry.sha256,
            "size": entry.size,
            "pointerSize": len(lfs_pointer(entry.sha256, entry.size)),
        }
    answer["path"] = entry.path
    if commit is not None:
        answer["lastCommit"] = {"id": commit.id, "title": commit.title, "date": iso(commit.created_at)}
    return answer


@routes.add("GET", "/api/{type}/{ns}/{name}/tree/{rev}/{path*}")
def tree(call: Call) -> Response:
    """What a folder holds, a page at a time."""
    path = call.args["path"].strip("/")
    expand = call.flag("expand")
    limit = _PAGE_EXPANDED if expand else _PAGE
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        commit = resolve(db, repo, call.args["rev"])
        listing = call.hub.trees.listing(db, commit.tree)
        folder = listing.get(path)
        if path and (folder is None or folder.kind != "tree"):
            raise entry_not_found(path, "Path not found in the repo")
        entries = folder_of(listing, path, recursive=call.flag("recursive"))
        start = _position(entries, call.query("cursor"))
        page = entries[start : start + limit]
        commits = last_changes(db, repo, call.hub.trees, commit, [e.path for e in page]) if expand else {}
    headers = {}
    if start + limit < len(entries):
        url = call.request.url.include_query_params(cursor=page[-1].path)
        headers["Link"] = f'<{url}>; rel="next"'
    return JSONResponse([describe_entry(entry, commits.get(entry.path)) for entry in page], headers=headers)


def _position(entries: list[Entry], cursor: str | None) -> int:
    if cursor is None:
        return 0
    # The cursor is the last path sent. If a commit removed it meanwhile, start again.
    return next((i + 1 for i, entry in enumerate(entries) if entry.path == cursor), 0)


@routes.add("POST", "/api/{type}/{ns}/{name}/paths-info/{rev}")
def paths_info(call: Call) -> Response:
    """Those of some paths that exist."""
    if call.request.headers.get("content-type", "").startswith("application/json"):
        body = call.json()
        paths, expand = [str(path) for path in body.get("paths") or []], bool(body.get("expand"))
    else:
        form = call.form()
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[-1].lower() in ("true", "1")
    if len(paths) > _MAX_PATHS:
        raise HubError(413, f"Too many paths: {len(paths)}, at most {_MAX_PATHS}")
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        commit = resolve(db, repo, call.args["rev"])
        listing = call.hub.trees.listing(db, commit.tree)
        found = [listing[path] for path in dict.fromkeys(p.strip("/") for p in paths) if path in listing]
        commits = last_changes(db, repo, call.hub.trees, commit, [e.path for e in found]) if expand else {}
    return JSONResponse([describe_entry(entry, commits.get(entry.path)) for entry in found])
