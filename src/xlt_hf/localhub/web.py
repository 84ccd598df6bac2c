# SPDX-License-Identifier: Apache-2.0
"""Requests in, answers out: addresses, authentication, errors.

Addresses are split before they are decoded, because a revision such as `feature/x` arrives as `feature%2Fx`.
"""

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from xlt_hf.localhub.accounts import Actor, actor_of_token, actor_of_token_id
from xlt_hf.localhub.errors import HubError, describe_storage_error
from xlt_hf.localhub.hub import Hub

logger = logging.getLogger("xlt_hf.localhub")

MAX_BODY = 64 << 20
REPO_TYPE_OF = {"models": "model", "datasets": "dataset", "spaces": "space"}


@dataclass
class Call:
    """One request, as the endpoints see it. `args` are the named parts of the address."""

    hub: Hub
    request: Request
    args: dict[str, str]
    actor: Actor | None
    body: bytes = b""
    spooled: Path | None = None
    _query: dict[str, list[str]] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """The Hub's address as this client wrote it."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    @property
    def repo_type(self) -> str:
        """Type of repository that the address names."""
        return REPO_TYPE_OF[self.args.get("type", "models")]

    def query(self, name: str) -> str | None:
        """Last value of a query parameter."""
        values = self.query_list(name)
        return values[-1] if values else None

    def query_list(self, name: str) -> list[str]:
        """Every value of a query parameter; `name[]` counts too."""
        params = self.request.query_params
        return params.getlist(name) + params.getlist(f"{name}[]")

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return (self.query(name) or "").lower() in ("1", "true", "yes")

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. HubError 400 if it is not one."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"The body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise HubError(400, "The body must be a JSON object")
        return value

    def form(self) -> dict[str, list[str]]:
        """The body as a form."""
        return parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)


Handler = Callable[[Call], Response]
AsyncHandler = Callable[[Call], Awaitable[Response]]
ErrorPage = Callable[[Request, HubError], Response]


@dataclass(frozen=True)
class Route:
    """An address pattern and who answers it. `{x}` is one segment, `{x*}` all that are left, maybe none."""

    methods: frozenset[str]
    parts: tuple[str, ...]
    handler: Handler | None = None
    streaming: AsyncHandler | None = None
    spool: bool = False
    cookies: bool = False

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Named parts of an address of this pattern, or None."""
        args: dict[str, str] = {}
        for i, part in enumerate(self.parts):
            if part.endswith("*}"):
                args[part[1:-2]] = "/".join(unquote(segment) for segment in segments[i:])
                return args
            if i >= len(segments):
                return None
            if part == "{type}":
                if segments[i] not in REPO_TYPE_OF:
                    return None
                args["type"] = segments[i]
            elif part.startswith("{"):
                if not segments[i]:
                    return None
                args[part[1 : part.index("}")]] = unquote(segments[i]).removesuffix(
                    part[part.index("}") + 1 :]
                )
                if not segments[i].endswith(part[part.index("}") + 1 :]):
                    return None
            elif part != segments[i]:
                return None
        return args if len(self.parts) == len(segments) else None


class Routes:
    """A list of addresses, filled by decorators."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def add(
        self, methods: str, *patterns: str, spool: bool = False, cookies: bool = False
    ) -> Callable[[Handler], Handler]:
        """Answer these addresses by a function that runs in a worker thread.

        Args:
            spool: put the body in a temporary file, however long it is.
            cookies: let a browser's session stand in for a token. Only for what changes nothing.
        """

        def register(handler: Handler) -> Handler:
            for pattern in patterns:
                self.routes.append(
                    Route(_methods(methods), _parts(pattern), handler, spool=spool, cookies=cookies)
                )
            return handler

        return register

    def stream(self, methods: str, pattern: str) -> Callable[[AsyncHandler], AsyncHandler]:
        """Answer an address by a coroutine that reads the body itself."""

        def register(handler: AsyncHandler) -> AsyncHandler:
            self.routes.append(Route(_methods(methods), _parts(pattern), streaming=handler))
            return handler

        return register


def _methods(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.strip("/").split("/"))


async def dispatch(hub: Hub, routes: list[Route], request: Request, error_page: ErrorPage) -> Response:
    """Answer a request, or explain why not, to a browser by a page."""
    try:
        return await _dispatch(hub, routes, request)
    except HubError as error:
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
            return error_page(request, error)
        return error_response(error)
    except UnicodeEncodeError:
        return error_response(HubError(400, "The request has text that is not valid Unicode."))
    except ClientDisconnect:
        return Response(status_code=499)
    except (OSError, sqlite3.Error) as error:
        described = describe_storage_error(error, str(hub.root))
        if described is None:
            raise
        logger.error("%s %s: %s", request.method, request.url.path, error)
        return error_response(HubError(*described))


async def _dispatch(hub: Hub, routes: list[Route], request: Request) -> Response:
    raw_path = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    segments = raw_path.decode("latin-1").split("?")[0].strip("/").split("/")
    allowed: set[str] = set()
    for route in routes:
        args = route.match(segments)
        if args is None:
            continue
        if request.method not in route.methods:
            allowed |= route.methods
            continue
        actor = await run_in_threadpool(_authenticate, hub, request, route.cookies)
        call = Call(hub, request, args, actor)
        if route.streaming is not None:
            return await route.streaming(call)
        assert route.handler is not None
        if not route.spool:
            call.body = await _read_body(request)
            return await run_in_threadpool(route.handler, call)
        with hub.blobs.writer() as writer:
            async for chunk in request.stream():
                await run_in_threadpool(writer.write, chunk)
            call.spooled = writer.path
            return await run_in_threadpool(route.handler, call)
    if allowed:
        raise HubError(405, f"{request.method} is not allowed here, only {', '.join(sorted(allowed))}")
    raise HubError(404, "Sorry, we can't find the page you are looking for.")


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HubError(413, f"The body is over {MAX_BODY} bytes")
    return bytes(body)


def _authenticate(hub: Hub, request: Request, cookies: bool) -> Actor | None:
    header = request.headers.get("authorization")
    if header:
        scheme, _, token = header.partition(" ")
        actor = None
        if scheme.lower() == "bearer" and token.strip():
            with hub.db.read() as db:
                actor = actor_of_token(db, token.strip())
        if actor is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return actor
    cookie = request.cookies.get(session_cookie(hub))
    if cookies and cookie:
        token_id, _, proof = cookie.partition(".")
        if token_id.isdigit() and hub.check_signed("session", token_id, proof):
            with hub.db.read() as db:
                return actor_of_token_id(db, int(token_id))
    return None


def session_cookie(hub: Hub) -> str:
    """Name of the session's cookie, each Hub's own: browsers share cookies between the ports of a host."""
    return f"xlt_hub_{hub.sign('cookie', '')[:8]}"


def error_response(error: HubError) -> Response:
    """The answer that huggingface_hub turns into the right exception."""
    # A header is one line of latin-1.
    headers = {"X-Error-Message": " ".join(error.message.split()).encode("ascii", "replace").decode()}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.body}, error.status, headers)
