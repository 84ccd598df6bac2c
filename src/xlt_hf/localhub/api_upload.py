# SPDX-License-Identifier: Apache-2.0
"""Endpoints that publish: preupload, LFS, commit."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from xlt_hf.localhub.errors import HubError
from xlt_hf.localhub.history import Deletion, make_commit, resolve
from xlt_hf.localhub.hub import Hub
from xlt_hf.localhub.repos import Repo, writable_repo
from xlt_hf.localhub.trees import Entry, lfs_file, regular_file, split_path
from xlt_hf.localhub.upload_rules import UploadRules
from xlt_hf.localhub.web import Call, Routes

routes = Routes()
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UPLOAD_LIFETIME_S = 24 * 3600


@routes.add("POST", "/api/{type}/{ns}/{name}/preupload/{rev}")
def preupload(call: Call) -> Response:
    """How each file should be sent, and what the revision already has at its path."""
    body = call.json()
    files = body.get("files")
    if not isinstance(files, list):
        raise HubError(400, '"files" must be an array')
    _refuse_pull_requests(call)
    with call.hub.db.read() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        commit = resolve(db, repo, call.args["rev"])
        listing = call.hub.trees.listing(db, commit.tree)
    ignore = body.get("gitIgnore")
    if ignore is None:
        ignore = call.hub.text(listing.get(".gitignore"))
    rules = UploadRules(call.hub.text(listing.get(".gitattributes")) or "", str(ignore or ""))
    return JSONResponse(
        {"commitOid": commit.id, "files": [_plan(call.hub, file, rules, listing) for file in files]}
    )


def _plan(hub: Hub, file: dict, rules: UploadRules, listing: dict[str, Entry]) -> dict:
    try:
        path, size = str(file["path"]), int(file["size"])
        sample = base64.b64decode(file.get("sample") or "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HubError(400, 'each of "files" needs "path", "size" and a base64 "sample"') from error
    split_path(path)
    plan = {"path": path, "uploadMode": rules.mode(path, size, sample), "shouldIgnore": rules.ignored(path)}
    there = listing.get(path)
    # A client skips a file that it believes to be here, so a damaged one is not announced.
    if there is not None and there.kind != "tree" and hub.blobs.intact(there.sha256):
        plan["oid"] = there.sha256 if there.kind == "lfs" else there.oid
    return plan


def _refuse_pull_requests(call: Call) -> None:
    if call.flag("create_pr"):
        raise HubError(501, "This Hub has no pull requests: commit to a branch instead (create_pr=False).")


@routes.add(
    "POST", "/{type}/{ns}/{name}.git/info/lfs/objects/batch", "/{ns}/{name}.git/info/lfs/objects/batch"
)
def lfs_batch(call: Call) -> Response:
    """Where to upload each object that the repository does not have yet."""
    body = call.json()
    if body.get("operation") != "upload":
        raise HubError(400, 'Only the LFS operation "upload" is served; download files through /resolve/.')
    with call.hub.db.read() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        known = {row[0] for row in db.execute("SELECT sha256 FROM lfs_objects WHERE repo_id = ?", (repo.id,))}
    objects = [_plan_object(call, repo, known, item) for item in body.get("objects") or []]
    return JSONResponse(
        {"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json; charset=utf-8"
    )


def _plan_object(call: Call, repo: Repo, known: set[str], item: dict) -> dict:
    oid, size = item.get("oid"), item.get("size")
    if not isinstance(oid, str) or not _SHA256.fullmatch(oid) or not isinstance(size, int) or size < 0:
        return {
            "oid": str(oid),
            "size": 0,
            "error": {"code": 422, "message": "oid must be a sha256, size a number"},
        }
    # Only what this repository has: another's blob must not be had by knowing its name.
    if oid in known and call.hub.blobs.intact(oid):
        return {"oid": oid, "size": size}
    subject = f"{repo.id}/{oid}/{size}"
    proof = call.hub.signed("upload", subject, _UPLOAD_LIFETIME_S)
    address = f"{call.base_url}/lfs/{subject}"
    return {
        "oid": oid,
        "size": size,
        "authenticated": True,
        "actions": {
            "upload": {"href": f"{address}?proof={proof}", "header": {}},
            "verify": {"href": f"{address}/verify?proof={proof}", "header": {}},
        },
    }


def _signed_object(call: Call) -> tuple[int, str, int]:
    args = call.args
    subject = f"{args['repo']}/{args['oid']}/{args['size']}"
    if not call.hub.check_signed("upload", subject, call.query("proof") or ""):
        raise HubError(403, "This upload address is not valid or has expired; ask for a new one.")
    return int(args["repo"]), args["oid"], int(args["size"])


@routes.stream("PUT", "/lfs/{repo}/{oid}/{size}")
async def lfs_upload(call: Call) -> Response:
    """Take an object's bytes, straight to the disk; kept only if they are the bytes that were declared."""
    repo_id, oid, size = _signed_object(call)
    with call.hub.blobs.writer() as writer:
        async for chunk in call.request.stream():
            if writer.size + len(chunk) > size:
                raise HubError(400, f"Upload is longer than the {size} bytes declared. Nothing was stored.")
            await run_in_threadpool(writer.write, chunk)
        await run_in_threadpool(call.hub.blobs.keep, writer, oid, size)
    await run_in_threadpool(_record_object, call.hub, repo_id, oid, size)
    return Response(headers={"ETag": f'"{oid}"'})


def _record_object(hub: Hub, repo_id: int, oid: str, size: int) -> None:
    with hub.db.write() as db:
        if db.execute("SELECT 1 FROM repos WHERE id = ?", (repo_id,)).fetchone() is None:
            raise HubError(404, "Repository not found", "RepoNotFound")
        db.execute("INSERT OR IGNORE INTO lfs_objects VALUES (?, ?, ?)", (repo_id, oid, size))


@routes.add("POST", "/lfs/{repo}/{oid}/{size}/verify")
def lfs_verify(call: Call) -> Response:
    """Whether an object has arrived."""
    repo_id, oid, size = _signed_object(call)
    with call.hub.db.read() as db:
        row = db.execute(
            "SELECT size FROM lfs_objects WHERE repo_id = ? AND sha256 = ?", (repo_id, oid)
        ).fetchone()
    if row is None or row[0] != size or not call.hub.blobs.intact(oid):
        raise HubError(404, f"Object {oid} has not been uploaded")
    return JSONResponse({})


@routes.add("POST", "/api/{type}/{ns}/{name}/commit/{rev}", spool=True)
def commit(call: Call) -> Response:
    """Apply a commit, all of it or nothing."""
    _refuse_pull_requests(call)
    with call.hub.db.read() as db:  # refuse before anything is stored
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
    assert call.actor is not None
    assert call.spooled is not None
    header, changes, uploads = _read_changes(call.hub, call.spooled)
    for change in uploads:  # hashing a large blob has no place inside the transaction
        if isinstance(change, Entry) and not call.hub.blobs.intact(change.sha256):
            raise _missing_object(change)
    parent = header.get("parentCommit")
    with call.hub.db.write() as db:
        repo = writable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        sizes = dict(
            db.execute("SELECT sha256, size FROM lfs_objects WHERE repo_id = ?", (repo.id,)).fetchall()
        )
        commit_id = make_commit(
            db,
            repo,
            call.args["rev"],
            [_sized(change, sizes) if change in uploads else change for change in changes],
            author=call.actor.name,
            title=header["summary"],
            message=str(header.get("description") or ""),
            parent=None if parent is None else str(parent),
        )
    url = f"{call.base_url}/{repo.path}/commit/{commit_id}"
    return JSONResponse(
        {"success": True, "commitOid": commit_id, "commitUrl": url, "hookOutput": "", "pullRequestUrl": None}
    )


Change = Entry | Deletion


def _read_changes(hub: Hub, body: Path) -> tuple[dict, list[Change], set[Change]]:
    """The header, the changes in order, and which of them name LFS objects.

    Regular files are stored as they come.
    """
    header: dict | None = None
    changes: list[Change] = []
    uploads: set[Change] = set()
    for key, value in _lines(body):
        if key == "header":
            header = value
            if not isinstance(value.get("summary"), str) or not value["summary"].strip():
                raise HubError(400, '"summary" must be a non-empty string')
            continue
        path = value.get("path")
        if not isinstance(path, str):
            raise HubError(400, f'"path" of a {key} must be a string')
        if key in ("deletedFile", "deletedFolder"):
            changes.append(Deletion(path.rstrip("/"), folder=key == "deletedFolder"))
            continue
        split_path(path)
        if key == "file":
            data = _content(value)
            changes.append(regular_file(path, data, hub.blobs.put(data)))
        elif key == "lfsFile":
            oid = value.get("oid")
            if (
                value.get("algo", "sha256") != "sha256"
                or not isinstance(oid, str)
                or not _SHA256.fullmatch(oid)
            ):
                raise HubError(400, f"The LFS file {path} needs the sha256 of its content as oid")
            change = lfs_file(path, oid, int(value.get("size") or -1))
            changes.append(change)
            uploads.add(change)
        else:
            raise HubError(400, f"Unknown operation '{key}' in the commit")
    if header is None:
        raise HubError(400, "The commit has no header line")
    return header, changes, uploads


def _lines(body: Path) -> Iterator[tuple[str, dict]]:
    with body.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                key, value = item["key"], item["value"]
            except (ValueError, KeyError, TypeError) as error:
                raise HubError(400, "Each line of a commit must be JSON with 'key' and 'value'") from error
            if not isinstance(value, dict):
                raise HubError(400, f"The value of '{key}' must be an object")
            yield key, value


def _content(value: dict) -> bytes:
    content = value.get("content")
    if not isinstance(content, str):
        raise HubError(400, f"The content of {value['path']} must be a string")
    if value.get("encoding", "utf-8") != "base64":
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise HubError(400, f"The content of {value['path']} is not base64") from error


def _sized(change: Change, sizes: dict[str, int]) -> Change:
    """The LFS file with the size of what was uploaded to this repository. HubError 400 if nothing was."""
    assert isinstance(change, Entry)
    size = sizes.get(change.sha256)
    if size is None or change.size not in (-1, size):
        raise _missing_object(change)
    return lfs_file(change.path, change.sha256, size)


def _missing_object(entry: Entry) -> HubError:
    return HubError(400, f"LFS pointer pointed to a file that does not exist: {entry.path} ({entry.sha256})")
