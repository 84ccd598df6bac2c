# SPDX-License-Identifier: Apache-2.0
"""NQ-open's real questions, their pages from a table."""

import hashlib
import json

import pytest

from tests.seeding import (
    NQ_OPEN_SCHEMA,
    natural_question,
    nq_open_rows,
    parquet,
    seed,
    seed_natural_questions_sample,
    seed_nq_open,
)
from xlt_hf.sources import nq_open
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.nq_open import NqOpenConfig
from xlt_hf.sources.titles import TitleTableConfig

EN_HI = ("en", "hi")


@pytest.fixture(scope="module")
def commit(api):
    return seed_nq_open(api)


def local_table(path, rows) -> TitleTableConfig:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TitleTableConfig(files=(str(path),), key="question", url="url")


def test_every_question_with_a_table_for_all(api, commit, tmp_path):
    originals = nq_open_rows("NQ-open.efficientqa.dev.1.1.jsonl") + nq_open_rows()
    assert len(originals) == 5410
    table = local_table(
        tmp_path / "t.jsonl",
        [
            {"question": row["question"], "title": f"Page_{i}", "url": f"u{i}"}
            for i, row in enumerate(originals)
        ],
    )
    batch = nq_open.read(NqOpenConfig(titles=table), EN_HI, api)
    assert [(ref.repo_id, ref.revision) for ref in batch.refs] == [
        ("google-research-datasets/nq_open", commit)
    ]
    distinct = {row["question"]: i for i, row in reversed(list(enumerate(originals)))}
    assert len(batch.questions) == len(distinct)
    assert sum(batch.dropped.values()) == len(originals) - len(distinct)
    for question in batch.questions:
        i = distinct[question.question["en"]]
        assert question.id == hashlib.sha256(originals[i]["question"].encode()).hexdigest()[:16]
        assert question.answer["en"] == list(dict.fromkeys(a.strip() for a in originals[i]["answer"]))
        assert (question.title, question.url) == (f"Page {i}", f"u{i}")
        assert (question.question["hi"], question.answer["hi"], question.hi_source) == (None, [], "")


def test_pages_come_from_natural_questions_by_default(api, commit):
    originals = nq_open_rows()
    rows = [
        natural_question(str(i), f"Page_{i}", row["question"].capitalize() + "?", [["x"]], html_bytes=200)
        for i, row in enumerate(originals[:50])
    ]
    repo_id = "xlt-hf/nq-pages"
    nq_commit = seed_natural_questions_sample(api, rows, repo_id=repo_id)
    default = NqOpenConfig().titles
    assert default.repo_id == "google-research-datasets/natural_questions"
    table = TitleTableConfig(default.files, default.key, default.title, default.url, repo_id)
    batch = nq_open.read(NqOpenConfig(titles=table), EN_HI, api)
    assert (repo_id, nq_commit) in [(ref.repo_id, ref.revision) for ref in batch.refs]
    assert [q.title for q in batch.questions] == [f"Page {i}" for i in range(50)]
    assert batch.dropped["no_title"] == 5410 - 50


def test_malformed_rows_and_tables(api, tmp_path):
    rows = [
        {"question": "who is it", "answer": ["A", "A ", ""]},
        {"question": None, "answer": ["A"]},
        {"question": "who else", "answer": []},
        {"question": "what", "answer": None},
        {"question": "nobody knows where", "answer": ["A"]},
        {"question": " who is it", "answer": ["B"]},
    ]
    seed(api, "xlt-hf/nq-open-bad", {"nq_open/train-0.parquet": parquet(rows, NQ_OPEN_SCHEMA)})
    table = local_table(
        tmp_path / "t.jsonl",
        [
            {"question": ["list"], "title": "X", "url": None},
            {"question": "Who is it?", "title": "First", "url": None},
            {"question": "who is it", "title": "Second", "url": None},
            {"question": "who else", "title": "", "url": None},
        ],
    )
    config = NqOpenConfig(repo_id="xlt-hf/nq-open-bad", files=("nq_open/*.parquet",), titles=table)
    batch = nq_open.read(config, EN_HI, api)
    assert [(q.title, q.url, q.answer["en"]) for q in batch.questions] == [
        ("First", "https://en.wikipedia.org/wiki/First", ["A"])
    ]
    assert batch.dropped == {"no_question": 1, "no_answer": 2, "no_title": 1, "duplicate_id": 1}


def test_a_table_that_is_not_there(api, commit, tmp_path):
    with pytest.raises(SourceError, match=r"No file matches .*gone\.jsonl"):
        nq_open.read(
            NqOpenConfig(titles=TitleTableConfig((str(tmp_path / "gone.jsonl"),), "question")), EN_HI, api
        )
    table = local_table(tmp_path / "t.jsonl", [{"query": "q", "title": "T", "url": "u"}])
    with pytest.raises(SourceError, match="no column 'question'"):
        nq_open.read(NqOpenConfig(titles=table), EN_HI, api)
