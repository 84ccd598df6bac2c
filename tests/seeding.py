# SPDX-License-Identifier: Apache-2.0
"""Put datasets on a test's Hub under the ids, with the columns and in the layout that they have on the real one.

Texts come from `../shared/data` (XQuAD, NQ-open) where they can, and from a test's own rows elsewhere. Call
`own_namespaces` once for each Hub.
"""

import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import hub_server  # noqa: F401  # sets the environment before huggingface_hub is imported

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
NAMESPACES = ("google", "google-research-datasets", "rajpurkar", "ai4bharat", "wikimedia", "Thanmay")

XQUAD = "google/xquad"
SQUAD = "rajpurkar/squad"
NQ_OPEN = "google-research-datasets/nq_open"
NATURAL_QUESTIONS = "google-research-datasets/natural_questions"
WIKI_TRANSLATE = "ai4bharat/wiki-translate"
SANGRAHA = "ai4bharat/sangraha"
WIKIPEDIA = "wikimedia/wikipedia"

_ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
XQUAD_SCHEMA = pa.schema(
    [("id", pa.string()), ("context", pa.string()), ("question", pa.string()), ("answers", _ANSWERS)]
)
SQUAD_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "title", "context", "question")] + [("answers", _ANSWERS)]
)
NQ_OPEN_SCHEMA = pa.schema([("question", pa.string()), ("answer", pa.list_(pa.string()))])


def _tokens(*names: str, kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.list_(kind)) for name in names]


_SPAN = ("start_byte", "end_byte", "start_token", "end_token")
NATURAL_QUESTIONS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        (
            "document",
            pa.struct(
                [
                    ("html", pa.string()),
                    ("title", pa.string()),
                    (
                        "tokens",
                        pa.struct(
                            [
                                *_tokens("token", kind=pa.string()),
                                *_tokens("is_html", kind=pa.bool_()),
                                *_tokens("start_byte", "end_byte", kind=pa.int64()),
                            ]
                        ),
                    ),
                    ("url", pa.string()),
                ]
            ),
        ),
        ("question", pa.struct([("text", pa.string()), ("tokens", pa.list_(pa.string()))])),
        (
            "annotations",
            pa.struct(
                [
                    ("id", pa.list_(pa.string())),
                    ("long_answer", pa.list_(pa.struct([(name, pa.int64()) for name in _SPAN]))),
                    (
                        "short_answers",
                        pa.list_(
                            pa.struct([*_tokens(*_SPAN, kind=pa.int64()), *_tokens("text", kind=pa.string())])
                        ),
                    ),
                    ("yes_no_answer", pa.list_(pa.int64())),
                ]
            ),
        ),
    ]
)
WIKI_TRANSLATE_LANGUAGES = (
    *("eng_Latn", "asm_Beng", "ben_Beng", "guj_Gujr", "hin_Deva", "kan_Knda", "mar_Deva"),
    *("npi_Deva", "ory_Orya", "pan_Guru", "san_Deva", "tam_Taml", "tel_Telu", "urd_Arab"),
)


def own_namespaces(root: Path, user: str = "xlt-hf") -> None:
    """Make the owners of the datasets, as organisations that a user may write to.

    Args:
        root: data folder of the Hub, running or not.
    """
    from xlt_hf.localhub.accounts import add_account, add_member, find_account
    from xlt_hf.localhub.hub import Hub

    hub = Hub(root)
    with hub.db.write() as db:
        for name in NAMESPACES:
            if find_account(db, name) is None:
                add_account(db, name, "org")
            add_member(db, name, user)
    hub.close()


def shared(*parts: str) -> Path:
    """A file of `../shared/data`; the test is skipped where that folder is not."""
    path = SHARED_DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here: it lies beside the project, not in it")
    return path


def xquad_articles(language: str) -> list[dict[str, Any]]:
    """Articles of XQuAD's original JSON."""
    return json.loads(shared("xquad", f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]


def xquad_rows(language: str) -> list[dict[str, Any]]:
    """Questions of XQuAD in one language as flat rows: id, title, context, question, answers."""
    return [
        {
            "id": qa["id"],
            "title": article["title"],
            "context": paragraph["context"],
            "question": qa["question"],
            "answers": {key: [answer[key] for answer in qa["answers"]] for key in ("text", "answer_start")},
        }
        for article in xquad_articles(language)
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def parquet(
    rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema | None = None, **settings: Any
) -> bytes:
    """Rows as the bytes of a parquet file."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, **settings)
    return sink.getvalue()


def seed(api: "HfApi", repo_id: str, files: Mapping[str, bytes], private: bool = False) -> str:
    """Make a dataset, if there is none, and commit files to it; returns the commit's id."""
    from huggingface_hub import CommitOperationAdd

    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo_id, operations, commit_message="seed", repo_type="dataset").oid


def seed_xquad(
    api: "HfApi", languages: Sequence[str] = ("en", "hi"), private: bool = False, repo_id: str = XQUAD
) -> str:
    """`google/xquad`, whole."""
    files = {}
    for language in languages:
        rows = [{k: v for k, v in row.items() if k != "title"} for row in xquad_rows(language)]
        files[f"xquad.{language}/validation-00000-of-00001.parquet"] = parquet(rows, XQUAD_SCHEMA)
    return seed(api, repo_id, files, private)


SQUAD_TRAIN = (
    {
        "id": "train-0",
        "title": "Test_Valley",
        "context": "The Test Valley lies in Hampshire. It was formed in 1974.",
        "question": "Where does the Test Valley lie? ",
        "answers": {"text": ["Hampshire"], "answer_start": [24]},
    },
    {
        "id": "train-1",
        "title": "Test_Valley",
        "context": "The Test Valley lies in Hampshire. It was formed in 1974.",
        "question": "When was the Test Valley formed?",
        "answers": {"text": ["1974"], "answer_start": [0]},  # a wrong start; the answer stands elsewhere
    },
)


def seed_squad_sample(
    api: "HfApi",
    train: Sequence[Mapping[str, Any]] = SQUAD_TRAIN,
    private: bool = False,
    repo_id: str = SQUAD,
) -> str:
    """`rajpurkar/squad`: the rows of its development set that are in XQuAD, and a train set of the test's."""
    return seed(
        api,
        repo_id,
        {
            "plain_text/train-00000-of-00001.parquet": parquet(train, SQUAD_SCHEMA),
            "plain_text/validation-00000-of-00001.parquet": parquet(xquad_rows("en"), SQUAD_SCHEMA),
        },
        private,
    )


def nq_open_rows(name: str = "NQ-open.dev.jsonl") -> list[dict[str, Any]]:
    """Rows of a NQ-open file."""
    return [json.loads(line) for line in shared("nq_open", name).read_text(encoding="utf-8").splitlines()]


def seed_nq_open(api: "HfApi", private: bool = False, repo_id: str = NQ_OPEN) -> str:
    """`google-research-datasets/nq_open`: its validation set, and as train the EfficientQA questions."""
    train = nq_open_rows("NQ-open.efficientqa.dev.1.1.jsonl")
    return seed(
        api,
        repo_id,
        {
            "nq_open/train-00000-of-00001.parquet": parquet(train, NQ_OPEN_SCHEMA),
            "nq_open/validation-00000-of-00001.parquet": parquet(nq_open_rows(), NQ_OPEN_SCHEMA),
        },
        private,
    )


def natural_question(
    question_id: str | None,
    title: str | None,
    question: str | None,
    short_answers: Sequence[Sequence[str]],
    yes_no: Sequence[int] | None = None,
    url: str | None = "",
    html_bytes: int = 20_000,
) -> dict[str, Any]:
    """A row of Natural Questions with everything that such a row has.

    Args:
        short_answers: texts of each annotator.
        yes_no: -1, 0 (no) or 1 (yes) for each annotator; -1 if not given.
        html_bytes: size of the page, which nobody should download.
    """
    rng = random.Random(str(question_id))
    html = rng.randbytes(html_bytes // 2).hex()
    words = [html[i : i + 8] for i in range(0, 800, 8)]
    n = len(short_answers)
    return {
        "id": question_id,
        "document": {
            "html": html,
            "title": title,
            "tokens": {
                "token": words,
                "is_html": [False] * len(words),
                "start_byte": list(range(len(words))),
                "end_byte": list(range(len(words))),
            },
            "url": f"https://en.wikipedia.org//w/index.php?title={title}&oldid=1" if url == "" else url,
        },
        "question": {"text": question, "tokens": (question or "").split()},
        "annotations": {
            "id": [str(i) for i in range(n)],
            "long_answer": [dict.fromkeys(_SPAN, -1)] * n,
            "short_answers": [
                {**{name: [i for i, _ in enumerate(texts)] for name in _SPAN}, "text": list(texts)}
                for texts in short_answers
            ],
            "yes_no_answer": list(yes_no) if yes_no is not None else [-1] * n,
        },
    }


def seed_natural_questions_sample(
    api: "HfApi",
    rows: Sequence[Mapping[str, Any]],
    private: bool = False,
    repo_id: str = NATURAL_QUESTIONS,
    row_group_size: int = 100,
) -> str:
    """`google-research-datasets/natural_questions`: rows of `natural_question`, the last tenth as validation."""
    held = max(1, len(rows) // 10)
    parts = {"train": rows[:-held], "validation": rows[-held:]}
    files = {
        f"default/{split}-00000-of-00001.parquet": parquet(
            part, NATURAL_QUESTIONS_SCHEMA, row_group_size=row_group_size
        )
        for split, part in parts.items()
    }
    return seed(api, repo_id, files, private)


def wiki_translate_rows(limit: int | None = None) -> list[dict[str, Any]]:
    """XQuAD's articles as rows of wiki-translate: doc_id, title, url, eng_Latn, hin_Deva."""
    rows = []
    for number, (english, hindi) in enumerate(zip(xquad_articles("en"), xquad_articles("hi"), strict=True)):
        texts = ["\n".join(p["context"] for p in article["paragraphs"]) for article in (english, hindi)]
        rows.append(
            {
                "doc_id": str(1000 + number),
                "title": english["title"].replace("_", " "),
                "url": f"https://en.wikipedia.org/wiki/{english['title']}",
                "eng_Latn": texts[0],
                "hin_Deva": texts[1],
            }
        )
    return rows[:limit]


def seed_wiki_translate_sample(
    api: "HfApi",
    rows: Sequence[Mapping[str, Any]],
    files: int = 2,
    other_bytes: int = 4_000,
    private: bool = False,
    repo_id: str = WIKI_TRANSLATE,
    **settings: Any,
) -> str:
    """`ai4bharat/wiki-translate`: rows with the columns of all its languages, in several files.

    Args:
        other_bytes: incompressible text in each column that a row does not give.
    """
    rng = random.Random(0)
    whole = [
        {
            **{name: rng.randbytes(other_bytes // 2).hex() for name in WIKI_TRANSLATE_LANGUAGES},
            **dict.fromkeys(("doc_id", "title", "url")),
            **row,
        }
        for row in rows
    ]
    names = ("doc_id", "title", "url", *WIKI_TRANSLATE_LANGUAGES)
    schema = pa.schema([(name, pa.string()) for name in names])
    size = -(-len(whole) // files)
    return seed(
        api,
        repo_id,
        {
            f"train/wiki_train_{i:04d}_of_{files - 1:04d}.parquet": parquet(
                whole[i * size : (i + 1) * size], schema, **settings
            )
            for i in range(files)
        },
        private,
    )


def seed_sangraha_sample(
    api: "HfApi",
    rows: Sequence[Mapping[str, Any]],
    code: str = "hin_Deva",
    files: int = 2,
    private: bool = False,
    repo_id: str = SANGRAHA,
) -> str:
    """`ai4bharat/sangraha`: rows of doc_id and text of one synthetic language."""
    schema = pa.schema([("doc_id", pa.string()), ("text", pa.string())])
    size = -(-len(rows) // files)
    return seed(
        api,
        repo_id,
        {
            f"synthetic/{code}/wiki_{code}_{i:04d}_of_{files - 1:04d}.parquet": parquet(
                rows[i * size : (i + 1) * size], schema
            )
            for i in range(files)
        },
        private,
    )


def seed_wikipedia_sample(
    api: "HfApi",
    rows: Sequence[Mapping[str, Any]],
    language: str = "en",
    files: int = 2,
    private: bool = False,
    repo_id: str = WIKIPEDIA,
) -> str:
    """`wikimedia/wikipedia`: rows of id, url, title and text of one language's dump."""
    schema = pa.schema([(name, pa.string()) for name in ("id", "url", "title", "text")])
    size = -(-len(rows) // files)
    return seed(
        api,
        repo_id,
        {
            f"20231101.{language}/train-{i:05d}-of-{files:05d}.parquet": parquet(
                rows[i * size : (i + 1) * size], schema
            )
            for i in range(files)
        },
        private,
    )
