# SPDX-License-Identifier: Apache-2.0
"""wiki-translate from a Hub dataset of its real columns and layout."""

import pytest

from tests.seeding import seed_wiki_translate_sample, wiki_translate_rows
from xlt_hf.sources.collect import check_row, collect
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.schema import DOCUMENT_COLUMNS
from xlt_hf.sources.wiki_translate import WikiTranslate, WikiTranslateConfig

EN_HI = ("en", "hi")


@pytest.fixture(scope="module")
def rows():
    return wiki_translate_rows()


@pytest.fixture(scope="module")
def commit(api, rows):
    return seed_wiki_translate_sample(api, rows, files=3, other_bytes=60_000)


def test_rows_as_they_stand(api, rows, commit):
    source = WikiTranslate(WikiTranslateConfig(), EN_HI, api)
    assert [(ref.repo_id, ref.revision) for ref in source.refs()] == [("ai4bharat/wiki-translate", commit)]
    assert source.content_key() == ""
    shards = source.shards()
    assert shards == [f"train/wiki_train_000{i}_of_0002.parquet" for i in range(3)]
    read = [row for shard in shards for row in source.read(shard)]
    assert len(read) == len(rows) == 48
    assert all(set(row) == set(DOCUMENT_COLUMNS) for row in read)
    for row, raw in zip(read, rows, strict=True):
        assert row["title"] == raw["title"]
        assert (row["doc_id"], row["url"]) == (raw["doc_id"].encode(), raw["url"].encode())
        assert row["source_text"].decode() == raw["eng_Latn"]
        assert row["target_text"].decode() == raw["hin_Deva"]


def test_the_other_languages_are_not_downloaded(api, rows, traffic, commit):
    source = WikiTranslate(WikiTranslateConfig(), EN_HI, api)
    size = source.size()
    assert size.documents == 48
    text = sum(len(row["eng_Latn"].encode()) + len(row["hin_Deva"].encode()) for row in rows)
    assert size.download_bytes < text * 1.1
    traffic.clear()
    for shard in source.shards():
        list(source.read(shard))
    # A footer read holds the end of the last pages too: 64 KiB for each file.
    assert size.download_bytes < traffic.sent("/resolve/") < size.download_bytes + 3 * (65536 + 8192 * 6)
    assert traffic.sent("/resolve/") < 12 * 48 * 60_000 / 10  # the twelve others


def test_languages_in_either_direction_and_others(api, commit):
    source = WikiTranslate(WikiTranslateConfig(), ("hi", "en"), api)
    row = next(source.read(source.shards()[0]))
    assert row["source_text"].decode().startswith("पैंथर्स")
    assert row["target_text"].decode().startswith("The Panthers")
    nepali = WikiTranslate(WikiTranslateConfig(), ("en", "ne"), api)
    assert len(next(nepali.read(nepali.shards()[0]))["target_text"]) == 60_000
    chosen = WikiTranslate(WikiTranslateConfig(columns={"hi": "mar_Deva"}), EN_HI, api)
    assert len(next(chosen.read(chosen.shards()[0]))["target_text"]) == 60_000


def test_a_language_or_a_column_that_is_not_there(api, commit):
    with pytest.raises(
        SourceError, match=r"No column of train/.* holds the language 'fr'.*hin_Deva.*columns\.fr"
    ):
        WikiTranslate(WikiTranslateConfig(), ("en", "fr"), api).shards()
    with pytest.raises(SourceError, match=r"no column 'hin_Dev'.*Did you mean 'hin_Deva'"):
        WikiTranslate(WikiTranslateConfig(columns={"hi": "hin_Dev"}), EN_HI, api).shards()
    with pytest.raises(
        SourceError, match="No file of dataset ai4bharat/wiki-translate .*matches 'data/.*train"
    ):
        WikiTranslate(WikiTranslateConfig(files="data/*.parquet"), EN_HI, api).shards()
    with pytest.raises(SourceError, match="no revision 'v2' of dataset ai4bharat/wiki-translate"):
        WikiTranslate(WikiTranslateConfig(revision="v2"), EN_HI, api).refs()


def test_a_commit_in_between_is_not_read(api, rows):
    repo_id = "xlt-hf/wiki-moving"
    first = seed_wiki_translate_sample(api, rows[:4], repo_id=repo_id)
    source = WikiTranslate(WikiTranslateConfig(repo_id=repo_id), EN_HI, api)
    assert source.refs()[0].revision == first
    seed_wiki_translate_sample(api, [{**row, "eng_Latn": "vandalised"} for row in rows], repo_id=repo_id)
    read = [row for shard in source.shards() for row in source.read(shard)]
    assert [row["source_text"].decode() for row in read] == [row["eng_Latn"] for row in rows[:4]]


def test_bad_rows_are_the_collectors(api, rows, tmp_path):
    bad = [
        {**rows[0], "doc_id": "empty", "title": "E", "hin_Deva": " \n"},
        {**rows[0], "doc_id": "none", "title": "N", "eng_Latn": None},
        {**rows[0], "doc_id": None, "title": "I"},
        {**rows[0], "doc_id": "untitled", "title": ""},
        {**rows[1], "title": "Another"},
        {**rows[1], "doc_id": "again"},
        {**rows[0], "doc_id": "long", "title": "L", "eng_Latn": "x" * 2_000_000},
    ]
    repo_id = "xlt-hf/wiki-bad"
    seed_wiki_translate_sample(api, [*rows[:10], *bad], repo_id=repo_id, private=True)
    source = WikiTranslate(WikiTranslateConfig(repo_id=repo_id), EN_HI, api)
    collected = collect(source, EN_HI, tmp_path / "c", max_rejected=0.5, max_document_bytes=1_000_000)
    assert len(collected.table) == 10
    assert collected.rejected == {
        "no_id": 1,
        "no_title": 1,
        "empty_source_text": 1,
        "empty_target_text": 1,
        "too_long": 1,
        "duplicate_id": 1,
        "duplicate_title": 1,
    }
    good = next(source.read(source.shards()[0]))
    assert check_row(good, 1_000_000)[1] == ""
