# SPDX-License-Identifier: Apache-2.0
"""XQuAD from a Hub dataset of its real rows: 48 documents, 240 paragraphs, 1190 questions."""

import shutil

import pytest

from tests.seeding import (
    SQUAD_SCHEMA,
    XQUAD_SCHEMA,
    parquet,
    seed,
    seed_squad_sample,
    seed_xquad,
    shared,
    xquad_articles,
    xquad_rows,
)
from xlt_hf.sources import xquad
from xlt_hf.sources.collect import collect
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.schema import DOCUMENT_COLUMNS
from xlt_hf.sources.xquad import Xquad, XquadConfig

EN_HI = ("en", "hi")


@pytest.fixture(scope="module")
def commits(api):
    return seed_xquad(api), seed_squad_sample(api)


def test_a_document_is_an_article(api, commits, tmp_path):
    source = Xquad(XquadConfig(), EN_HI, api)
    assert [(ref.repo_id, ref.revision) for ref in source.refs()] == [
        ("google/xquad", commits[0]),
        ("rajpurkar/squad", commits[1]),
    ]
    assert source.content_key() == ""
    assert source.size().documents == 48
    rows = list(source.read(source.shards()[0]))
    assert all(set(row) == set(DOCUMENT_COLUMNS) for row in rows)
    assert sum(row["source_text"].count("\n") + 1 for row in rows) == 240
    for language, key in (("en", "source_text"), ("hi", "target_text")):
        articles = xquad_articles(language)
        assert [row["title"] for row in rows] == [a["title"].replace("_", " ") for a in articles]
        for row, article in zip(rows, articles, strict=True):
            contexts = [" ".join(p["context"].splitlines()) for p in article["paragraphs"]]
            assert row[key].split("\n") == contexts
    assert rows[0]["url"] == "https://en.wikipedia.org/wiki/Super_Bowl_50"
    collected = collect(source, EN_HI, tmp_path / "c", max_rejected=0, max_document_bytes=1 << 20)
    assert len(collected.table) == 48


def test_all_questions_come_out_with_their_spans(api, commits):
    batch = xquad.read(XquadConfig(), EN_HI, api)
    assert len(batch.questions) == 1190
    assert batch.dropped == {}
    assert {ref.repo_id for ref in batch.refs} == {"google/xquad", "rajpurkar/squad"}
    originals = {language: {row["id"]: row for row in xquad_rows(language)} for language in EN_HI}
    for question in batch.questions:
        assert question.hi_source == "human"
        assert question.split == ""
        for language in EN_HI:
            original = originals[language][question.id]
            assert question.title == original["title"].replace("_", " ")
            assert question.context[language] == original["context"]
            assert question.question[language] == original["question"].strip()
            assert question.answer[language] == [original["answers"]["text"][0].strip()]
            assert question.answer[language][0] in question.context[language]


def test_as_many_questions_as_asked_for(api, commits):
    assert len(xquad.read(XquadConfig(), EN_HI, api, 7).questions) == 7


def test_titles_from_a_file(api, commits, tmp_path):
    # Far from SQuAD: neither the dataset nor its id is needed.
    nowhere = {"titles_repo_id": "xlt-hf/no-squad"}
    original = shared("xquad", "xquad.en.json")
    source = Xquad(XquadConfig(titles_file=str(original), **nowhere), EN_HI, api)
    assert [ref.repo_id for ref in source.refs()] == ["google/xquad"]
    assert source.content_key() != ""
    assert len(list(source.read("xquad"))) == 48

    seed(api, "xlt-hf/titles", {"x/xquad.en.json": original.read_bytes()})
    source = Xquad(XquadConfig(titles_file="xlt-hf/titles:x/xquad.en.json", **nowhere), EN_HI, api)
    assert [ref.repo_id for ref in source.refs()] == ["google/xquad", "xlt-hf/titles"]
    assert source.content_key() == ""
    assert len(source.questions().questions) == 1190

    table = tmp_path / "titles.parquet"
    table.write_bytes(parquet([{"id": row["id"], "title": row["title"]} for row in xquad_rows("en")]))
    assert (
        len(Xquad(XquadConfig(titles_file=str(table), **nowhere), EN_HI, api).questions().questions) == 1190
    )


def test_without_titles_the_error_says_what_to_give(api, commits, tmp_path):
    seed(
        api,
        "xlt-hf/other-squad",
        {"plain_text/validation-0.parquet": parquet(xquad_rows("en")[:3], SQUAD_SCHEMA)},
    )
    with pytest.raises(
        SourceError,
        match=r"1,187 of 1,190 questions of dataset google/xquad .* no title in plain_text/.*xlt-hf/other-squad"
        r".*xquad\.en\.json.*titles_file",
    ):
        xquad.read(XquadConfig(titles_repo_id="xlt-hf/other-squad"), EN_HI, api)
    with pytest.raises(SourceError, match="no dataset xlt-hf/no-squad"):
        xquad.read(XquadConfig(titles_repo_id="xlt-hf/no-squad"), EN_HI, api)
    with pytest.raises(SourceError, match=r"No file matches .*gone\.json"):
        xquad.read(XquadConfig(titles_file=str(tmp_path / "gone.json")), EN_HI, api)
    for content in ('{"data": [{}]}', "not json"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(SourceError, match=r"bad\.json of this machine is not JSON of the form of SQuAD"):
            xquad.read(XquadConfig(titles_file=str(tmp_path / "bad.json")), EN_HI, api)


def test_the_titles_files_content_decides_the_key(api, commits, tmp_path):
    def key():
        return Xquad(XquadConfig(titles_file=str(tmp_path / "t.json")), EN_HI, api).content_key()

    shutil.copy(shared("xquad", "xquad.en.json"), tmp_path / "t.json")
    first = key()
    (tmp_path / "t.json").write_text((tmp_path / "t.json").read_text() + " ")
    assert key() != first


def test_other_languages_of_the_dataset(api, commits):
    with pytest.raises(
        SourceError, match=r"No file of dataset google/xquad .* matches 'xquad\.ro/.*xquad\.en, xquad\.hi"
    ):
        xquad.read(XquadConfig(), ("en", "ro"), api)


def test_bad_rows_are_dropped_by_reason(api, commits):
    repo_id = "xlt-hf/xquad-bad"
    sides = {
        language: [{k: v for k, v in r.items() if k != "title"} for r in xquad_rows(language)[:9]]
        for language in EN_HI
    }
    answers = sides["en"][0]["answers"]
    english, hindi = sides["en"], sides["hi"]
    hindi[0] = {**hindi[0], "context": None}  # the paragraph's first row
    hindi[1] = {**hindi[1], "question": "  "}
    hindi[2] = {**hindi[2], "answers": {"text": [], "answer_start": []}}
    hindi[3] = {**hindi[3], "answers": {"text": ["कहीं नहीं"], "answer_start": [0]}}
    hindi[4] = {**hindi[4], "answers": {**hindi[4]["answers"], "answer_start": [3]}}  # stands elsewhere: kept
    del hindi[5]  # English only
    english.append({"id": None, "context": "c", "question": "q", "answers": answers})
    english.append(english[6])  # twice
    english.append({"id": "unknown-to-squad", "context": "c", "question": "q", "answers": answers})
    files = {
        f"xquad.{language}/validation-00000-of-00001.parquet": parquet(rows, XQUAD_SCHEMA)
        for language, rows in sides.items()
    }
    seed(api, repo_id, files)
    source = Xquad(XquadConfig(repo_id=repo_id), EN_HI, api)
    batch = source.questions()
    assert batch.dropped == {
        "no_id": 1,
        "no_title": 1,
        "no_question": 1,
        "no_answer": 1,
        "no_context": 1,
        "answer_not_in_context": 1,
        "other_language_missing": 1,
        "duplicate_id": 1,
    }
    kept = [row["id"] for row in xquad_rows("en")[:9]]
    assert [q.id for q in batch.questions] == [kept[4], *kept[6:9]]
    # The paragraph has a Hindi side by its other rows, so the document has it too.
    rows = list(source.read("xquad"))
    assert rows[0]["target_text"].split("\n")[0] == xquad_rows("hi")[0]["context"]


def test_a_paragraph_without_one_counterpart_leaves_both_languages(api, commits, caplog):
    repo_id = "xlt-hf/xquad-cut"
    files = {}
    for language in EN_HI:
        rows = [{k: v for k, v in row.items() if k != "title"} for row in xquad_rows(language)]
        if language == "hi":
            rows[1]["context"] = rows[1]["context"][:100]  # cut differently
        files[f"xquad.{language}/validation-0.parquet"] = parquet(rows, XQUAD_SCHEMA)
    seed(api, repo_id, files)
    rows = list(Xquad(XquadConfig(repo_id=repo_id), EN_HI, api).read("xquad"))
    assert len(rows) == 48
    for key, language in (("source_text", "en"), ("target_text", "hi")):
        assert (
            rows[0][key].split("\n") == [p["context"] for p in xquad_articles(language)[0]["paragraphs"]][1:]
        )
    assert "1 of 240 paragraphs of dataset xlt-hf/xquad-cut" in caplog.text
