# SPDX-License-Identifier: Apache-2.0
"""Wrong answers: what must not be offered, what options alone give away, and the chat model's."""

import dataclasses
import json
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.chat_server import chat_server, in_devanagari, makes_negatives
from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.blind import question_blind_baseline
from xlt_hf.questions.blocks import Candidate, draw_negatives
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.chat import BudgetExhausted, MissingKey
from xlt_hf.questions.config import ChatConfig, NegativesConfig
from xlt_hf.questions.negatives import (
    add_negatives,
    answer_type,
    draw_offline_negatives,
    holds,
)
from xlt_hf.sources import almanac
from xlt_hf.sources.almanac import AlmanacConfig
from xlt_hf.sources.almanac.pages import build_almanac
from xlt_hf.sources.almanac.questions import never_wrong
from xlt_hf.sources.schema import Question

NQ_OPEN = Path(__file__).parents[3] / "shared" / "data" / "nq_open" / "NQ-open.dev.jsonl"
OFFLINE = NegativesConfig()
ALMANAC = AlmanacConfig(territory_pages=60, city_pages=80, language_pages=40, currency_pages=10)


def ask(text, answers, *, number=0, title="", relation="", target=None, negatives=None):
    if target is None:
        target = [in_devanagari(answer) for answer in answers]
    return Question(
        id=f"q-{number}",
        title=title,
        url="",
        relation=relation,
        context={"en": None, "hi": None},
        question={"en": text, "hi": in_devanagari(text)},
        answer={"en": list(answers), "hi": target},
        negatives=negatives or {},
        nearest_pages=[],
        hi_source="",
    )


def people(names):
    return [ask(f"who is number {i}", [name], number=i) for i, name in enumerate(names)]


@pytest.fixture(scope="module")
def almanac_questions():
    return almanac.questions(("en", "hi"), 0, ALMANAC)


@pytest.fixture(scope="module")
def nq_open():
    if not NQ_OPEN.exists():
        pytest.skip(f"{NQ_OPEN} is not there")
    rows = [json.loads(line) for line in NQ_OPEN.read_text(encoding="utf-8").splitlines()]
    return [ask(row["question"], row["answer"], number=i, target=[]) for i, row in enumerate(rows)]


# Offline


def test_three_of_the_same_type_parallel_and_distinct(almanac_questions):
    bare = [dataclasses.replace(question, negatives={}) for question in almanac_questions]
    drawn = add_negatives(bare, ("en", "hi"), OFFLINE, seed=1)
    assert len(drawn.questions) + sum(drawn.dropped.values()) == len(bare)
    assert sum(drawn.types.values()) == len(drawn.questions)
    pairs = defaultdict(set)
    for question in bare:
        pairs[question.relation].add((question.answer["en"][0], question.answer["hi"][0]))
    for question in drawn.questions:
        options = list(zip(question.negatives["en"], question.negatives["hi"], strict=True))
        assert set(options) <= pairs[question.relation]
        for language in ("en", "hi"):
            forms = [normalize(text, "xl", language) for text in question.negatives[language]]
            golds = {normalize(text, "xl", language) for text in question.answer[language]}
            assert len({*forms, normalize(question.answer[language][0], "xl", language)}) == 4
            assert not golds & set(forms)


def test_each_answer_is_as_often_right_as_wrong_in_its_block():
    names = ["Ann Lee"] * 5 + ["Bob Ray"] * 4 + ["Cid Fox"] * 4 + [f"Per{i} Son" for i in range(27)]
    questions = people(names)
    drawn = draw_offline_negatives(questions, ("en",), 0).questions
    shown, right = Counter(), Counter()
    for question in drawn:
        shown.update([*question.negatives["en"], question.answer["en"][0]])
        right[question.answer["en"][0]] += 1
    assert {name: shown[name] / right[name] for name in right} == dict.fromkeys(right, 4.0)


def test_what_may_be_true_is_not_offered():
    base = people(["Ann Lee", "Bob Ray", "Cid Fox", "Dan Orr", "Eve Kay", "Flo Day", "Gus May", "Hal Roe"])
    base[0] = ask("who sang it", ["Ann Lee", "Bob Ray"], number=0)
    base[2] = ask("Who sang it?", ["Cid Fox"], number=2)
    base[3] = ask("who is Dan", ["Dan Orr"], number=3, title="Page")
    base[4] = ask("who is Eve", ["Eve Kay"], number=4, title="Page")
    for seed in range(20):
        by_id = {
            q.id: set(q.negatives["en"]) for q in draw_offline_negatives(base, ("en", "hi"), seed).questions
        }
        assert not by_id["q-0"] & {"Ann Lee", "Bob Ray", "Cid Fox"}
        assert not by_id["q-2"] & {"Ann Lee", "Bob Ray", "Cid Fox"}
        assert "Eve Kay" not in by_id["q-3"]
        assert "Dan Orr" not in by_id["q-4"]


def test_what_the_source_bars_is_not_offered(almanac_questions):
    book = build_almanac(("en", "hi"), 0, ALMANAC)
    barred = never_wrong(book)
    assert barred
    bare = [dataclasses.replace(question, negatives={}) for question in almanac_questions]
    freely, barring = (
        draw_offline_negatives(bare, ("en", "hi"), 0, never).questions for never in ({}, barred)
    )

    def offered(questions):
        return sum(
            negative in barred.get(question.id, {}).get(language, ())
            for question in questions
            for language in ("en", "hi")
            for negative in question.negatives[language]
        )

    assert offered(almanac_questions) == 0
    assert offered(freely) > 0
    assert offered(barring) == 0


def test_a_part_of_the_answer_is_not_offered():
    questions = people(["Ann", "Ann Lee", "Lee", "Bob", "Cid", "Dan", "Eve"])
    for seed in range(20):
        for question in draw_offline_negatives(questions, ("en",), seed).questions:
            for negative in question.negatives["en"]:
                gold = question.answer["en"][0]
                assert {gold, negative} != {"Ann", "Ann Lee"}
                assert {gold, negative} != {"Lee", "Ann Lee"}


def test_parts_are_words():
    assert holds("december 1972", "1972", "en")
    assert not holds("10", "1", "en")
    assert not holds("pioneer", "one", "en")
    assert holds("東京都", "東京", "ja")
    assert not holds("नई दिल्ली", "दिल", "hi")


def test_lengths_are_matched():
    draw = random.Random(0)
    names = ["".join(draw.choices("bcdfghklm", k=draw.randint(3, 40))).capitalize() for _ in range(200)]
    drawn = draw_offline_negatives(people(names), ("en",), 0).questions
    gaps = [abs(len(n) - len(q.answer["en"][0])) for q in drawn for n in q.negatives["en"]]
    at_random = [abs(len(a) - len(b)) for a in names for b in names]
    assert sum(gaps) / len(gaps) < 0.15 * sum(at_random) / len(at_random)


def test_the_seed_decides(almanac_questions):
    bare = [dataclasses.replace(question, negatives={}) for question in almanac_questions]
    first, again, other = (draw_offline_negatives(bare, ("en", "hi"), seed).questions for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_drops_have_reasons_and_what_is_there_stays():
    ready = ask("who is x", ["Xi Yu"], number=9, negatives={"en": ["a", "b", "c"], "hi": ["क", "ख", "ग"]})
    untranslated = ask("who is y", ["Yo Zu"], number=8, target=[])
    lonely = ask("how much is it", ["$5"], number=7)
    questions = [*people(["Ann Lee", "Bob Ray", "Cid Fox", "Dan Orr"]), ready, untranslated, lonely]
    drawn = add_negatives(questions, ("en", "hi"), OFFLINE, seed=0)
    assert drawn.dropped == {"no_answer": 1, "too_few_negatives": 1}
    assert [question.id for question in drawn.questions] == ["q-0", "q-1", "q-2", "q-3", "q-9"]
    assert drawn.questions[-1] == ready
    assert all("Xi Yu" not in question.negatives["en"] for question in drawn.questions)


@pytest.mark.parametrize(
    "text, answer, expected",
    [
        ("when was the last time anyone was on the moon", "14 December 1972 UTC", "date"),
        ("when did it start", "1972", "year"),
        ("when did it start", "१९७२", "year"),
        ("when did it start", "In 1819", "date"),
        ("when did it start", "Easter", "entity:time"),
        ("how many seasons are there", "one", "number:words"),
        ("how many seasons are there", "12", "number:digits"),
        ("what share is it", "17.32%", "number:share"),
        ("what did it cost", "$4,893", "number:money"),
        ("how tall is it", "33 m", "number:with_unit"),
        ("who wrote it", "Bobby Scott", "entity:person"),
        ("where is it", "Salzburg, Austria", "entity:place"),
        ("who may do it", "the president", "short:person"),
        ("what is it", "May", "entity:other"),
    ],
)
def test_types_by_shape_and_question_word(text, answer, expected):
    assert answer_type(ask(text, [answer]), "en") == expected


def test_a_relation_is_the_type():
    assert answer_type(ask("who", ["Ann"], relation="capital"), "en") == "relation:capital"


def test_all_of_nq_open_gets_wrong_answers(nq_open):
    drawn = draw_offline_negatives(nq_open, ("en",), 0)
    assert len(drawn.questions) == 3610
    assert drawn.dropped == {}
    for question in drawn.questions:
        forms = [
            normalize(text, "xl", "en") for text in (*question.negatives["en"], question.answer["en"][0])
        ]
        assert len(set(forms)) == 4


def test_neighbours_share_a_block_where_no_answer_comes_twice():
    candidates = [Candidate((f"a{i}",), (frozenset({f"a{i}"}),)) for i in range(12)]
    drawn = draw_negatives(candidates, lambda answer: answer, random.Random(0))
    for i, negatives in enumerate(drawn):
        block = range(i // 4 * 4, i // 4 * 4 + 4)
        assert sorted(text for (text,) in negatives) == sorted(f"a{j}" for j in block if j != i)


# What options give away


def near_chance(result):
    return all(result[name]["ci_low"] <= 0.25 <= result[name]["ci_high"] for name in ("frequency", "learned"))


def test_options_of_the_almanac_tell_nothing(almanac_questions):
    for language in ("en", "hi"):
        result = question_blind_baseline(almanac_questions, language, seed=0)
        assert result["n"] == len(almanac_questions)
        assert near_chance(result), result


def test_options_of_nq_open_tell_nothing(nq_open):
    drawn = draw_offline_negatives(nq_open, ("en",), 0).questions
    result = question_blind_baseline(drawn, "en", seed=0, max_questions=1000)
    assert result["n"] == 1000
    assert near_chance(result), result


def test_options_drawn_without_care_tell(almanac_questions):
    """What the blocks are for: answers drawn evenly leave the frequent one right."""
    draw = random.Random(0)
    answers = defaultdict(set)
    for question in almanac_questions:
        answers[question.relation].add(question.answer["en"][0])
    careless = [
        dataclasses.replace(
            question,
            negatives={"en": draw.sample(sorted(answers[question.relation] - set(question.answer["en"])), 3)},
        )
        for question in almanac_questions
    ]
    result = question_blind_baseline(careless, "en", seed=0)
    assert result["frequency"]["ci_low"] > 0.3
    assert result["learned"]["ci_low"] > 0.3
    assert result["learned"]["p_value"] < 1e-6


def test_the_longest_and_the_central_option_are_found_out():
    draw = random.Random(0)

    def word(length):
        return "".join(draw.choices("abcdefgh", k=length))

    longest, central = [], []
    for i in range(300):
        longest.append(ask("?", [word(14)], number=i, negatives={"en": [word(8), word(9), word(10)]}))
        a, b, c, d = (word(5) for _ in range(4))
        options = {"en": [f"{a} {c}", f"{a} {d}", f"{b} {d}"]}
        central.append(ask("?", [f"{a} {d} {b}"[:11]], number=i, negatives=options))
    for questions in (longest, central):
        assert question_blind_baseline(questions, "en", seed=0)["learned"]["ci_low"] > 0.4


def test_blocks_that_span_two_splits_tell(almanac_questions):
    shuffled = list(almanac_questions)
    random.Random(0).shuffle(shuffled)
    train, test = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
    across = question_blind_baseline(test, "en", 0, train=train)
    assert across["learned"]["ci_high"] < 0.25

    def apart(questions):
        bare = [dataclasses.replace(question, negatives={}) for question in questions]
        return draw_offline_negatives(bare, ("en", "hi"), 0).questions

    assert near_chance(question_blind_baseline(apart(test), "en", 0, train=apart(train)))


def test_too_few_questions_for_a_baseline():
    result = question_blind_baseline([], "en", 0)
    assert result == {"language": "en", "n": 0, "chance": 0.25, "frequency": None, "learned": None}


# A chat model


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite3") as opened:
        yield opened


def by_chat(server, **changes):
    settings = {"model": "tiny/chat", "base_url": server.base_url, "api_key_env": "", "concurrency": 1}
    return NegativesConfig(kind="chat", chat=ChatConfig(**{**settings, **changes}))


QUESTIONS = people(["Ann Lee", "Bob Ray", "Cid Fox"])


def test_chat_negatives_are_parallel_and_cached(cache):
    with chat_server(makes_negatives) as server:
        first = add_negatives(QUESTIONS, ("en", "hi"), by_chat(server), 0, cache)
        again = add_negatives(QUESTIONS, ("en", "hi"), by_chat(server), 0, cache)
        assert len(server.bodies) == 3
        english = add_negatives(QUESTIONS, ("en",), by_chat(server), 0, cache)
        assert len(server.bodies) == 6
    assert first == again
    assert first.dropped == {}
    for question in first.questions:
        assert len(question.negatives["en"]) == 3
        assert question.negatives["hi"] == [in_devanagari(text) for text in question.negatives["en"]]
    assert english.questions[0].negatives == {"en": first.questions[0].negatives["en"]}
    prompt = json.loads(server.bodies[0]["messages"][1]["content"])
    assert prompt["source"] == {"question": QUESTIONS[0].question["en"], "answers": QUESTIONS[0].answer["en"]}
    assert "Hindi" in server.bodies[0]["messages"][0]["content"]
    schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "english, hindi, reason",
    [
        (["Kim Poe", "kim poe.", "Lou Rye"], ["अब", "बच", "चड"], "those in English are not distinct"),
        (["Kim Poe", "Max Poe", "Lou Rye"], ["अब", "अब।", "चड"], "those in Hindi are not distinct"),
        (["Kim Poe", "Ann Lee", "Lou Rye"], ["अब", "बच", "चड"], "'Ann Lee' is right, or may be"),
        (["Kim Poe", "the Ann Lee", "Lou Rye"], ["अब", "बच", "चड"], "is right"),
        (["Kim Poe", "Ann", "Lou Rye"], ["अब", "बच", "चड"], "'Ann' is a part of a right answer"),
        (
            ["Kim Poe", "Ann Lee Roe", "Lou Rye"],
            ["अब", "बच", "चड"],
            "is a part of a right answer, or contains",
        ),
        (
            ["Kim Poe", "Max Poe", "Lou Rye"],
            ["अब", "Max Poe", "चड"],
            "'Max Poe' is not in the Devanagari script",
        ),
        (["Kim Poe", "मैक्स", "Lou Rye"], ["अब", "बच", "चड"], "'मैक्स' is not in the Latin script"),
        (["Kim Poe", " ", "Lou Rye"], ["अब", "बच", "चड"], "one in English is empty"),
        (["Kim Poe", "Max Poe"], ["अब", "बच"], "there are 2 wrong answers, not 3"),
    ],
)
def test_bad_chat_negatives_go_back_with_the_reason(cache, english, hindi, reason):
    pairs = [{"source": a, "target": b} for a, b in zip(english, hindi, strict=True)]

    def answer(messages):
        return json.dumps({"negatives": pairs}) if len(messages) == 2 else makes_negatives(messages)

    with chat_server(answer) as server:
        drawn = add_negatives(QUESTIONS[:1], ("en", "hi"), by_chat(server), 0, cache)
    assert reason in server.bodies[1]["messages"][3]["content"]
    assert len(drawn.questions) == 1
    assert len(server.bodies) == 2


def test_what_the_chat_model_cannot_do_is_counted_and_not_asked_again(cache):
    def answer(messages):
        if "Bob Ray" in messages[1]["content"]:
            return json.dumps({"negatives": [{"source": "Bob Ray", "target": "अ"}] * 3})
        return makes_negatives(messages)

    with chat_server(answer) as server:
        for _ in range(2):
            drawn = add_negatives(QUESTIONS, ("en", "hi"), by_chat(server, repairs=1), 0, cache)
            assert drawn.dropped == {"no_valid_negatives": 1}
            assert [question.id for question in drawn.questions] == ["q-0", "q-2"]
        assert len(server.bodies) == 2 + 2


def test_chat_negatives_within_a_budget_go_on_where_they_stopped(cache):
    with chat_server(makes_negatives) as server:
        with pytest.raises(BudgetExhausted, match="2 of 3 replies are done"):
            add_negatives(QUESTIONS, ("en", "hi"), by_chat(server, max_requests=2), 0, cache)
        drawn = add_negatives(QUESTIONS, ("en", "hi"), by_chat(server, max_requests=2), 0, cache)
        assert len(drawn.questions) == 3
        assert len(server.bodies) == 3


def test_chat_negatives_need_their_key(cache, monkeypatch):
    monkeypatch.delenv("MY_CHAT_KEY", raising=False)
    with chat_server(makes_negatives) as server:
        with pytest.raises(MissingKey, match="MY_CHAT_KEY"):
            add_negatives(QUESTIONS, ("en", "hi"), by_chat(server, api_key_env="MY_CHAT_KEY"), 0, cache)
        assert not server.bodies
