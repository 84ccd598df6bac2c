# SPDX-License-Identifier: Apache-2.0
"""Static Spaces: their own pages, kept apart from the person's session.

A Space's page runs whatever script its author wrote, so it is sandboxed into an origin of its own, to which
the browser sends no cookie. The address of a private Space therefore carries its permission in the path,
where relative links keep it.
"""

import mimetypes
import posixpath

from starlette.responses import RedirectResponse, Response

from xlt_hf.localhub.accounts import Actor
from xlt_hf.localhub.api_files import blob_response
from xlt_hf.localhub.cards import CardError, parse_card
from xlt_hf.localhub.errors import HubError, entry_not_found, repo_not_found
from xlt_hf.localhub.history import MAIN, resolve
from xlt_hf.localhub.hub import Hub
from xlt_hf.localhub.repos import Repo, can_see, check_gate, find_repo
from xlt_hf.localhub.web import Call, Routes

routes = Routes()
_LIFETIME_S = 12 * 3600
_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups allow-forms allow-modals allow-downloads",
    # The page's origin is opaque, so its own data files count as another origin's.
    "Access-Control-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".md": "text/markdown", ".csv": "text/csv"}


def app_address(hub: Hub, repo: Repo) -> str:
    """Path of a Space's own page, for somebody who may see it."""
    base = f"/static/{repo.full_name}/"
    return base if not repo.private else f"{base}~{hub.signed('static', str(repo.id), _LIFETIME_S)}/"


@routes.add("GET HEAD", "/static/{ns}/{name}/{path*}", cookies=True)
def static_file(call: Call) -> Response:
    """A file of a static Space, with the type that a browser needs to run it."""
    path = call.args["path"]
    proof = None
    if path.startswith("~"):
        proof, _, path = path[1:].partition("/")
    with call.hub.db.read() as db:
        repo = find_repo(db, "space", call.args["ns"], call.args["name"])
        if repo is None:
            raise repo_not_found()
        permitted = proof is not None and call.hub.check_signed("static", str(repo.id), proof)
        if not permitted:
            _check_visible(call.actor, repo)
            if repo.private:
                return RedirectResponse(app_address(call.hub, repo) + path, 302)
        files = call.hub.trees.files(db, resolve(db, repo, MAIN).tree)
    try:
        metadata = parse_card(call.hub.text(files.get("README.md")) or "") or {}
    except CardError:
        metadata = {}
    if (metadata.get("sdk") or repo.sdk) != "static":
        raise HubError(
            404, f"{repo.full_name} is not a static Space: this Hub only serves files, it runs none."
        )
    if not call.request.url.path.endswith("/") and path == "":
        return RedirectResponse(call.request.url.path + "/", 302)
    app_file = str(metadata.get("app_file") or "index.html")
    entry = files.get(path) or files.get(posixpath.join(path, "index.html") if path else app_file)
    if entry is None:
        raise entry_not_found(path or app_file)
    suffix = posixpath.splitext(entry.path)[1].lower()
    kind = _TYPES.get(suffix) or mimetypes.guess_type(entry.path)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind in ("application/json", "image/svg+xml"):
        kind += "; charset=utf-8"
    return blob_response(call.hub, entry, _HEADERS, kind, head=call.request.method == "HEAD")


def _check_visible(actor: Actor | None, repo: Repo) -> None:
    if not can_see(actor, repo):
        raise repo_not_found()
    check_gate(actor, repo)
