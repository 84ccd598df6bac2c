# SPDX-License-Identifier: Apache-2.0
"""Published bilingual datasets, nested as the paper's Table 5 or flat."""

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from tests.seeding import parquet, seed, xquad_rows
from xlt_hf.sources import published
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.published import PublishedConfig

EN_HI = ("en", "hi")
REPO = "Thanmay/natq-hi"
FILES = {"train": "data/train-*.parquet", "test": "data/validation-*.parquet"}
PERSEPHONE = {
    "id": "-2543388002166163252",
    "title": "Persephone",
    "url": "https://en.wikipedia.org/w/index.php?title=Persephone",
    "context": {"en": None, "hi": None},
    "question": {
        "en": "In greek mythology who was the goddess of spring growth?",
        "hi": "यूनानी पौराणिक कथाओं में वसंत के विकास की देवी कौन थी?",
    },
    "answer": {"en": "Persephone", "hi": ["पर्सेफोन"]},
    "negatives": {"en": ["Demeter", "Hestia", "Aphrodite"], "hi": ["डीमीटर", "हेस्टिया", "एफ्रोडाइट"]},
    "nearest_pages": ["Persephone", "Demeter"],
}
PAIR = {language: pa.string() for language in EN_HI}
SCHEMA = pa.schema(
    {
        **dict.fromkeys(("id", "title", "url"), pa.string()),
        "context": pa.struct(PAIR.items()),
        "question": pa.struct(PAIR.items()),
        "answer": pa.struct([("en", pa.string()), ("hi", pa.list_(pa.string()))]),
        "negatives": pa.struct([(language, pa.list_(pa.string())) for language in EN_HI]),
        "nearest_pages": pa.list_(pa.string()),
    }.items()
)


def test_the_papers_own_row(api):
    other = {**PERSEPHONE, "id": "2", "title": "Rosalia_(festival)"}
    files = {
        "data/train-00000-of-00001.parquet": parquet([PERSEPHONE], SCHEMA),
        "data/validation-00000-of-00001.parquet": parquet([other], SCHEMA),
    }
    commit = seed(api, REPO, files)
    batch = published.read(PublishedConfig(REPO, FILES), EN_HI, api)
    assert [(ref.repo_id, ref.revision) for ref in batch.refs] == [(REPO, commit)]
    first, second = batch.questions
    assert (first.split, second.split, second.title) == ("train", "test", "Rosalia (festival)")
    assert first.id == PERSEPHONE["id"]
    assert first.url == PERSEPHONE["url"]
    assert first.question == PERSEPHONE["question"]
    assert first.answer == {"en": ["Persephone"], "hi": ["पर्सेफोन"]}
    assert first.negatives == PERSEPHONE["negatives"]
    assert first.context == {"en": None, "hi": None}
    assert first.hi_source == "dataset:Thanmay/natq-hi"
    assert first.nearest_pages == []  # of another D: the study's own are computed


def test_a_flat_dataset_with_a_mapping(api):
    rows = [
        {
            "qid": english["id"],
            "page": english["title"],
            "passage_en": english["context"],
            "question_en": english["question"],
            "question_hi": hindi["question"],
            "gold_en": english["answers"]["text"],
            "gold_hi": hindi["answers"]["text"][0],
            "made_by": "human",
        }
        for english, hindi in zip(xquad_rows("en")[:20], xquad_rows("hi")[:20], strict=True)
    ]
    seed(api, "xlt-hf/flat", {"all.parquet": parquet(rows)})
    columns = {
        "id": "qid",
        "title": "page",
        "context.en": "passage_en",
        "question.en": "question_en",
        "question.hi": "question_hi",
        "answer.en": "gold_en",
        "answer.hi": "gold_hi",
        "hi_source": "made_by",
    }
    batch = published.read(
        PublishedConfig("xlt-hf/flat", {"any": "all.parquet"}, columns=columns), EN_HI, api
    )
    assert batch.dropped == {}
    assert len(batch.questions) == 20
    for question, row in zip(batch.questions, rows, strict=True):
        assert question.split == ""
        assert question.hi_source == "human"
        assert question.context == {"en": row["passage_en"], "hi": None}
        assert question.answer == {"en": row["gold_en"], "hi": [row["gold_hi"]]}
        assert question.negatives == {"en": [], "hi": []}
    assert batch.questions[0].url == "https://en.wikipedia.org/wiki/Super_Bowl_50"


def test_rows_that_are_not_whole(api):
    def row(**changes):
        return {**PERSEPHONE, **changes}

    rows = [
        row(id="untranslated", question={"en": "q", "hi": None}, answer={"en": "a", "hi": []}),
        row(id="half", answer={"en": "a", "hi": None}),
        row(id=None),
        row(id="1", title=None),
        row(id="2", question={"en": " ", "hi": "x"}),
        row(id="3", answer={"en": None, "hi": ["x"]}),
        row(id="4", question=None),
        row(id="half"),
    ]
    seed(api, "xlt-hf/published-bad", {"a.parquet": parquet(rows, SCHEMA)})
    batch = published.read(PublishedConfig("xlt-hf/published-bad", {"test": "a.parquet"}), EN_HI, api)
    assert batch.dropped == {"no_id": 1, "no_title": 1, "no_question": 2, "no_answer": 1, "duplicate_id": 1}
    untranslated, half = batch.questions
    assert (untranslated.hi_source, untranslated.question["hi"], untranslated.answer["hi"]) == ("", None, [])
    assert (half.hi_source, half.answer["hi"]) == ("dataset:xlt-hf/published-bad", [])
    assert half.question["hi"] == PERSEPHONE["question"]["hi"]


def test_columns_that_are_not_there(api):
    seed(
        api,
        "xlt-hf/no-hindi",
        {"a.parquet": parquet([{"id": "1", "title": "T", "question": {"en": "q"}, "answer": {"en": "a"}}])},
    )
    files = {"any": "a.parquet"}
    with pytest.raises(
        SourceError,
        match=r"no column 'question\.hi' in a\.parquet of dataset xlt-hf/no-hindi at revision main",
    ):
        published.read(PublishedConfig("xlt-hf/no-hindi", files), EN_HI, api)
    for columns, name in (({"quesiton.hi": "x"}, "question.hi"), ({"answer.fr": "x"}, "answer.")):
        with pytest.raises(SourceError, match=f"Did you mean '{name}"):
            published.read(PublishedConfig("xlt-hf/no-hindi", files, columns=columns), EN_HI, api)
    with pytest.raises(SourceError, match="no column 'link'"):  # a column that is named must be there
        published.read(PublishedConfig("xlt-hf/no-hindi", files, columns={"url": "link"}), EN_HI, api)


def test_the_settings_are_strict():
    adapter = TypeAdapter(PublishedConfig)
    assert adapter.validate_json('{"repo_id": "a/b", "files": {"any": "x"}}').revision == "main"
    for wrong in (
        '{"repo_id": "a/b"}',
        '{"repo_id": "a/b", "files": {}}',
        '{"repo_id": "a/b", "files": {"dev": "x"}}',
    ):
        with pytest.raises(ValidationError):
            adapter.validate_json(wrong)
