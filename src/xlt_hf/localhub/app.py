# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: every endpoint of one Hub."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from xlt_hf import __version__
from xlt_hf.localhub import (
    api_files,
    api_info,
    api_refs,
    api_repos,
    api_upload,
    pages,
    sessions,
    static_spaces,
)
from xlt_hf.localhub.hub import Hub
from xlt_hf.localhub.rendering import error_page
from xlt_hf.localhub.web import Call, Routes, dispatch

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]
base_routes = Routes()


@base_routes.add("GET HEAD", "/healthz")
def health(call: Call) -> Response:
    """That this is the Hub of this data folder, and not somebody else on its port."""
    return JSONResponse(
        {"service": "xlt-hub", "root": str(call.hub.root), "pid": os.getpid(), "version": __version__}
    )


@dataclass
class Fault:
    """A failure to be had on purpose, by tests of clients.

    Args:
        method: HTTP method that it strikes.
        path: regular expression that the path must contain.
        status: the answer's status.
        headers: more headers of the answer, such as `Retry-After`.
        times: how many requests it strikes.
        after: how many matching requests it lets pass first.
        late: let the request take effect, then answer with the failure, as when the way back is cut.
        delay_s: seconds to wait first.
    """

    method: str
    path: str
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    after: int = 0
    late: bool = False
    delay_s: float = 0.0

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request fails; counts it."""
        if method != self.method or self.times <= 0 or not re.search(self.path, path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


class _Faulty:
    """The application with its faults."""

    def __init__(self, app: ASGIApp, faults: Sequence[Fault]) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http":
            fault = next((f for f in self._faults if f.strikes(scope["method"], scope["path"])), None)
        if fault is None:
            await self._app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.late:
            await self._app(scope, receive, _swallow)
        answer = JSONResponse({"error": "injected fault"}, fault.status, fault.headers)
        await answer(scope, receive, send)


async def _swallow(message: object) -> None:
    return None


def create_app(hub: Hub, faults: Sequence[Fault] = ()) -> ASGIApp:
    """The application that serves a Hub.

    Args:
        faults: failures for tests of clients; none in production.
    """
    # Pages come last: `/{ns}/{name}` would answer for much else.
    modules = (api_repos, api_info, api_refs, api_upload, api_files, sessions, static_spaces, pages)
    routes = [*base_routes.routes, *(route for module in modules for route in module.routes.routes)]

    async def endpoint(request: Request) -> Response:
        response = await dispatch(hub, routes, request, error_page)
        response.headers["X-Request-Id"] = request.headers.get("x-request-id", "")[:64] or uuid.uuid4().hex
        return response

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        hub.close()

    app = Starlette(routes=[StarletteRoute("/{path:path}", endpoint, methods=_METHODS)], lifespan=lifespan)
    return _Faulty(app, faults) if faults else app
