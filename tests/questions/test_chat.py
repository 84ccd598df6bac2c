# SPDX-License-Identifier: Apache-2.0
"""Chat models over real HTTP: what goes wrong, what it costs, what is kept."""

import datetime
import email.utils
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import JSONResponse, PlainTextResponse

from tests.chat_server import chat_server
from xlt_hf.errors import UserError
from xlt_hf.questions.cache import CacheError, Entry, ReplyCache, content_key, default_cache_path
from xlt_hf.questions.chat import (
    BudgetExhausted,
    ChatClient,
    ChatError,
    ChatRequest,
    MissingKey,
    _retry_after,
)
from xlt_hf.questions.config import ChatConfig, NegativesConfig, TranslationConfig

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"


class Square(BaseModel):
    model_config = ConfigDict(extra="forbid")
    square: int


def squares(numbers):
    """Requests that a model answers well if it gives the square."""

    def request(number):
        def check(reply):
            return (
                [] if reply.square == number * number else [f"{reply.square} is not the square of {number}"]
            )

        return ChatRequest("You square numbers.", str(number), Square, check)

    return [request(number) for number in numbers]


def squared(messages):
    return json.dumps({"square": int(messages[1]["content"]) ** 2})


def config(server, **changes):
    settings = {
        "model": "tiny/chat",
        "base_url": server.base_url,
        "api_key_env": "",
        "backoff_s": 0.01,
        "max_wait_s": 2.0,
        "timeout_s": 20.0,
        "concurrency": 3,
    }
    return ChatConfig(**{**settings, **changes})


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite3") as opened:
        yield opened


def values(replies):
    return [reply.value.square if reply.value else None for reply in replies]


# Good servers


def test_replies_come_in_order_and_once(cache):
    with chat_server(squared, pause_s=0.01) as server:
        client = ChatClient(config(server), cache)
        numbers = [3, 1, 2, 3, *range(20)]
        assert values(client.ask_all(squares(numbers), "Squares")) == [n * n for n in numbers]
        assert len(server.bodies) == len(set(numbers))
        assert 1 < server.most_at_once <= 3
        # Another run, another object: nothing is asked.
        again = ChatClient(config(server), cache)
        assert values(again.ask_all(squares(numbers), "Squares")) == [n * n for n in numbers]
        assert len(server.bodies) == len(set(numbers))
        assert again.budget.requests == 0


def test_the_schema_goes_out_as_openai_documents_it(cache):
    with chat_server(squared) as server:
        ChatClient(config(server, temperature=0.5, max_reply_tokens=77), cache).ask_all(squares([2]), "")
        ChatClient(config(server, reply_format="tgi"), cache).ask_all(squares([2]), "")
        bare = config(server, reply_format="none", temperature=None, max_reply_tokens=None)
        ChatClient(bare, cache).ask_all(squares([2]), "")
    openai, tgi, none = server.bodies
    schema = Square.model_json_schema()
    assert openai["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "Square", "schema": schema, "strict": True},
    }
    assert (openai["model"], openai["temperature"], openai["max_tokens"]) == ("tiny/chat", 0.5, 77)
    assert tgi["response_format"] == {"type": "json_object", "value": schema}
    assert set(none) == {"model", "messages", "stream"}


def test_thoughts_and_fences_around_the_json_are_no_part_of_it(cache):
    def wrapped(messages):
        return f"<think>Let me see {{}}</think>\n```json\n{squared(messages)}\n```"

    with chat_server(wrapped) as server:
        assert values(ChatClient(config(server), cache).ask_all(squares([4]), "")) == [16]
        assert len(server.bodies) == 1


def test_other_settings_are_other_replies(cache):
    with chat_server(squared) as server:
        for changes in ({}, {"model": "other/chat"}, {"temperature": 1.0}, {"concurrency": 1}):
            ChatClient(config(server, **changes), cache).ask_all(squares([2]), "")
        assert [body["model"] for body in server.bodies] == ["tiny/chat", "other/chat", "tiny/chat"]


# Bad replies


@pytest.mark.parametrize(
    "bad, reason",
    [
        ("I would say 9.", "Invalid JSON"),
        ('{"square": 9, "because": "3 times 3"}', "Extra inputs"),
        ('{"square": 8}', "8 is not the square of 3"),
        ("", "Invalid JSON"),
    ],
)
def test_a_bad_reply_goes_back_with_the_reason(cache, bad, reason):
    def answer(messages):
        return bad if len(messages) == 2 else squared(messages)

    with chat_server(answer) as server:
        assert values(ChatClient(config(server), cache).ask_all(squares([3]), "")) == [9]
    first, second = server.bodies
    assert second["messages"][:2] == first["messages"]
    assert second["messages"][2] == {"role": "assistant", "content": bad}
    assert reason in second["messages"][3]["content"]


def test_what_never_gets_good_is_given_up_once(cache, caplog):
    def answer(messages):
        return "no" if messages[1]["content"] == "3" else squared(messages)

    with chat_server(answer) as server:
        settings = config(server, repairs=2)
        with caplog.at_level(logging.WARNING):
            replies = ChatClient(settings, cache).ask_all(squares([2, 3, 4]), "")
        assert values(replies) == [4, None, 16]
        assert "Invalid JSON" in replies[1].reason
        assert "gave no usable reply" in caplog.text
        assert len(server.bodies) == 2 + 3
        assert values(ChatClient(settings, cache).ask_all(squares([2, 3, 4]), "")) == [4, None, 16]
        assert len(server.bodies) == 5
        retried = ChatClient(config(server, repairs=0, retry_failed=True), cache)
        assert values(retried.ask_all(squares([2, 3, 4]), "")) == [4, None, 16]
        assert len(server.bodies) == 6


# Bad servers


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_waited_out(cache, status):
    def fault(number, messages):
        return PlainTextResponse("busy", status) if number < 2 else None

    with chat_server(squared, fault) as server:
        client = ChatClient(config(server, concurrency=1), cache)
        assert values(client.ask_all(squares([3]), "")) == [9]
        assert len(server.bodies) == client.budget.requests == 3


def test_retry_after_is_honoured(cache, monkeypatch):
    waits = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)

    def fault(number, messages):
        return PlainTextResponse("busy", 429, {"Retry-After": "1.5"}) if number == 0 else None

    with chat_server(squared, fault) as server:
        settings = config(server, backoff_s=0.001)
        assert values(ChatClient(settings, cache).ask_all(squares([3]), "")) == [9]
    assert 1.5 in waits


def test_a_wait_beyond_the_limit_ends_the_run_with_the_numbers(cache):
    def fault(number, messages):
        return (
            PlainTextResponse("busy", 429, {"Retry-After": "3600"}) if messages[1]["content"] == "3" else None
        )

    with chat_server(squared, fault) as server:
        client = ChatClient(config(server, concurrency=1), cache)
        with pytest.raises(
            ChatError, match=r"429 and asks to wait 3600 s.*max_wait_s = 2.*2 of 4 replies are done"
        ):
            client.ask_all(squares([1, 2, 3, 4]), "")
        assert len(server.bodies) == 3


def test_retry_after_holds_seconds_or_a_date():
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    assert _retry_after("7") == 7
    assert 95 < _retry_after(email.utils.format_datetime(soon, usegmt=True)) <= 100
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert _retry_after("soon") is None
    assert _retry_after(None) is None


def test_silence_is_a_failure_that_may_pass(cache):
    def fault(number, messages):
        return 1.0 if number == 0 else None

    with chat_server(squared, fault) as server:
        client = ChatClient(config(server, timeout_s=0.3), cache)
        assert values(client.ask_all(squares([3]), "")) == [9]
        assert len(server.bodies) == 2


def test_a_server_that_never_speaks_is_given_up(cache):
    with chat_server(squared, lambda number, messages: 1.0) as server:
        settings = config(server, timeout_s=0.1, attempts=2)
        with pytest.raises(ChatError, match=r"did not answer in 2 attempts: no answer within 0\.1 s"):
            ChatClient(settings, cache).ask_all(squares([3]), "")


def test_a_server_that_always_fails_is_given_up(cache):
    with chat_server(squared, lambda number, messages: PlainTextResponse("oops", 500)) as server:
        settings = config(server, attempts=3, concurrency=1)
        with pytest.raises(ChatError, match=r"did not answer in 3 attempts: the last answer was 500"):
            ChatClient(settings, cache).ask_all(squares([3, 4]), "")
        assert len(server.bodies) == 3


def test_an_endpoint_that_is_not_there_is_named(cache):
    settings = ChatConfig(
        model="m", base_url="http://127.0.0.1:9/v1", api_key_env="", attempts=2, backoff_s=0.01
    )
    with pytest.raises(ChatError, match=r"http://127\.0\.0\.1:9/v1 did not answer.*cannot be reached"):
        ChatClient(settings, cache).ask_all(squares([3]), "")


def test_a_page_that_is_no_endpoint_is_named(cache):
    def fault(number, messages):
        return PlainTextResponse("<html>Welcome</html>")

    with (
        chat_server(squared, fault) as server,
        pytest.raises(ChatError, match=r"not answer in the form of OpenAI's chat completions"),
    ):
        ChatClient(config(server), cache).ask_all(squares([3]), "")


def test_a_reply_without_choices_is_asked_for_again(cache):
    def fault(number, messages):
        return JSONResponse({"error": {"message": "upstream is busy"}}) if number == 0 else None

    with chat_server(squared, fault) as server:
        assert values(ChatClient(config(server), cache).ask_all(squares([3]), "")) == [9]
        assert len(server.bodies) == 2


def test_an_unknown_provider_is_named(cache, monkeypatch):
    monkeypatch.setenv("CHAT_API_KEY", KEY)
    settings = ChatConfig(model="m", provider="nobody")
    with pytest.raises(ChatError, match="provider 'nobody' cannot be asked.*not supported"):
        ChatClient(settings, cache).ask_all(squares([3]), "")


@pytest.mark.parametrize(
    "status, message",
    [(404, "has no model 'tiny/chat'"), (400, r"refused the request \(400.*set reply_format: none")],
)
def test_refusals_are_not_retried(cache, status, message):
    def fault(number, messages):
        return JSONResponse({"error": {"message": "response_format is not supported"}}, status)

    with chat_server(squared, fault) as server:
        with pytest.raises(ChatError, match=message):
            ChatClient(config(server, concurrency=1), cache).ask_all(squares([3, 4]), "")
        assert len(server.bodies) == 1


# Keys


def test_a_missing_key_is_told_before_any_request(cache, monkeypatch):
    monkeypatch.delenv("MY_CHAT_KEY", raising=False)
    with chat_server(squared, key=KEY) as server:
        settings = config(server, api_key_env="MY_CHAT_KEY")
        with pytest.raises(MissingKey, match="set the environment variable MY_CHAT_KEY"):
            ChatClient(settings, cache).ask_all(squares([3]), "")
        assert not server.bodies
        monkeypatch.setenv("MY_CHAT_KEY", KEY)
        assert values(ChatClient(settings, cache).ask_all(squares([3]), "")) == [9]
        monkeypatch.delenv("MY_CHAT_KEY")
        # What is in the cache needs no key.
        assert values(ChatClient(settings, cache).ask_all(squares([3]), "")) == [9]
        assert len(server.bodies) == 1


def test_the_key_is_never_shown(cache, monkeypatch, caplog, capsys):
    monkeypatch.setenv("MY_CHAT_KEY", KEY)
    replies = iter(
        [
            JSONResponse({"error": {"message": f"Incorrect API key provided: {KEY}"}}, 401),
            JSONResponse({"error": {"message": f"Bad key {KEY}"}}, 400, {"X-Error-Message": KEY}),
            PlainTextResponse(f"broken {KEY}"),
            *[JSONResponse({"error": f"Bearer {KEY}"}, 500, {"X-Request-Id": KEY})] * 6,
        ]
    )
    messages = []
    with (
        caplog.at_level(logging.INFO),
        caplog.at_level(logging.DEBUG, "huggingface_hub"),
        caplog.at_level(logging.DEBUG, "xlt_hf"),
        chat_server(squared, lambda number, messages: next(replies)) as server,
    ):
        for _ in range(4):
            settings = config(server, api_key_env="MY_CHAT_KEY", attempts=6)
            with pytest.raises(ChatError) as caught:
                ChatClient(settings, cache).ask_all(squares([3]), "")
            messages.append(str(caught.value))
    assert "refused the key in MY_CHAT_KEY (401)" in messages[0]
    shown = "".join([*messages, caplog.text, *capsys.readouterr(), repr(settings)])
    assert KEY not in shown


def test_a_server_without_keys_does_not_get_the_users_hub_token(cache, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    with chat_server(squared) as server:
        ChatClient(config(server), cache).ask_all(squares([3]), "")
    assert "hf_of_the_user" not in json.dumps(server.headers)


# Budgets


def test_a_spent_budget_keeps_what_is_done(cache):
    with chat_server(squared) as server:
        settings = config(server, max_requests=4)
        with pytest.raises(BudgetExhausted, match=r"budget of 4 requests.*4 of 9 replies are done and kept"):
            ChatClient(settings, cache).ask_all(squares(range(9)), "")
        assert sum(server.paid.values()) == 4
        with pytest.raises(BudgetExhausted, match=r"8 of 9 replies"):
            ChatClient(settings, cache).ask_all(squares(range(9)), "")
        client = ChatClient(settings, cache)
        assert values(client.ask_all(squares(range(9)), "")) == [n * n for n in range(9)]
        assert set(server.paid.values()) == {1}
        assert len(server.bodies) == 9


def test_tokens_are_counted_as_the_server_counts_them(cache):
    with chat_server(squared) as server:
        client = ChatClient(config(server, max_tokens=60, concurrency=1), cache)
        with pytest.raises(BudgetExhausted, match=r"budget of 60 tokens.*75 in 3 requests"):
            client.ask_all(squares(range(9)), "")
        assert client.budget.tokens == 75


def test_a_server_that_does_not_count_is_counted_in_bytes(cache):
    with chat_server(squared, usage=False) as server:
        client = ChatClient(config(server), cache)
        client.ask_all(squares([7]), "")
        assert client.budget.tokens == len(b"You square numbers.") + len(b"7") + len(b'{"square": 49}')


def test_repairs_and_failures_count(cache):
    with chat_server(lambda messages: "no") as server:
        client = ChatClient(config(server, max_requests=2, repairs=5, concurrency=1), cache)
        with pytest.raises(BudgetExhausted, match="0 of 1 replies"):
            client.ask_all(squares([7]), "")
        assert len(server.bodies) == 2


# Kills, and company


CHILD = """
import sys
from pathlib import Path
from tests.questions.test_chat import config, squares, values
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.chat import ChatClient

class Server:
    base_url = sys.argv[1]

with ReplyCache(Path(sys.argv[2])) as cache:
    client = ChatClient(config(Server, concurrency=int(sys.argv[3])), cache)
    print(values(client.ask_all(squares(range(int(sys.argv[4]))), "Squares")))
"""


def child(server, path, concurrency, count):
    command = [sys.executable, "-c", CHILD, server.base_url, str(path), str(concurrency), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_kill_in_the_middle_is_not_paid_for_twice(tmp_path):
    path = tmp_path / "replies.sqlite3"
    with chat_server(squared, pause_s=0.05) as server:
        process = child(server, path, 2, 40)
        deadline = time.monotonic() + 60
        while sum(server.paid.values()) < 9 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        with sqlite3.connect(path) as db:
            (stored,) = db.execute("SELECT count(*) FROM replies").fetchone()
        assert 0 < stored < 40
        with ReplyCache(path) as cache:
            client = ChatClient(config(server, concurrency=2), cache)
            assert values(client.ask_all(squares(range(40)), "")) == [n * n for n in range(40)]
        assert client.budget.requests == 40 - stored
        assert len(server.paid) == 40
        # What had been paid for and not been stored when the kill came: less than a batch, whatever the timing.
        assert sum(count - 1 for count in server.paid.values()) < 8 * 2


def test_two_processes_pay_once(tmp_path):
    path = tmp_path / "replies.sqlite3"
    with chat_server(squared, pause_s=0.002) as server:
        processes = [child(server, path, 2, 60) for _ in range(2)]
        outputs = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0] == f"{[n * n for n in range(60)]}\n"
    assert len(server.paid) == 60
    assert set(server.paid.values()) == {1}


# The cache


def test_entries_outlive_the_process_and_failures_are_replaced(tmp_path):
    path = tmp_path / "deep" / "replies.sqlite3"
    keys = [content_key("k", n) for n in range(1200)]
    with ReplyCache(path) as cache:
        cache.put({key: Entry(str(n)) for n, key in enumerate(keys)}, "m")
        cache.put({"bad": Entry(None, "why")}, "m")
    with ReplyCache(path) as cache:
        found = cache.get(keys)
        assert [found[key].value for key in keys] == [str(n) for n in range(1200)]
        assert cache.get(["bad"]) == {"bad": Entry(None, "why")}
        cache.put({"bad": Entry("good"), keys[0]: Entry("another")}, "m")
        assert cache.get(["bad"])["bad"].value == "good"
        assert cache.get([keys[0]])[keys[0]].value == "0"


def test_an_interrupted_computation_keeps_its_pieces(cache):
    def compute(positions):
        yield {positions[0]: Entry("done")}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fill(["a", "b"], compute, model="m", batch_size=2)
    assert cache.get(["a", "b"]) == {"a": Entry("done")}


def test_waiting_for_another_process_is_told(cache, caplog):
    with ReplyCache(cache.path) as other, caplog.at_level(logging.INFO):

        def compute(positions):
            if not caplog.text:
                thread.start()
            while "waiting for its batch" not in caplog.text:
                time.sleep(0.005)
            yield {position: Entry("mine") for position in positions}

        def fill_too():
            with ReplyCache(cache.path) as third:
                found.extend(third.fill(["a"], None, model="m", batch_size=1))

        found = []
        thread = threading.Thread(target=fill_too)
        other.fill(["a"], compute, model="m", batch_size=1)
        thread.join()
    assert found == [Entry("mine")]


def test_another_programs_file_is_left_alone(tmp_path):
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(CacheError, match=r"other\.sqlite3 cannot be used.*Move it away"):
        ReplyCache(path)
    (tmp_path / "text").write_text("notes, long enough to be no database header at all" * 20)
    with pytest.raises(CacheError):
        ReplyCache(tmp_path / "text")


def test_the_default_place_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("XLT_HF_CACHE", str(tmp_path / "c.sqlite3"))
    assert default_cache_path() == tmp_path / "c.sqlite3"
    monkeypatch.delenv("XLT_HF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_path() == tmp_path / "xlt-hf" / "replies.sqlite3"


# Settings


def test_settings_are_strict():
    assert issubclass(ChatError, UserError)
    ChatConfig(model="m", provider="auto")
    for settings in (
        {"model": "m"},
        {"model": "m", "provider": "auto", "base_url": "http://x/v1"},
        {"model": "m", "base_url": "x/v1"},
        {"model": "m", "provider": "auto", "attempts": 0},
        {"model": "m", "provider": "auto", "max_request": 3},
    ):
        with pytest.raises(ValidationError):
            ChatConfig(**settings)
    with pytest.raises(ValidationError, match="add a section chat"):
        NegativesConfig(kind="chat")
    with pytest.raises(ValidationError, match="add a section seq2seq"):
        TranslationConfig(kind="seq2seq")


def test_settings_need_no_study():
    code = "import sys, xlt_hf.questions.config; print([m for m in sys.modules if m.startswith(('xlt_hf.study', 'xlt_hf.hub'))])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout == "[]\n"
