# SPDX-License-Identifier: Apache-2.0
"""Ask a chat model for JSON through `huggingface_hub.InferenceClient`, check it here, and pay for it once.

What goes wrong on the way is waited out (429, 5xx, silence) or sent back to the model with the reason (a reply that
does not pass the checks); what does not get better ends the run with everything that is done kept in the cache.
"""

import datetime
import email.utils
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential
from tqdm import tqdm

from xlt_hf.errors import UserError
from xlt_hf.questions.cache import Entry, ReplyCache, content_key
from xlt_hf.questions.config import ChatConfig

if TYPE_CHECKING:
    from huggingface_hub import ChatCompletionOutput, InferenceClient

logger = logging.getLogger(__name__)

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_BATCHES_AHEAD = 8
_NO_KEY = "none"
# Reasoning models of local servers think aloud first; servers without a schema let models fence their JSON.
_THOUGHTS = re.compile(r"^.*</think>", re.DOTALL)
_FENCE = re.compile(r"^```\w*\s*\n(.*?)\n?```$", re.DOTALL)


class ChatError(UserError):
    """The chat model cannot be asked."""


class MissingKey(ChatError):
    """No key for the endpoint."""


class BudgetExhausted(ChatError):
    """The run has used up the requests or tokens that it may use."""


@dataclass(frozen=True)
class ChatRequest:
    """One thing to ask.

    Attributes:
        system: what the model is told about its task.
        prompt: the case in hand.
        reply: the form of the reply; its JSON schema goes out with the request.
        check: gives what is wrong with a reply of that form, in words that the model is told; empty if nothing.
    """

    system: str
    prompt: str
    reply: type[BaseModel]
    check: Callable[[Any], Sequence[str]]


@dataclass(frozen=True)
class ChatReply:
    """What came of a request: a reply that has passed the checks, or None and the reason."""

    value: Any | None
    reason: str = ""


@dataclass
class Budget:
    """What a run may use, and has used. Safe among threads."""

    max_requests: int
    max_tokens: int
    requests: int = 0
    tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self) -> None:
        """Count one request, or raise `BudgetExhausted`."""
        with self._lock:
            if self.requests >= self.max_requests:
                raise BudgetExhausted(
                    f"The budget of {self.max_requests} requests (max_requests) is used up."
                )
            if self.tokens >= self.max_tokens:
                raise BudgetExhausted(
                    f"The budget of {self.max_tokens} tokens (max_tokens) is used up: {self.tokens} in "
                    f"{self.requests} requests."
                )
            self.requests += 1

    def spend(self, tokens: int) -> None:
        """Count the tokens of one reply and its prompt."""
        with self._lock:
            self.tokens += tokens


class _Passing(Exception):
    """A failure that may pass. `wait` is what the server asks for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class ChatClient:
    """One chat model, its budget for this run, and the cache of its replies."""

    def __init__(self, config: ChatConfig, cache: ReplyCache) -> None:
        self.config = config
        self.cache = cache
        self.budget = Budget(config.max_requests, config.max_tokens)
        self._client: InferenceClient | None = None
        self._key = ""

    def ask_all(self, requests: Sequence[ChatRequest], what: str) -> list[ChatReply]:
        """The replies, in the order of the requests; a reply that is in the cache costs nothing.

        Args:
            requests: equal ones are asked once.
            what: of the progress bar, such as `Negatives`.

        Returns:
            For each request its checked reply, or the reason for which the model was given up on.

        Raises:
            ChatError: no key, no endpoint, refused, or no budget left. Replies that have come are kept.
        """
        keys = [self._content_key(request) for request in requests]
        bar = tqdm(total=len(set(keys)), desc=f"{what} ({self.config.model})", unit="reply", disable=None)

        def compute(positions: list[int]) -> Iterator[Mapping[int, Entry]]:
            self._connect()
            yield from self._concurrently(requests, positions)

        try:
            with bar:
                entries = self.cache.fill(
                    keys,
                    compute,
                    model=self.config.model,
                    batch_size=_BATCHES_AHEAD * self.config.concurrency,
                    retry_failed=self.config.retry_failed,
                    progress=bar.update,
                )
        except ChatError as error:
            done = len(self.cache.get(set(keys)))
            remedy = (
                " Raise it, or run the same command again: a run starts with a full budget."
                if isinstance(error, BudgetExhausted)
                else ""
            )
            raise type(error)(
                f"{error}{remedy} {done} of {len(set(keys))} replies are done and kept in {self.cache.path}; the same "
                "command goes on from there."
            ) from error
        return [
            ChatReply(None, entry.reason)
            if entry.value is None
            else ChatReply(request.reply.model_validate_json(entry.value))
            for request, entry in zip(requests, entries, strict=True)
        ]

    def _content_key(self, request: ChatRequest) -> str:
        config = self.config
        settings = [config.model, config.temperature, config.max_reply_tokens, config.reply_format]
        return content_key(
            "chat", settings, request.system, request.prompt, request.reply.model_json_schema()
        )

    def _concurrently(
        self, requests: Sequence[ChatRequest], positions: list[int]
    ) -> Iterator[Mapping[int, Entry]]:
        """Entries as they come. After a failure nothing new is started, and what is under way still counts."""
        stop = threading.Event()

        def ask(request: ChatRequest) -> Entry | None:
            if stop.is_set():
                return None
            try:
                return self._ask(request)
            except BaseException:
                stop.set()
                raise

        failures: list[BaseException] = []
        with ThreadPoolExecutor(self.config.concurrency, thread_name_prefix="chat") as pool:
            futures = {pool.submit(ask, requests[position]): position for position in positions}
            try:
                for future in as_completed(futures):
                    error = future.exception()
                    if error is not None:
                        failures.append(error)
                    elif (entry := future.result()) is not None:
                        yield {futures[future]: entry}
            finally:
                stop.set()
        if failures:
            raise failures[0]

    def _ask(self, request: ChatRequest) -> Entry:
        """One request until its reply passes the checks, or the repairs are used up."""
        messages = [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.prompt},
        ]
        problems: Sequence[str] = ()
        for _ in range(1 + self.config.repairs):
            text, cut = self._complete(messages, request)
            value, problems = _read(text, cut, request)
            if value is not None:
                return Entry(value.model_dump_json())
            reason = "\n".join(f"- {problem}" for problem in problems)
            messages = [
                *messages[:2],
                {"role": "assistant", "content": text},
                {
                    "role": "user",
                    "content": f"This reply cannot be used:\n{reason}\nReply again, with the corrected JSON only.",
                },
            ]
        logger.warning("%s gave no usable reply: %s", self.config.model, "; ".join(problems))
        return Entry(None, "; ".join(problems))

    def _complete(self, messages: Sequence[dict[str, str]], request: ChatRequest) -> tuple[str, bool]:
        """One reply of the server, and whether it was cut; waits out what may pass."""
        retrying = Retrying(
            stop=stop_after_attempt(self.config.attempts),
            wait=self._pause,
            retry=retry_if_exception_type(_Passing),
            reraise=True,
        )
        try:
            output = retrying(self._post, messages, request)
        except _Passing as error:
            raise ChatError(
                f"{self.config.address} did not answer in {self.config.attempts} attempts: {error}."
            ) from None
        choice = output.choices[0]
        text = (choice.message.content if choice.message else None) or ""
        tokens = output.usage.total_tokens if output.usage else None
        # No tokenizer has more tokens than bytes: an upper bound for servers that do not count.
        sent = [message["content"] for message in messages]
        self.budget.spend(tokens or sum(len(part.encode()) for part in (*sent, text)))
        return text, choice.finish_reason == "length"

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _Passing) and error.wait is not None:
            return error.wait
        return wait_random_exponential(multiplier=self.config.backoff_s, max=self.config.max_wait_s)(state)

    def _post(self, messages: Sequence[dict[str, str]], request: ChatRequest) -> "ChatCompletionOutput":
        """One HTTP request."""
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import httpx

        assert self._client is not None
        self.budget.take()
        try:
            output = self._client.chat_completion(
                messages=list(messages),
                model=self.config.model,
                temperature=self.config.temperature,
                max_tokens=self.config.max_reply_tokens,
                response_format=self._response_format(request.reply),
            )
        except HfHubHTTPError as error:
            self._raise_for(error)
        except (TimeoutError, httpx.TimeoutException):
            raise _Passing(f"no answer within {self.config.timeout_s:g} s (timeout_s)") from None
        except (httpx.HTTPError, OSError) as error:
            raise _Passing(
                f"the endpoint cannot be reached ({self._safe(error)}). Is the address right, and the server up?"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ChatError(
                f"{self.config.address} did not answer in the form of OpenAI's chat completions "
                f"({self._safe(error)}). Is it the right address, up to and including its /v1?"
            ) from None
        except ValueError as error:
            # Such as a provider that huggingface_hub does not know, or a key that is not of its kind.
            raise ChatError(f"{self.config.address} cannot be asked: {self._safe(error)}") from None
        if not output.choices:
            # Some gateways tell of a busy upstream this way, with status 200.
            raise _Passing("the last answer had no choices")
        return output

    def _raise_for(self, error: Any) -> None:
        config, response = self.config, error.response
        status = response.status_code
        said = self._safe(error)
        if status in (401, 403):
            source = f"the key in {config.api_key_env}" if config.api_key_env else "a request without a key"
            raise ChatError(
                f"{config.address} refused {source} ({status}). Set "
                f"{config.api_key_env or 'api_key_env to a variable that holds'} a valid one."
            ) from None
        if status in _PASSING:
            wait = _retry_after(response.headers.get("Retry-After"))
            if wait is not None and wait > config.max_wait_s:
                raise ChatError(
                    f"{config.address} answered {status} and asks to wait {wait:.0f} s, more than max_wait_s = "
                    f"{config.max_wait_s:g}. Come back then."
                ) from None
            raise _Passing(f"the last answer was {status} ({said})", wait) from None
        if status == 404:
            raise ChatError(
                f"{config.address} has no model '{config.model}', or is no chat endpoint (404: {said})."
            ) from None
        hint = " If it does not know JSON schemas, set reply_format: none." if status in (400, 422) else ""
        raise ChatError(f"{config.address} refused the request ({status}: {said}).{hint}") from None

    def _response_format(self, reply: type[BaseModel]) -> Any:
        if self.config.reply_format == "none":
            return None
        schema = {"name": reply.__name__, "schema": reply.model_json_schema(), "strict": True}
        form = {"type": "json_schema", "json_schema": schema}
        return form if self.config.reply_format == "tgi" else _AsOpenAI(form)

    def _connect(self) -> None:
        """Make the client.

        Raises:
            MissingKey: before any request.
        """
        if self._client is not None:
            return
        from huggingface_hub import InferenceClient

        config = self.config
        if config.api_key_env:
            self._key = os.environ.get(config.api_key_env, "").strip()
            if not self._key:
                raise MissingKey(
                    f"{config.model} at {config.address} needs a key: set the environment variable "
                    f"{config.api_key_env} to it (or api_key_env to the name of the variable that has it; "
                    '"" for a server that asks for none).'
                )
        # Without any key, huggingface_hub would send the user's own Hub token to whatever server this is.
        key = self._key or _NO_KEY
        if config.base_url is not None:
            self._client = InferenceClient(base_url=config.base_url, api_key=key, timeout=config.timeout_s)
        else:
            self._client = InferenceClient(
                provider=config.provider,  # type: ignore[arg-type]
                api_key=key,
                timeout=config.timeout_s,
            )

    def _safe(self, error: BaseException) -> str:
        """An error in one line without the key."""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return (text.replace(self._key, "***") if self._key else text)[:500]


class _AsOpenAI(dict[str, Any]):
    """A `response_format` that goes out as it stands.

    For a `base_url` huggingface_hub rewrites `{"type": "json_schema"}` into Text Generation Inference's own form,
    whose schema OpenAI's servers refuse and vLLM's and llama.cpp's do not see. It asks `get("type")` first.
    """

    def get(self, key: str, default: Any = None) -> Any:
        return default if key == "type" else super().get(key, default)


def _read(text: str, cut: bool, request: ChatRequest) -> tuple[BaseModel | None, Sequence[str]]:
    """A checked reply, or what is wrong with it."""
    stripped = _THOUGHTS.sub("", text).strip()
    fenced = _FENCE.match(stripped)
    try:
        value = request.reply.model_validate_json(fenced.group(1) if fenced else stripped)
    except ValidationError as error:
        if cut:
            return None, ["the reply was longer than is allowed, and was cut: be brief"]
        return None, [
            f"{'.'.join(map(str, problem['loc'])) or 'the reply'}: {problem['msg']}"
            for problem in error.errors()[:5]
        ]
    problems = request.check(value)
    return (None, problems) if problems else (value, ())


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; it holds seconds or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())
