# SPDX-License-Identifier: Apache-2.0
"""Natural Questions from wide parquet rows of the real schema, of which six columns are read."""

import pytest

from tests.seeding import (
    NATURAL_QUESTIONS_SCHEMA,
    natural_question,
    nq_open_rows,
    parquet,
    seed,
    seed_natural_questions_sample,
)
from xlt_hf.sources import natural_questions
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.natural_questions import NaturalQuestionsConfig

EN_HI = ("en", "hi")
CONFIG = NaturalQuestionsConfig()


def real_rows(n: int, html_bytes: int = 20_000):
    """Real questions and answers; NQ-open does not say from which page, so pages are made up."""
    return [
        natural_question(
            str(-(10**18) - i),
            f"Page_{i}",
            row["question"],
            [[answer] for answer in row["answer"]],
            html_bytes=html_bytes,
        )
        for i, row in enumerate(nq_open_rows()[:n])
    ]


def test_real_questions(api):
    rows = real_rows(200)
    commit = seed_natural_questions_sample(api, rows)
    batch = natural_questions.read(CONFIG, EN_HI, api)
    assert [(ref.repo_id, ref.revision) for ref in batch.refs] == [
        ("google-research-datasets/natural_questions", commit)
    ]
    assert batch.dropped == {}
    assert [q.id for q in batch.questions] == [row["id"] for row in rows]
    for question, row, original in zip(batch.questions, rows, nq_open_rows(), strict=False):
        assert question.title == row["document"]["title"].replace("_", " ")
        assert question.url == row["document"]["url"]
        assert question.question == {"en": original["question"], "hi": None}
        assert question.answer == {"en": list(dict.fromkeys(original["answer"])), "hi": []}
        assert question.context == {"en": None, "hi": None}
        assert (question.hi_source, question.split) == ("", "")


def test_pages_are_not_downloaded(api, traffic):
    rows = real_rows(120, html_bytes=60_000)
    seed_natural_questions_sample(api, rows, repo_id="xlt-hf/nq-wide", row_group_size=50)
    config = NaturalQuestionsConfig(repo_id="xlt-hf/nq-wide")
    traffic.clear()
    assert len(natural_questions.read(config, EN_HI, api).questions) == 120
    assert traffic.sent("/resolve/") < 0.05 * 120 * 60_000
    traffic.clear()
    assert len(natural_questions.read(config, EN_HI, api, max_questions=10).questions) == 10
    assert not traffic.count("validation")


@pytest.mark.parametrize(
    "short_answers, expected",
    [
        ([["a"]], ["a"]),
        ([["x"], ["b"], ["b"], [], ["a"]], ["b", "x", "a"]),
        ([["x", "x", "x"], ["b"], ["b"]], ["b", "x"]),  # an annotator has one vote for a text
        ([["one", "two"], ["two"]], ["two", "one"]),
        ([[" a "], ["a"], [""]], ["a"]),
    ],
)
def test_answers_in_the_order_of_votes(api, short_answers, expected):
    row = natural_question("1", "T", "q", short_answers, yes_no=[1] + [-1] * (len(short_answers) - 1))
    seed(api, "xlt-hf/nq-votes", {"default/train-0.parquet": parquet([row], NATURAL_QUESTIONS_SCHEMA)})
    config = NaturalQuestionsConfig(repo_id="xlt-hf/nq-votes", files=("default/train-0.parquet",))
    assert [q.answer["en"] for q in natural_questions.read(config, EN_HI, api).questions] == [expected]


BAD = {
    "no_id": natural_question(None, "T", "q", [["a"]]),
    "no_title": natural_question("3", " ", "q", [["a"]]),
    "no_question": natural_question("4", "T", None, [["a"]]),
    "no_answer": natural_question("5", "T", "q", [[], []]),
    "yes_no_answer": natural_question("6", "T", "q", [[], []], yes_no=[-1, 0]),
    "duplicate_id": natural_question("1", "T", "q", [["a"]]),
}


def test_rows_that_give_no_question_are_counted(api):
    good = natural_question("1", "Chandragupta_Maurya", "q", [["a"]])
    no_annotation = natural_question("7", "T", "q", [])
    no_struct = {**natural_question("8", "T", "q", [["a"]]), "annotations": None}
    no_page = {**natural_question("9", "T", "q", [["a"]]), "document": None}
    no_address = natural_question("10", "No_address", "q", [["a"]], url=None)
    rows = [good, no_address, *BAD.values(), no_annotation, no_struct, no_page]
    seed(api, "xlt-hf/nq-bad", {"default/train-0.parquet": parquet(rows, NATURAL_QUESTIONS_SCHEMA)})
    config = NaturalQuestionsConfig(repo_id="xlt-hf/nq-bad", files=("default/*.parquet",))
    batch = natural_questions.read(config, EN_HI, api)
    assert [q.title for q in batch.questions] == ["Chandragupta Maurya", "No address"]
    assert batch.questions[1].url == "https://en.wikipedia.org/wiki/No_address"
    assert batch.dropped == {**dict.fromkeys(BAD, 1), "no_answer": 3, "no_title": 2}


def test_lists_of_structs_are_the_same_questions(api):
    # `datasets` writes a sequence of structs as a struct of lists; newer writers may not.
    row = {
        "id": 5,
        "document": {"title": "T", "url": "u"},
        "question": {"text": "q"},
        "annotations": [
            {"short_answers": [{"text": "a"}], "yes_no_answer": -1},
            {"short_answers": [{"text": "b"}, {"text": "a"}], "yes_no_answer": -1},
        ],
    }
    seed(api, "xlt-hf/nq-structs", {"default/train-0.parquet": parquet([row])})
    config = NaturalQuestionsConfig(repo_id="xlt-hf/nq-structs", files=("default/*.parquet",))
    question = natural_questions.read(config, EN_HI, api).questions[0]
    assert (question.id, question.answer["en"]) == ("5", ["a", "b"])


def test_a_dataset_without_the_columns(api):
    seed(
        api,
        "xlt-hf/nq-flat",
        {"default/train-0.parquet": parquet([{"id": "1", "question": "q", "title": "T"}])},
    )
    config = NaturalQuestionsConfig(repo_id="xlt-hf/nq-flat", files=("default/*.parquet",))
    with pytest.raises(
        SourceError,
        match=r"no column 'document\.title' in default/train-0\.parquet of dataset xlt-hf/nq-flat at revision main",
    ):
        natural_questions.read(config, EN_HI, api)
