# SPDX-License-Identifier: Apache-2.0
"""The Hindi side of questions: names first, spans that are spans, models asked once."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.chat_server import chat_server, in_devanagari, translates
from tests.conftest import TEXTS
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.chat import BudgetExhausted
from xlt_hf.questions.config import ChatConfig, Seq2SeqConfig, TranslationConfig
from xlt_hf.questions.scripts import UnknownScript, in_script, script_of, script_share
from xlt_hf.questions.spans import span_of
from xlt_hf.questions.translation import name_table, translate_questions, translate_texts
from xlt_hf.questions.translators import (
    ChatTranslator,
    Search,
    Seq2SeqTranslator,
    TranslationError,
    _sentences,
    build_translator,
)
from xlt_hf.sources.schema import Question

ROOT = Path(__file__).parents[2]
XQUAD = ROOT.parent / "shared" / "data" / "xquad" / "xquad.hi.json"
NO_NAMES = name_table([], "en", "xx")


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite3") as opened:
        yield opened


def ask(text, answers, *, number=0, context=None, hindi=None, hindi_answers=(), hi_source=""):
    return Question(
        id=f"q-{number}",
        title="A page",
        url="",
        relation="",
        context={"en": context, "hi": None},
        question={"en": text, "hi": hindi},
        answer={"en": list(answers), "hi": list(hindi_answers)},
        negatives={},
        nearest_pages=[],
        hi_source=hi_source,
    )


class Dictionary:
    """A translator that looks texts up, and remembers what it was asked."""

    name = "dictionary"
    settings = ("v1",)
    batch_texts = 2

    def __init__(self, entries):
        self.entries = entries
        self.batches = []

    def translate(self, texts):
        self.batches.append(list(texts))
        return [self.entries.get(text, in_devanagari(text)) for text in texts]


def asked(translator):
    return sorted(text for batch in translator.batches for text in batch)


# Scripts


def test_scripts_come_from_cldr():
    expected = {"en": "Latn", "hi": "Deva", "ta": "Taml", "ja": "Jpan", "ur": "Arab", "sat": "Olck"}
    assert {language: script_of(language) for language in expected} == expected
    with pytest.raises(UnknownScript, match="'qqq'"):
        script_of("qqq")


def test_shares_count_letters_and_their_marks_only():
    assert script_share("विटामिन B12", "hi") == pytest.approx(7 / 8)
    assert in_script("COVID-19 महामारी", "hi"), "more signs of Devanagari than of Latin"
    assert script_share("1972", "hi") is None
    assert in_script("1972", "hi")
    assert in_script("東京タワー", "ja")
    assert not in_script("Delhi में", "hi")
    assert not in_script("दिल्ली", "ta")


# Names


def test_names_are_looked_up_as_they_are_compared():
    titles = [("Mount Everest", "माउंट एवरेस्ट"), ("Latin", "Latin"), ("Nothing", ""), ("India", "इंडिया")]
    names = name_table(titles, "en", "hi")
    assert names.lookup("the Mount Everest.") == ("माउंट एवरेस्ट",)
    assert names.lookup("India") == ("इंडिया", "भारत")
    assert names.lookup("Indian rupee") == ("भारतीय रुपया",)
    assert names.lookup("Devanagari") == ("देवनागरी",)
    assert names.lookup("Nothing") == ()


def test_titles_that_nobody_asks_for_are_left_out():
    titles = [("Mount Everest", "माउंट एवरेस्ट"), ("The Alps", "आल्प्स")]
    cldr = len(name_table([], "en", "hi"))
    names = name_table(titles, "en", "hi", wanted=["Alps", "India"])
    assert len(names) == cldr + 1
    assert names.lookup("Alps") == ("आल्प्स",)


def test_a_name_of_two_things_is_taken_only_as_it_stands():
    names = name_table([("WHO", "डब्ल्यूएचओ"), ("The Who", "द हू")], "en", "hi")
    assert names.lookup("WHO") == ("डब्ल्यूएचओ",)
    assert names.lookup("The Who") == ("द हू",)
    assert names.lookup("who") == ()


# Questions


def test_names_go_before_the_model(cache):
    names = name_table([("Mount Everest", "माउंट एवरेस्ट")], "en", "hi")
    translator = Dictionary({"the peak": "चोटी"})
    questions = [
        ask("which one is highest?", ["Mount Everest", "the peak", "Mt. Everest"], number=0),
        ask("which one is it?", ["the peak", "Mount Everest"], number=1),
        ask("when was it?", ["1953"], number=2),
    ]
    done = translate_questions(questions, "en", "hi", translator, cache, names)
    assert [question.answer["hi"] for question in done.questions] == [
        ["माउंट एवरेस्ट", "चोटी", in_devanagari("Mt. Everest")],
        ["चोटी", "माउंट एवरेस्ट"],
        ["1953"],
    ]
    assert [question.question["hi"] for question in done.questions] == [
        in_devanagari(question.question["en"]) for question in questions
    ]
    assert {question.hi_source for question in done.questions} == {"machine:dictionary"}
    assert done.counts == {"answers_by_model": 2, "answers_by_name": 1, "translated": 3}
    assert done.dropped == {}
    # Neither what has a name nor what has no letters is asked for; batches are the translator's.
    assert "Mount Everest" not in asked(translator)
    assert "1953" not in asked(translator)
    assert {len(batch) for batch in translator.batches} <= {1, 2}


def test_answers_are_spans_of_the_translated_context(cache):
    context = "Tenzing Norgay stood on Mount Everest, in Nepal."
    names = name_table([("Mount Everest", "एवरेस्ट पर्वत"), ("Nepal", "नेपाल")], "en", "hi")
    translator = Dictionary(
        {
            context: "तेनज़िंग नोर्गे नेपाल में एवरेस्ट पर्वत, पर खड़े थे।",
            "Tenzing Norgay": "तेनजिंग नॉर्गे",
            "Nepal": "नेपाल",
        }
    )
    questions = [
        ask("where?", ["Mount Everest"], number=0, context=context),
        ask("who?", ["Tenzing Norgay"], number=1, context=context),
        ask("which country?", ["Nepal", "in Nepal"], number=2, context=context),
    ]
    done = translate_questions(questions, "en", "hi", translator, cache, names)
    assert [question.id for question in done.questions] == ["q-0", "q-2"]
    assert [question.answer["hi"] for question in done.questions] == [["एवरेस्ट पर्वत"], ["नेपाल"]]
    assert done.dropped == {"answer_not_in_context": 1}
    assert done.counts["answers_by_name"] == 2
    # The model's rendering stands where the name does not.
    translator.entries["It is on Mount Everest."] = "यह माउंट एवरेस्ट पर है।"
    translator.entries["Mount Everest"] = "माउंट एवरेस्ट"
    other = ask("where?", ["Mount Everest"], context="It is on Mount Everest.", hindi="कहाँ?")
    with ReplyCache(cache.path.with_name("other.sqlite3")) as fresh:
        rendered = translate_questions([other], "en", "hi", translator, fresh, names)
    assert rendered.questions[0].answer["hi"] == ["माउंट एवरेस्ट"]
    assert rendered.counts == {"answers_by_model": 1, "translated": 1}
    assert all(answer in q.context["hi"] for q in done.questions for answer in q.answer["hi"])
    assert asked(translator).count(context) == 1


def test_what_is_there_is_not_made_again(cache):
    human = ask("who?", ["Ann"], number=0, hindi="कौन?", hindi_answers=["ऐन"], hi_source="human")
    half = ask("who?", ["Ann"], number=1, hindi="कौन?", hi_source="human")
    named = ask("which?", ["Nepal"], number=2, hindi="कौन सा?", hi_source="human")
    translator = Dictionary({"Ann": "ऐन"})
    names = name_table([], "en", "hi")
    done = translate_questions([human, half, named], "en", "hi", translator, cache, names)
    assert done.questions[0] is human
    assert done.questions[1].question["hi"] == "कौन?"
    assert done.questions[1].answer["hi"] == ["ऐन"]
    assert [q.hi_source for q in done.questions] == ["human", "machine:dictionary", "human"]
    assert done.questions[2].answer["hi"] == ["नेपाल"]
    assert asked(translator) == ["Ann"]


def test_answers_that_came_along_must_stand_in_a_context_that_did_not(cache):
    lost = ask("who?", ["Ann"], context="Ann won.", hindi="कौन?", hindi_answers=["ऐना"], hi_source="human")
    found = dataclasses.replace(lost, id="q-1", answer={"en": ["Ann"], "hi": ["ऐन"]})
    translator = Dictionary({"Ann won.": "ऐन जीती।"})
    done = translate_questions([lost, found], "en", "hi", translator, cache, NO_NAMES)
    assert [question.id for question in done.questions] == ["q-1"]
    assert done.dropped == {"answer_not_in_context": 1}
    assert done.questions[0].hi_source == "machine:dictionary"


@pytest.mark.parametrize(
    "entries, reason",
    [
        ({"who?": ""}, "question_untranslated"),
        ({"who?": "who is it?"}, "question_untranslated"),
        ({"Ann": ""}, "answer_untranslated"),
        ({"Ann": "Ann"}, "answer_untranslated"),
        ({"Ann won.": ""}, "context_untranslated"),
        ({"Ann won.": "Ann won."}, "context_untranslated"),
        ({"Ann": "ऐना"}, "answer_not_in_context"),
    ],
)
def test_what_cannot_be_translated_is_dropped_with_the_reason(cache, entries, reason):
    questions = [ask("who?", ["Ann"], context="Ann won.")]
    done = translate_questions(questions, "en", "hi", Dictionary(entries), cache, NO_NAMES)
    assert done.questions == []
    assert done.dropped == {reason: 1}


def test_without_a_translator_incomplete_rows_are_dropped(cache):
    complete = ask("who?", ["Ann"], number=1, hindi="कौन?", hindi_answers=["ऐन"])
    done = translate_questions([ask("who?", ["Ann"]), complete], "en", "hi", None, cache, NO_NAMES)
    assert done.questions == [complete]
    assert done.dropped == {"not_translated": 1}
    assert build_translator(TranslationConfig(), "en", "hi", cache) is None


def test_a_rerun_asks_nothing_and_settings_tell_models_apart(cache):
    texts = ["one", "two", "three", "four", "five"]
    first, again, other = Dictionary({}), Dictionary({}), Dictionary({})
    other.settings = ("v2",)
    for translator in (first, again, other):
        translations = translate_texts([*texts, "one"], "en", "hi", translator, cache)
        assert translations == {text: in_devanagari(text) for text in texts}
    assert [len(batch) for batch in first.batches] == [2, 2, 1]
    assert first.batches[0] == ["three", "five"]
    assert again.batches == []
    assert len(other.batches) == 3
    more = Dictionary({})
    translate_texts([*texts, "six"], "en", "hi", more, cache)
    assert more.batches == [["six"]]


def test_a_failure_in_the_middle_keeps_the_batches_before_it(cache):
    class Failing(Dictionary):
        def translate(self, texts):
            if len(self.batches) == 2:
                raise TranslationError("no memory")
            return super().translate(texts)

    texts = ["one", "two", "three", "four", "five"]
    with pytest.raises(TranslationError):
        translate_texts(texts, "en", "hi", Failing({}), cache)
    rest = Dictionary({})
    translate_texts(texts, "en", "hi", rest, cache)
    assert rest.batches == [["two"]]


# Spans


@pytest.mark.parametrize(
    "answer, context, span",
    [
        ("नेपाल", "यह नेपाल।", "नेपाल"),
        ("नेपाल।", "यह नेपाल, है", "नेपाल"),
        ("१९५३", "सन् 1953 में", "1953"),
        ("एवरेस्ट पर्वत", "वह “एवरेस्ट  पर्वत” है", "एवरेस्ट  पर्वत"),
        ("सात", "सातवां", None),
        ("", "नेपाल", None),
        ("।", "नेपाल ।", None),
        ("क़लम", "यह क़लम है", "क़लम"),
    ],
)
def test_spans_are_whole_words_as_they_are_compared(answer, context, span):
    found = span_of(answer, context, "hi")
    assert found == span
    assert found is None or found in context


def test_spans_in_a_language_without_spaces():
    assert span_of("東京", "首都は東京です。", "ja") == "東京"
    assert span_of("大阪", "首都は東京です。", "ja") is None


def test_xquads_answers_are_found():
    if not XQUAD.exists():
        pytest.skip(f"{XQUAD} is not there")
    data = json.loads(XQUAD.read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
    cases = [(qa["answers"][0]["text"], p["context"]) for p in paragraphs for qa in p["qas"]]
    found = [span_of(answer, context, "hi") for answer, context in cases]
    assert all(span is None or span in context for span, (_, context) in zip(found, cases, strict=True))
    # The others are cut within a word.
    assert len(cases) == 1190
    assert sum(span is not None for span in found) >= 1180


def test_sentences():
    text = (
        "The U.S. Army beat Dr. Smith in 1972. He left. (It was so.) Then Mrs. Jones came! “Why?” She asked."
    )
    assert _sentences(text) == [
        "The U.S. Army beat Dr. Smith in 1972.",
        "He left.",
        "(It was so.)",
        "Then Mrs. Jones came!",
        "“Why?”",
        "She asked.",
    ]
    assert _sentences("नेपाल एक देश है। येन मुद्रा है।") == ["नेपाल एक देश है।", "येन मुद्रा है।"]
    assert _sentences("no stop") == ["no stop"]


# A chat model


def chat_config(server, **changes):
    settings = {
        "model": "tiny/chat",
        "base_url": server.base_url,
        "api_key_env": "",
        "backoff_s": 0.01,
        "concurrency": 1,
    }
    return ChatConfig(**{**settings, **changes})


def by_chat(server, cache, *, texts_per_request=3, **changes):
    config = TranslationConfig(
        kind="chat", chat=chat_config(server, **changes), texts_per_request=texts_per_request
    )
    return build_translator(config, "en", "hi", cache)


CONTEXT = "Tenzing Norgay stood on Mount Everest with Edmund Hillary."
QUESTIONS = [
    ask(f"who is number {word}?", [answer], number=i, context=CONTEXT)
    for i, (word, answer) in enumerate(
        [
            ("one", "Tenzing Norgay"),
            ("two", "Edmund Hillary"),
            ("three", "Mount Everest"),
            ("four", "Hillary"),
        ]
    )
]


def test_a_chat_model_translates_several_texts_per_request(cache):
    with chat_server(translates) as server:
        translator = by_chat(server, cache)
        done = translate_questions(QUESTIONS, "en", "hi", translator, cache, NO_NAMES)
        assert len(server.bodies) == 3  # nine texts
        again = translate_questions(QUESTIONS, "en", "hi", by_chat(server, cache), cache, NO_NAMES)
        assert len(server.bodies) == 3
    assert done == again
    assert done.dropped == {}
    assert {question.hi_source for question in done.questions} == {"machine:tiny/chat"}
    for question in done.questions:
        assert question.context["hi"] == in_devanagari(CONTEXT)
        assert question.answer["hi"] == [in_devanagari(question.answer["en"][0])]
    assert (
        "from English to Hindi, written in the Devanagari script"
        in server.bodies[0]["messages"][0]["content"]
    )


def test_long_texts_go_alone(cache):
    texts = ["x" * 2000, "y" * 2000, *[f"text {letter}" for letter in "abcde"]]
    with chat_server(translates) as server:
        translate_texts(texts, "en", "hi", by_chat(server, cache, texts_per_request=4), cache)
    sizes = [len(json.loads(body["messages"][1]["content"])) for body in server.bodies]
    assert sizes == [1, 4, 2]


@pytest.mark.parametrize(
    "bad, reason",
    [
        (lambda texts: texts[1:], "there are 2 translations of 3 texts"),
        (lambda texts: ["", *texts[1:]], "translation 1 is empty"),
        (lambda texts: ["still English", *texts[1:]], "'still English', is not in the Devanagari script"),
    ],
)
def test_bad_translations_go_back_with_the_reason(cache, bad, reason):
    def answer(messages):
        good = json.loads(translates(messages))["translations"]
        return json.dumps({"translations": bad(good) if len(messages) == 2 else good})

    with chat_server(answer) as server:
        done = translate_texts(["one", "two", "three"], "en", "hi", by_chat(server, cache), cache)
    assert done["two"] == in_devanagari("two")
    assert reason in server.bodies[1]["messages"][3]["content"]
    assert len(server.bodies) == 2


def test_one_text_that_fails_does_not_take_the_others_along(cache):
    def answer(messages):
        texts = json.loads(messages[1]["content"])
        return "no" if "three" in texts else translates(messages)

    with chat_server(answer) as server:
        texts = ["one", "two", "three", "four"]
        for _ in range(2):
            translator = by_chat(server, cache, texts_per_request=4, repairs=1)
            done = translate_texts(texts, "en", "hi", translator, cache)
            assert done == {t: "" if t == "three" else in_devanagari(t) for t in texts}
        # Four texts, two, one: twice each; the good halves once each.
        assert len(server.bodies) == 2 * 3 + 2


def test_a_chat_model_finds_answers_that_the_context_words_otherwise(cache):
    def answer(messages):
        prompt = json.loads(messages[1]["content"])
        if isinstance(prompt, list):
            made = [in_devanagari(t).replace(in_devanagari("Tenzing"), "तेनज़िंग") for t in prompt]
            made = [
                in_devanagari("Sherpa") if text == "Tenzing Norgay" else m for text, m in zip(prompt, made)
            ]
            return json.dumps({"translations": made})
        assert prompt["answer"] == "Tenzing Norgay"
        if len(messages) == 2:
            return json.dumps({"span": "तेनज़िंग नोर"})
        return json.dumps({"span": f"तेनज़िंग {in_devanagari('Norgay')}"})

    with chat_server(answer) as server:
        translator = by_chat(server, cache)
        done = translate_questions(QUESTIONS, "en", "hi", translator, cache, NO_NAMES)
        count = len(server.bodies)
        translate_questions(QUESTIONS, "en", "hi", by_chat(server, cache), cache, NO_NAMES)
        assert len(server.bodies) == count
    assert "does not stand in the passage" in server.bodies[-1]["messages"][3]["content"]
    assert done.dropped == {}
    assert done.counts["answers_found_in_context"] == 1
    assert done.questions[0].answer["hi"] == [f"तेनज़िंग {in_devanagari('Norgay')}"]


def test_a_span_is_not_the_passage(cache):
    with chat_server(lambda messages: json.dumps({"span": "नेपाल एक देश"})) as server:
        translator = ChatTranslator(chat_config(server, repairs=1), "en", "hi", cache)
        assert translator.find_spans([Search("नेपाल एक देश है।", "which?", "Nepal")]) == [""]
    assert "most of the passage" in server.bodies[1]["messages"][3]["content"]


def test_translating_within_a_budget_goes_on_where_it_stopped(cache):
    texts = [f"text {letter}" for letter in "abcdefghij"]
    with chat_server(translates) as server:
        with pytest.raises(
            BudgetExhausted, match=r"budget of 2 requests.*In all 0 of 10 texts are translated"
        ):
            translate_texts(texts, "en", "hi", by_chat(server, cache, max_requests=2), cache)
        done = translate_texts(texts, "en", "hi", by_chat(server, cache, max_requests=2), cache)
        assert done == {text: in_devanagari(text) for text in texts}
        assert len(server.bodies) == 4
        assert set(server.paid.values()) == {1}


CHILD = """
import sys
from pathlib import Path
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.config import ChatConfig
from xlt_hf.questions.translation import translate_texts
from xlt_hf.questions.translators import ChatTranslator

config = ChatConfig(model="tiny/chat", base_url=sys.argv[1], api_key_env="", concurrency=1)
with ReplyCache(Path(sys.argv[2])) as cache:
    texts = [f"text {a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    translate_texts(texts, "en", "hi", ChatTranslator(config, "en", "hi", cache, 2), cache)
"""


def test_a_kill_in_the_middle_is_not_paid_for_twice(tmp_path):
    path = tmp_path / "replies.sqlite3"
    with chat_server(translates, pause_s=0.05) as server:
        command = [sys.executable, "-c", CHILD, server.base_url, str(path)]
        process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + 60
        while len(server.paid) < 13 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        with ReplyCache(path) as cache:
            texts = [f"text {a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
            done = translate_texts(texts, "en", "hi", by_chat(server, cache, texts_per_request=2), cache)
    assert done == {text: in_devanagari(text) for text in texts}
    assert len(server.paid) == 32
    assert sum(server.paid.values()) < 32 + 8


# A translation model


@pytest.fixture(scope="module")
def pairs():
    """Sentences of the shared texts that translate each other."""
    return [
        pair
        for english, hindi in zip(TEXTS["en"], TEXTS["hi"], strict=True)
        for pair in zip(_sentences(english), _sentences(hindi), strict=True)
    ]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory, bpe, pairs):
    """A tiny T5 that has learnt these sentences by heart."""
    from transformers import T5Config, T5ForConditionalGeneration

    from xlt_hf.tokenization import wrap

    tokenizer = wrap(bpe, 128)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=48,
        d_kv=12,
        d_ff=96,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    model = T5ForConditionalGeneration(config)
    inputs = tokenizer(
        [english for english, _ in pairs], return_tensors="pt", padding=True, padding_side="right"
    )
    ends = [hindi + tokenizer.eos_token for _, hindi in pairs]
    labels = tokenizer(ends, return_tensors="pt", padding=True, padding_side="right")
    wanted = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(400):
        loss = model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=wanted
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.05:
            break
    folder = tmp_path_factory.mktemp("tiny-t5")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def seq2seq(folder, **changes):
    return Seq2SeqTranslator(
        Seq2SeqConfig(model=str(folder), **{"num_beams": 1, "max_new_tokens": 60, **changes})
    )


def test_a_seq2seq_model_translates_sentence_by_sentence(model_folder, pairs):
    translator = seq2seq(model_folder, batch_size=3)
    assert translator.translate([english for english, _ in pairs]) == [hindi for _, hindi in pairs]
    assert translator.translate(TEXTS["en"]) == [" ".join(_sentences(hindi)) for hindi in TEXTS["hi"]]
    assert seq2seq(model_folder, num_beams=3).translate([pairs[0][0]]) == [pairs[0][1]]
    assert translator.name == model_folder.name


def test_batches_do_not_change_translations(model_folder, pairs):
    texts = [english for english, _ in pairs] + ["India is a country.", "Japan", "Its currency is the yen."]
    alone = [seq2seq(model_folder, batch_size=1).translate([text])[0] for text in texts]
    for size in (2, 7, 32):
        assert seq2seq(model_folder, batch_size=size).translate(texts) == alone
    assert seq2seq(model_folder, batch_size=4).translate(texts[::-1]) == alone[::-1]
    assert len(set(alone)) > len(pairs)


def test_a_translation_that_does_not_end_is_none(model_folder, pairs):
    english, hindi = pairs[0]
    assert seq2seq(model_folder).translate([english]) == [hindi]
    assert seq2seq(model_folder, max_new_tokens=4).translate([english]) == [""]
    assert seq2seq(model_folder, max_source_tokens=2).translate([english]) == [""]


def test_a_cut_translation_is_not_hidden_by_a_forced_end(model_folder, pairs, tmp_path):
    """As opus-mt and mBART are published."""
    for path in model_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    settings["forced_eos_token_id"] = settings["eos_token_id"]
    (tmp_path / "generation_config.json").write_text(json.dumps(settings))
    assert seq2seq(tmp_path, max_new_tokens=4).translate([pairs[0][0]]) == [""]
    assert seq2seq(tmp_path).translate([pairs[0][0]]) == [pairs[0][1]]


def test_seq2seq_translations_are_cached_by_weights_and_decoding(model_folder, pairs, cache, tmp_path):
    texts = [english for english, _ in pairs]
    first = translate_texts(texts, "en", "hi", seq2seq(model_folder, batch_size=2), cache)
    assert first == dict(pairs)
    again = seq2seq(model_folder, batch_size=5)
    assert translate_texts(texts, "en", "hi", again, cache) == first
    assert again._loaded is None, "the model was loaded for nothing"
    assert again.settings == seq2seq(model_folder).settings
    assert again.settings != seq2seq(model_folder, num_beams=2).settings
    assert again.settings != seq2seq(model_folder, prefix=">>hin<< ").settings
    for path in model_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + "\n")
    assert again.settings != seq2seq(tmp_path).settings


def test_a_prefix_and_a_language_token_reach_the_model(model_folder, pairs, monkeypatch):
    translator = seq2seq(model_folder, prefix="hin: ", target_code="।")
    tokenizer, model, first = translator._load()
    assert tokenizer.convert_ids_to_tokens(first) == "।"
    seen = {}
    generate = model.generate

    def spy(**arguments):
        seen.update(arguments)
        return generate(**arguments)

    monkeypatch.setattr(model, "generate", spy)
    translator.translate(["Nepal"])
    assert tokenizer.decode(seen["input_ids"][0]).startswith("hin: ")
    assert seen["forced_bos_token_id"] == first


def test_an_unknown_language_token_is_an_error(model_folder):
    with pytest.raises(TranslationError, match="no token 'hin_Deva' for target_code"):
        seq2seq(model_folder, target_code="hin_Deva").translate(["Nepal"])


def test_a_model_that_is_not_there_is_named(tmp_path):
    translator = Seq2SeqTranslator(Seq2SeqConfig(model="nobody/nothing"))
    with pytest.raises(TranslationError, match=re.escape("nobody/nothing cannot be looked up")):
        _ = translator.settings
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TranslationError, match="cannot be loaded"):
        seq2seq(tmp_path).translate(["Nepal"])


def test_a_pinned_model_asks_nobody_for_its_commit():
    translator = Seq2SeqTranslator(Seq2SeqConfig(model="nobody/nothing", revision="a" * 40))
    assert translator.settings[0] == "a" * 40
    assert translator.name == "nobody/nothing"
