# SPDX-License-Identifier: Apache-2.0
"""Templates, and what every page has."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from xlt_hf.localhub.errors import HubError
from xlt_hf.localhub.web import Call

TEMPLATES = Path(__file__).parent / "templates"
# Nothing from outside, and nothing that runs.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-src 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _segment(text: str) -> str:
    return quote(text, safe="")


_environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_environment.filters |= {"filesize": _size, "day": _day, "segment": _segment, "path": quote}


def page(call: Call, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page for a person."""
    return _html(template, status, actor=call.actor, here=call.request.url.path, **values)


def error_page(request: Request, error: HubError) -> Response:
    """An error as a page; a missing page says how to see a private one."""
    return _html("error.html", error.status, actor=None, here=request.url.path, error=error)


def _html(template: str, status: int, **values: Any) -> Response:
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }
    return HTMLResponse(_environment.get_template(template).render(**values), status, headers)
