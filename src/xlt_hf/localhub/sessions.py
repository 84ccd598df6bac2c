# SPDX-License-Identifier: Apache-2.0
"""Logging in to the pages: a token for a cookie that can read and change nothing."""

from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from xlt_hf.localhub.accounts import actor_of_token
from xlt_hf.localhub.errors import HubError
from xlt_hf.localhub.rendering import page
from xlt_hf.localhub.web import Call, Routes, session_cookie

routes = Routes()
_LIFETIME_S = 30 * 24 * 3600


@routes.add("GET HEAD", "/login", cookies=True)
def login_form(call: Call) -> Response:
    """Ask for a token."""
    return page(call, "login.html", next=_local(call.query("next")), token_file=call.hub.token_file)


@routes.add("POST", "/login")
def login(call: Call) -> Response:
    """Start a session."""
    _same_origin(call)
    form = call.form()
    token, destination = form.get("token", [""])[0].strip(), _local(form.get("next", ["/"])[0])
    with call.hub.db.read() as db:
        actor = actor_of_token(db, token) if token else None
    if actor is None:
        return page(
            call,
            "login.html",
            status=401,
            next=destination,
            token_file=call.hub.token_file,
            error="No such token.",
        )
    proof = call.hub.signed("session", str(actor.token_id), _LIFETIME_S)
    response = RedirectResponse(destination, 303)
    # Strict: no other site's page gets anything by sending the person here.
    response.set_cookie(
        session_cookie(call.hub), f"{actor.token_id}.{proof}", _LIFETIME_S, httponly=True, samesite="strict"
    )
    return response


@routes.add("POST", "/logout")
def logout(call: Call) -> Response:
    """End a session."""
    _same_origin(call)
    response = RedirectResponse("/", 303)
    response.delete_cookie(session_cookie(call.hub), httponly=True, samesite="strict")
    return response


def _same_origin(call: Call) -> None:
    origin = call.request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != call.request.url.netloc:
        raise HubError(403, "This form was sent from another site.")


def _local(target: str | None) -> str:
    """A path of this Hub; never another site's address."""
    if not target or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return "/"
    return target
