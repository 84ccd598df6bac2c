# SPDX-License-Identifier: Apache-2.0
"""A server that speaks OpenAI's chat completions over real HTTP, as well or as badly as a test wants."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Messages = list[dict[str, str]]
Answer = Callable[[Messages], str]
Fault = Callable[[int, Messages], Response | float | None]
"""Gets the request's number, from 0, and its messages; gives a response to send instead, seconds to be silent, or None."""


@dataclass
class ChatServer:
    """A running server. `bodies` and `headers` are of all requests, `paid` counts the replies sent, by messages."""

    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0

    @property
    def base_url(self) -> str:
        """As a study names it."""
        return f"{self.address}/v1"


@contextmanager
def chat_server(
    answer: Answer,
    fault: Fault = lambda number, messages: None,
    *,
    key: str | None = None,
    usage: bool = True,
    pause_s: float = 0.0,
) -> Iterator[ChatServer]:
    """A server in a thread, on a free port of loopback.

    Args:
        answer: content of the reply to some messages.
        fault: what goes wrong before that.
        key: the only key that is let in; None lets everybody in.
        usage: whether replies count their tokens: 10 for each message, 5 for the reply.
        pause_s: before each reply.
    """
    server = ChatServer()
    under_way = 0

    async def completions(request: Request) -> Response:
        nonlocal under_way
        body = await request.json()
        number = len(server.bodies)
        server.bodies.append(body)
        server.headers.append(dict(request.headers))
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            given = request.headers.get("authorization", "")
            return JSONResponse({"error": {"message": f"Incorrect API key provided: {given}"}}, 401)
        messages = body["messages"]
        under_way += 1
        server.most_at_once = max(server.most_at_once, under_way)
        try:
            trouble = fault(number, messages)
            if isinstance(trouble, Response):
                return trouble
            await asyncio.sleep(pause_s if trouble is None else trouble)
        finally:
            under_way -= 1
        content = answer(messages)
        server.paid[json.dumps(messages, ensure_ascii=False)] += 1
        prompt, reply = 10 * len(messages), 5
        counted = {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}
        return JSONResponse(
            {
                "id": f"chatcmpl-{number}",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": content},
                    }
                ],
                **({"usage": counted} if usage else {}),
            }
        )

    app = Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    runner = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not runner.started:
            time.sleep(0.005)
        yield server
    finally:
        runner.should_exit = True
        thread.join(timeout=20)
        listener.close()


# Letters that stand for each other make a "translation" in which every answer keeps its place in its context.
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_DEVANAGARI = dict(zip(_LATIN, "अबचडएफगहइजकलमनओपखरसतउवठषयझ", strict=True))


def in_devanagari(text: str) -> str:
    """A text, letter by letter in Devanagari."""
    return "".join(_DEVANAGARI.get(char, char) for char in text.lower())


def translates(messages: Messages) -> str:
    """The reply of a model that translates every text of the prompt."""
    texts = json.loads(messages[1]["content"])
    return json.dumps({"translations": [in_devanagari(text) for text in texts]}, ensure_ascii=False)


def makes_negatives(messages: Messages) -> str:
    """The reply of a model that makes up three good wrong answers."""
    case = json.loads(messages[1]["content"])
    words = [f"{word} of {case['source']['answers'][0][::-1]}" for word in ("anti", "pseudo", "non")]
    pairs = [{"source": word, "target": in_devanagari(word)} for word in words]
    if "target" not in case:
        pairs = [{"source": pair["source"]} for pair in pairs]
    return json.dumps({"negatives": pairs}, ensure_ascii=False)
