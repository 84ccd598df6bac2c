# SPDX-License-Identifier: Apache-2.0
"""Aligned documents of the user's own."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.seeding import parquet, seed, wiki_translate_rows
from xlt_hf.sources.collect import collect
from xlt_hf.sources.files import DocumentColumns, FilesConfig, UserFiles
from xlt_hf.sources.hub_files import SourceError

EN_HI = ("en", "hi")
COLUMNS = DocumentColumns(
    source_text="text.en", target_text="text.hi", doc_id="key", title="name", target_title="names.hi"
)


@pytest.fixture(scope="module")
def rows():
    return [
        {
            "key": i,
            "name": row["title"].replace(" ", "_"),
            "text": {"en": row["eng_Latn"], "hi": row["hin_Deva"]},
            "names": {"hi": f"शीर्षक {i}"},
        }
        for i, row in enumerate(wiki_translate_rows(6))
    ]


def lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def test_parquet_and_json_lines_give_the_same_documents(api, tmp_path, rows):
    (tmp_path / "a.parquet").write_bytes(parquet(rows[:3]))
    (tmp_path / "b.jsonl").write_bytes(lines(rows[3:]))
    config = FilesConfig(files=(f"{tmp_path}/*.parquet", f"{tmp_path}/*.jsonl"), columns=COLUMNS)
    source = UserFiles(config, EN_HI, api)
    assert source.refs() == []
    assert source.shards() == [f"{tmp_path}/a.parquet", f"{tmp_path}/b.jsonl"]
    collected = collect(source, EN_HI, tmp_path / "c", max_rejected=0, max_document_bytes=1 << 20)
    documents = list(collected.table)
    assert [d.doc_id for d in documents] == [str(i) for i in range(6)]
    assert [d.title for d in documents] == [row["name"].replace("_", " ") for row in rows]
    assert [d.text for d in documents] == [row["text"] for row in rows]
    assert [d.titles["hi"] for d in documents] == [row["names"]["hi"] for row in rows]
    assert {d.url for d in documents} == {""}


def test_a_hub_dataset_of_the_users_own(api, rows):
    commit = seed(api, "xlt-hf/own", {"x/a.jsonl": lines(rows), "x/b.parquet": parquet(rows)}, private=True)
    config = FilesConfig(files=("x/*.jsonl",), columns=COLUMNS, repo_id="xlt-hf/own")
    source = UserFiles(config, EN_HI, api)
    assert [ref.revision for ref in source.refs()] == [commit]
    assert source.content_key() == ""
    assert [row["doc_id"] for row in source.read("x/a.jsonl")] == list(range(6))
    assert source.size().documents is None
    assert source.size().download_bytes == len(lines(rows))
    by_column = UserFiles(FilesConfig(("x/b.parquet",), COLUMNS, "xlt-hf/own", commit), EN_HI, api)
    assert by_column.size().documents == 6


def test_the_content_decides_the_key(api, tmp_path, rows):
    def key():
        return UserFiles(FilesConfig((f"{tmp_path}/*.jsonl",), COLUMNS), EN_HI, api).content_key()

    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    first = key()
    assert first == key() != ""
    (tmp_path / "a.jsonl").write_bytes(lines(rows[:-1]))
    assert key() != first


def test_bad_lines_are_counted_not_raised(api, tmp_path, rows):
    good = lines(rows)
    bad = [
        b'{"key": 7, "name": "Cut", "text": {"en": "x"',
        b"[1, 2]",
        b'{"key": 8, "name": "Latin 1", "text": {"en": "caf\xe9", "hi": "x"}}',
        b'{"key": 9, "name": "Number", "text": {"en": 5, "hi": "x"}}',
        b'{"key": 10, "name": "Half", "text": {"en": "x"}}',
        b'{"key": 11, "name": "No text", "text": "x"}',
        b'{"key": 12, "name": "Surrogate", "text": {"en": "\\ud800", "hi": "x"}}',
        b'{"key": 0, "name": "Twice", "text": {"en": "x", "hi": "x"}}',
    ]
    (tmp_path / "a.jsonl").write_bytes(good + b"\n".join(bad))
    source = UserFiles(FilesConfig((f"{tmp_path}/a.jsonl",), COLUMNS), EN_HI, api)
    collected = collect(source, EN_HI, tmp_path / "c", max_rejected=0.9, max_document_bytes=1 << 20)
    assert len(collected.table) == 6
    assert collected.rejected == {
        "wrong_type": 3,
        "not_utf8": 2,
        "empty_source_text": 1,
        "empty_target_text": 1,
        "duplicate_id": 1,
    }


def test_a_wrong_column_names_the_nearest(api, tmp_path, rows):
    (tmp_path / "a.parquet").write_bytes(parquet(rows))
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    for name in ("a.parquet", "a.jsonl"):
        columns = DocumentColumns("text.en", "text.hin", "key", "name")
        source = UserFiles(FilesConfig((f"{tmp_path}/{name}",), columns), EN_HI, api)
        with pytest.raises(SourceError, match=rf"no column 'text\.hin' in .*{name}.*Did you mean 'text\.hi'"):
            list(source.read(source.shards()[0]))


def test_the_settings_are_strict():
    adapter = TypeAdapter(FilesConfig)
    config = adapter.validate_json('{"files": ["a/*.jsonl"], "columns": {"title": "name"}}')
    assert config.files == ("a/*.jsonl",)
    assert config.columns.title == "name"
    for wrong in (
        '{"files": []}',
        '{"files": ["a"], "colums": {}}',
        '{"files": ["a"], "columns": {"title": 3}}',
        "{}",
    ):
        with pytest.raises(ValidationError):
            adapter.validate_json(wrong)
