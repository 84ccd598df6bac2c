# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpora.builder import LANGUAGES, corpora, documents, question, word_counts
from xlt_hf.corpora.build import PageNotFound, build_corpora
from xlt_hf.corpora.partition import check_invariants
from xlt_hf.errors import UserError
from xlt_hf.questions.build import draw_questions
from xlt_hf.sources.schema import Document, Question, QuestionBatch
from xlt_hf.sources.table import DocumentTable
from xlt_hf.study import SimilarityConfig, SplitsConfig, load_study


def test_validation_documents_are_in_no_corpus_and_no_page_is_lost():
    made = corpora()
    assert len(made.validation) == 2
    assert sorted([*made.kept, *made.validation]) == list(range(len(made.documents)))
    assert not set(made.validation) & set(range(10)), "neither about nor near a question"
    counts = made.counts(LANGUAGES)
    assert counts["documents"] == 58
    tokens = [counts["filters"][f"filter-{k}"]["hi"]["tokens"] for k in range(5)]
    assert max(tokens) - min(tokens) <= max(0.001 * max(tokens), word_counts(made.documents)["hi"].max())


def test_the_audit_searches_titles_and_answers_of_the_test_questions():
    made = corpora()
    assert {row["question_id"] for row in made.audit_rows} == {"q-0", "q-2"}
    at_0 = next(row for row in made.audit_rows if row["question_id"] == "q-0" and row["filter"] == 0)
    kept = [made.documents[int(row)].text["hi"] for row in made.kept[made.partition.target_mask(0)]]
    assert at_0["answer_docs"] == sum("नदी" in text.split() for text in kept)


def test_questions_of_other_documents_are_named():
    table = documents(30)
    rows = {"test": [question(99, [])], "train": [question(1, [])], "control": [question(2, [])]}
    with pytest.raises(PageNotFound, match=r"1 pages of the test questions .* 30 documents.*Page 99"):
        build_corpora(table, rows, word_counts(table), LANGUAGES, validation_documents=0, seed=0)


WORDS = st.sampled_from(["river", "king", "stone", "seven", "lamp"])


@st.composite
def adversarial(draw):
    """Document sets that a real source could hold, and studies that ask too much of them."""
    n = draw(st.integers(3, 24))
    kind = draw(st.sampled_from(["mixed", "near-duplicates", "short target"]))
    pages = []
    for i in range(n):
        if kind == "near-duplicates":
            english, hindi = "river king stone", "नदी राजा पत्थर"
        else:
            english = " ".join(draw(st.lists(WORDS, min_size=1, max_size=8)))
            hindi = "नदी " * (1 if kind == "short target" else draw(st.integers(1, 30)))
        pages.append(
            Document(
                f"d-{i}", f"Page {i}", "", {"en": english, "hi": hindi.strip()}, {"en": f"Page {i}", "hi": ""}
            )
        )
    asked = draw(st.lists(st.integers(0, n + 1), min_size=1, max_size=2 * n))
    questions = [
        Question(
            id=f"q-{i}",
            title=f"Page {page}",
            url="",
            relation="",
            context={"en": None, "hi": None},
            question={"en": f"what is {i}?", "hi": f"{i} क्या है?"},
            answer={"en": ["river"], "hi": ["नदी"]},
            negatives={"en": ["a", "b", "c"], "hi": ["क", "ख", "ग"]},
            nearest_pages=[],
            hi_source="human",
        )
        for i, page in enumerate(asked)
    ]
    study = dataclasses.replace(
        load_study("almanac"),
        splits=SplitsConfig(
            unit=draw(st.sampled_from(["pages", "questions"])),
            test=draw(st.integers(1, 3)),
            train=draw(st.integers(1, 3)),
            control=draw(st.integers(1, 3)),
        ),
        similarity=SimilarityConfig(top_k=draw(st.sampled_from([1, 2, 5, 100]))),
    )
    return DocumentTable.from_documents(pages, ("en", "hi")), questions, study, draw(st.integers(0, 2))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(adversarial())
def test_whatever_the_documents_the_invariants_hold_or_the_numbers_say_why_not(case):
    table, questions, study, validation = case
    tokens = word_counts(table)
    refusal = ""
    try:
        built = draw_questions(table, QuestionBatch(questions), study)
        rows = {split: [dataclasses.asdict(q) for q in chosen] for split, chosen in built.splits.items()}
        made = build_corpora(table, rows, tokens, LANGUAGES, validation_documents=validation, seed=0)
    except UserError as error:
        refusal = str(error)
    if refusal:
        assert any(character.isdigit() for character in refusal), "a refusal has the numbers"
        return
    control = np.zeros(len(made.kept), bool)
    control[np.isin(made.kept, table.rows_of([q["title"] for q in rows["control"]]))] = True
    check_invariants(made.partition, made.tokens["hi"], control)
    gone = made.kept[made.partition.level > 0]
    assert set(table.rows_of([q["title"] for q in rows["test"]])) <= set(gone.tolist())
    held = {name: {q["title"] for q in chosen} for name, chosen in rows.items()}
    assert not held["test"] & held["train"]
    assert not (held["test"] | held["train"]) & held["control"]
