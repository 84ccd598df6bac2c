# SPDX-License-Identifier: Apache-2.0
"""Train questions of SQuAD in English, test questions of XQuAD in both languages."""

import pytest

from tests.seeding import SQUAD_SCHEMA, SQUAD_TRAIN, parquet, seed, seed_squad_sample, seed_xquad
from xlt_hf.sources import squad
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.squad import SquadConfig

EN_HI = ("en", "hi")


@pytest.fixture(scope="module")
def commits(api):
    return seed_xquad(api), seed_squad_sample(api)


def test_train_and_test(api, commits):
    batch = squad.read(SquadConfig(), EN_HI, api)
    by_split = {split: [q for q in batch.questions if q.split == split] for split in ("train", "test")}
    assert {split: len(questions) for split, questions in by_split.items()} == {"train": 2, "test": 1190}
    assert batch.dropped == {}
    assert [(ref.repo_id, ref.revision) for ref in batch.refs] == [
        ("google/xquad", commits[0]),
        ("rajpurkar/squad", commits[1]),
    ]
    assert all(q.hi_source == "human" and q.answer["hi"][0] in q.context["hi"] for q in by_split["test"])
    first, second = by_split["train"]
    assert first.title == "Test Valley"
    assert first.question == {"en": "Where does the Test Valley lie?", "hi": None}
    assert first.answer == {"en": ["Hampshire"], "hi": []}
    assert first.context == {"en": SQUAD_TRAIN[0]["context"], "hi": None}
    assert first.hi_source == ""
    assert second.answer["en"] == ["1974"]


def row(**changes):
    return {**SQUAD_TRAIN[0], **changes}


BAD = {
    "no_id": row(id=""),
    "no_title": row(id="b1", title=" "),
    "no_context": row(id="b2", context=None),
    "no_question": row(id="b3", question=""),
    "no_answer": row(id="b4", answers=None),
    "answer_not_in_context": row(id="b5", answers={"text": ["Paris"], "answer_start": [0]}),
    "duplicate_id": SQUAD_TRAIN[0],
}


def test_bad_rows_are_dropped_by_reason(api, commits):
    several = row(
        id="several", answers={"text": ["Paris", " Hampshire", "Hampshire"], "answer_start": [0, 23, 24]}
    )
    seed(
        api,
        "xlt-hf/squad-bad",
        {"plain_text/train-0.parquet": parquet([SQUAD_TRAIN[0], *BAD.values(), several], SQUAD_SCHEMA)},
    )
    batch = squad.read(SquadConfig(repo_id="xlt-hf/squad-bad"), EN_HI, api)
    assert batch.dropped == dict.fromkeys(BAD, 1)
    assert [q.id for q in batch.questions if q.split == "train"] == ["train-0", "several"]
    assert batch.questions[-1].answer["en"] == ["Hampshire"]


def test_as_many_train_questions_as_asked_for(api, commits):
    batch = squad.read(SquadConfig(), EN_HI, api, max_questions=1)
    assert sum(q.split == "train" for q in batch.questions) == 1


def test_a_missing_column(api, commits):
    seed(api, "xlt-hf/squad-old", {"plain_text/train-0.parquet": parquet([{"id": "1", "heading": "T"}])})
    with pytest.raises(
        SourceError, match=r"no column 'title' in plain_text/train-0\.parquet of dataset xlt-hf/squad-old"
    ):
        squad.read(SquadConfig(repo_id="xlt-hf/squad-old"), EN_HI, api)
