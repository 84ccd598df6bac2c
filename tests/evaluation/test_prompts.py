# SPDX-License-Identifier: Apache-2.0
import pytest

from xlt_hf.evaluation.prompts import (
    LETTERS,
    PromptError,
    closed_book,
    evaluation_examples,
    in_context,
    multiple_choice,
    render,
    training_examples,
)
from xlt_hf.study import Languages

LANGUAGES = Languages(source="en", target="hi")


def question(number: int = 0, **changes):
    row = {
        "id": f"q{number}",
        "title": f"Page {number}",
        "relation": "capital",
        "question": {"en": f"Capital of {number}?", "hi": f"{number} की राजधानी?"},
        "answer": {"en": ["Kathmandu"], "hi": ["काठमांडू", "काठमाण्डु"]},
        "negatives": {"en": ["Delhi", "Tokyo", "Paris"], "hi": ["दिल्ली", "टोक्यो", "पेरिस"]},
        "context": {"en": f"Passage {number}.", "hi": f"गद्यांश {number}।"},
    }
    return {**row, **changes}


def test_closed_book_shows_the_question_alone_and_teaches_the_first_gold():
    example = closed_book(question(), "hi")
    assert example.prompt == "0 की राजधानी?"
    assert example.completion == "काठमांडू"
    assert example.golds == ("काठमांडू", "काठमाण्डु")


def test_four_rotations_put_the_gold_at_every_letter_once_and_keep_the_cycle():
    turns = [multiple_choice(question(7), "en", rotation) for rotation in range(4)]
    assert sorted(t.completion for t in turns) == list(LETTERS)
    doubled = turns[0].options * 2
    for turn in turns:
        assert any(doubled[i : i + 4] == turn.options for i in range(4)), "a rotation, not a new order"
        assert turn.options[LETTERS.index(turn.completion)] == "Kathmandu"
        assert turn.prompt.split("\n")[1 + LETTERS.index(turn.completion)] == f"{turn.completion}. Kathmandu"


def test_the_options_stand_in_the_same_order_in_both_languages():
    pairs = dict(
        zip(["Kathmandu", "Delhi", "Tokyo", "Paris"], ["काठमांडू", "दिल्ली", "टोक्यो", "पेरिस"], strict=True)
    )
    for number in range(20):
        en, hi = (multiple_choice(question(number), language, 1) for language in ("en", "hi"))
        assert [pairs[o] for o in en.options] == list(hi.options)


def test_gold_letters_of_many_questions_are_spread():
    letters = [multiple_choice(question(n), "en").completion for n in range(400)]
    assert all(60 < letters.count(letter) < 140 for letter in LETTERS)


def test_training_letters_are_spread_too_so_that_no_letter_is_taught():
    examples = training_examples("multiple_choice", [question(n) for n in range(200)], LANGUAGES)
    assert len(examples) == 400
    letters = [e.completion for e in examples]
    assert all(60 < letters.count(letter) < 140 for letter in LETTERS)


def test_contexts_are_the_passages_that_they_say():
    other = question(9)
    texts = {
        c: in_context(question(), "hi", c, LANGUAGES, shuffled=other).prompt
        for c in ("source", "native", "none", "shuffled")
    }
    assert texts == {
        "source": "Passage 0.\n0 की राजधानी?",
        "native": "गद्यांश 0।\n0 की राजधानी?",
        "none": "0 की राजधानी?",
        "shuffled": "गद्यांश 9।\n0 की राजधानी?",
    }


def test_in_context_training_shows_target_questions_with_both_passages():
    examples = training_examples("in_context", [question()], LANGUAGES)
    assert [(e.language, e.context) for e in examples] == [
        ("en", "native"),
        ("hi", "source"),
        ("hi", "native"),
    ]


def test_shuffled_evaluation_never_gives_a_question_its_own_passage():
    questions = [question(n) for n in range(7)]
    for example, q in zip(
        evaluation_examples("in_context", questions, "en", LANGUAGES, "shuffled"), questions, strict=True
    ):
        assert q["context"]["en"] not in example.prompt


def test_a_question_without_what_its_task_needs_is_named():
    with pytest.raises(PromptError, match="q0 has 2 negatives"):
        multiple_choice(question(negatives={"en": ["a", "b"], "hi": []}), "en")
    with pytest.raises(PromptError, match="q0 has no answer in 'hi'"):
        closed_book(question(answer={"en": ["x"], "hi": []}), "hi")
    with pytest.raises(PromptError, match="q0 has no native context for 'hi'"):
        in_context(question(context={"en": None, "hi": None}), "hi", "native", LANGUAGES)


def test_rendered_prompt_ends_where_the_finetuned_answer_begins(tokenizer):
    row = closed_book(question(), "hi").messages()
    whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
    prompt = render(tokenizer, row["prompt"][0]["content"])
    assert whole == prompt + " काठमांडू" + tokenizer.eos_token
