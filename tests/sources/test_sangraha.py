# SPDX-License-Identifier: Apache-2.0
"""Sangraha's Hindi joined with Wikipedia's English: by id, by title, with native Hindi, and what each join loses."""

import json
import random

import pytest

from tests.seeding import (
    parquet,
    seed_sangraha_sample,
    seed_wiki_translate_sample,
    seed_wikipedia_sample,
    wiki_translate_rows,
)
from xlt_hf.sources.collect import collect
from xlt_hf.sources.hub_files import SourceError
from xlt_hf.sources.sangraha import Sangraha, SangrahaConfig
from xlt_hf.sources.schema import DOCUMENT_COLUMNS
from xlt_hf.sources.titles import TitleTableConfig

EN_HI = ("en", "hi")


@pytest.fixture(scope="module")
def rows():
    """Real articles: 40 on both sides, 4 in English only, 4 in Hindi only; ids and titles."""
    return wiki_translate_rows()


@pytest.fixture(scope="module")
def english(rows):
    return [
        {"id": row["doc_id"], "url": row["url"], "title": row["title"], "text": f"Native: {row['eng_Latn']}"}
        for row in rows[:44]
    ]


@pytest.fixture(scope="module")
def commits(api, rows, english):
    hindi = [{"doc_id": row["doc_id"], "text": row["hin_Deva"]} for row in [*rows[:40], *rows[44:]]]
    random.Random(0).shuffle(hindi)  # in another order than the English
    hindi.append({"doc_id": "not-a-number", "text": "x"})
    hindi.append({"doc_id": rows[0]["doc_id"], "text": "दूसरी बार"})
    seed_wikipedia_sample(api, [*english, english[1]], files=3)
    return seed_wikipedia_sample(api, native_rows(rows), language="hi", files=1), seed_sangraha_sample(
        api, hindi
    )


def native_rows(rows):
    return [
        {"id": str(i), "url": f"u{i}", "title": f"शीर्षक {i}", "text": f"मूल: {row['hin_Deva']}"}
        for i, row in enumerate(rows[:20])
    ]


def read_all(source):
    return [row for shard in source.shards() for row in source.read(shard)]


def test_joined_by_id(api, rows, english, commits, tmp_path):
    source = Sangraha(SangrahaConfig(), EN_HI, api)
    assert [(ref.repo_id, ref.revision) for ref in source.refs()] == [
        ("wikimedia/wikipedia", commits[0]),
        ("ai4bharat/sangraha", commits[1]),
    ]
    assert source.content_key() == ""
    assert source.shards() == [f"20231101.en/train-0000{i}-of-00003.parquet" for i in range(3)]
    assert source.size().documents == 45
    read = read_all(source)
    assert [row["title"] for row in read] == [row["title"] for row in english[:40]]
    for row, raw, native in zip(read, rows, english, strict=False):
        assert set(row) == set(DOCUMENT_COLUMNS)
        assert row["doc_id"] == raw["doc_id"].encode()
        assert row["url"] == raw["url"].encode()
        assert row["source_text"].decode() == native["text"]
        assert row["target_text"].decode() in (raw["hin_Deva"], "दूसरी बार")
    losses = source.losses()
    assert losses == {
        "source_rows": 45,
        "target_rows": 46,
        "joined": 40,
        "source_key_invalid": 0,
        "source_duplicate": 1,
        "source_without_target": 4,
        "target_key_invalid": 1,
        "target_not_in_titles": 0,
        "target_duplicate": 1,
        "target_without_source": 4,
    }
    collected = collect(source, EN_HI, tmp_path / "c", max_rejected=0, max_document_bytes=1 << 20)
    assert len(collected.table) == 40


def test_the_first_of_several_rows_counts_on_either_side(api, rows):
    twice = [
        {"id": row["doc_id"], "url": row["url"], "title": f"{row['title']} {n}", "text": f"text {n}"}
        for row in rows[:20]
        for n in range(2)
    ]
    seed_wikipedia_sample(api, twice, files=1, repo_id="xlt-hf/wikipedia-twice")
    thrice = [{"doc_id": row["doc_id"], "text": f"पाठ {n}"} for n in range(3) for row in rows[:20]]
    seed_sangraha_sample(api, thrice, repo_id="xlt-hf/sangraha-thrice")
    config = SangrahaConfig(repo_id="xlt-hf/sangraha-thrice", wikipedia_repo_id="xlt-hf/wikipedia-twice")
    source = Sangraha(config, EN_HI, api)
    assert [row["title"] for row in read_all(source)] == [f"{row['title']} 0" for row in rows[:20]]
    assert {row["target_text"].decode() for row in read_all(source)} == {"पाठ 0"}
    assert (source.losses()["source_duplicate"], source.losses()["target_duplicate"]) == (20, 40)


def test_losses_come_from_the_keys_alone(api, commits, traffic):
    source = Sangraha(SangrahaConfig(), EN_HI, api)
    whole = source.size().download_bytes
    traffic.clear()
    source.losses()
    keys_only = traffic.sent("/resolve/")
    traffic.clear()
    read_all(source)
    assert traffic.sent("/resolve/") > whole
    # These files are so small that a footer read of 64 KiB covers much of them.
    assert keys_only < traffic.sent("/resolve/") / 2


def test_joined_by_title_through_a_table(api, rows, english, commits):
    # doc_ids of another numbering, which only wiki-translate knows.
    renumbered = [{**row, "doc_id": f"doc-{i}"} for i, row in enumerate(rows)]
    seed_wiki_translate_sample(api, renumbered[:30], repo_id="xlt-hf/titles-of-sangraha")
    hindi = [{"doc_id": row["doc_id"], "text": row["hin_Deva"]} for row in renumbered]
    seed_sangraha_sample(api, hindi, repo_id="xlt-hf/sangraha-by-title")
    titles = TitleTableConfig(("train/*.parquet",), "doc_id", repo_id="xlt-hf/titles-of-sangraha")
    config = SangrahaConfig(repo_id="xlt-hf/sangraha-by-title", join="title", titles=titles)
    source = Sangraha(config, EN_HI, api)
    assert "xlt-hf/titles-of-sangraha" in [ref.repo_id for ref in source.refs()]
    read = read_all(source)
    assert [row["title"] for row in read] == [row["title"] for row in rows[:30]]
    assert [row["target_text"].decode() for row in read] == [row["hin_Deva"] for row in rows[:30]]
    assert read[0]["source_text"].decode() == english[0]["text"]
    losses = source.losses()
    assert (losses["joined"], losses["target_not_in_titles"], losses["source_without_target"]) == (30, 18, 14)


def test_without_a_key_in_common_the_error_says_so(api, commits, rows):
    seed_sangraha_sample(
        api, [{"doc_id": f"d{i}", "text": "x"} for i in range(4)], repo_id="xlt-hf/sangraha-no-key"
    )
    with pytest.raises(
        SourceError,
        match="No row of dataset xlt-hf/sangraha-no-key .* joins .* by id: .*4 target_key_invalid.*join: title",
    ):
        Sangraha(SangrahaConfig(repo_id="xlt-hf/sangraha-no-key"), EN_HI, api).losses()


def test_native_texts_need_a_table_of_titles(api, rows, commits, tmp_path):
    with pytest.raises(
        SourceError, match=r"Wikipedia in 'hi' says nowhere .*documents\.sangraha\.titles.*site links"
    ):
        Sangraha(SangrahaConfig(target="native"), EN_HI, api)
    table = tmp_path / "sitelinks.jsonl"
    table.write_text(
        "".join(json.dumps({"hi": f"शीर्षक_{i}", "en": rows[i]["title"]}) + "\n" for i in range(15))
    )
    titles = TitleTableConfig((str(table),), key="hi", title="en")
    source = Sangraha(SangrahaConfig(target="native", titles=titles), EN_HI, api)
    assert [ref.repo_id for ref in source.refs()] == ["wikimedia/wikipedia"]
    assert source.content_key() != ""
    read = read_all(source)
    assert [row["title"] for row in read] == [row["title"] for row in rows[:15]]
    assert [row["target_title"] for row in read] == [f"शीर्षक {i}" for i in range(15)]
    assert [row["target_text"].decode() for row in read] == [f"मूल: {row['hin_Deva']}" for row in rows[:15]]
    losses = source.losses()
    assert (losses["joined"], losses["target_rows"], losses["target_not_in_titles"]) == (15, 20, 5)


def test_sorted_texts_are_kept_and_made_again_if_they_are_not_whole(api, commits, traffic, tmp_path):
    expected = read_all(Sangraha(SangrahaConfig(), EN_HI, api, tmp_path / "s"))
    traffic.clear()
    assert read_all(Sangraha(SangrahaConfig(), EN_HI, api, tmp_path / "s")) == expected
    assert not traffic.count("/resolve/.*sangraha|sangraha/resolve/")
    (tmp_path / "s" / "done.json").unlink()  # as after a kill
    (tmp_path / "s" / "00000.arrow").write_bytes(b"half a file")
    assert read_all(Sangraha(SangrahaConfig(), EN_HI, api, tmp_path / "s")) == expected


def test_text_that_is_not_there_is_the_collectors(api, commits, rows, tmp_path):
    from tests.seeding import seed

    hindi = [{"doc_id": rows[0]["doc_id"], "text": None}, {"doc_id": rows[1]["doc_id"], "text": "पाठ"}]
    seed(
        api,
        "xlt-hf/sangraha-empty",
        {"synthetic/hin_Deva/wiki_hin_Deva_0000_of_0000.parquet": parquet(hindi)},
    )
    source = Sangraha(SangrahaConfig(repo_id="xlt-hf/sangraha-empty"), EN_HI, api)
    collected = collect(source, EN_HI, tmp_path / "c", max_rejected=0.5, max_document_bytes=1 << 20)
    assert (len(collected.table), collected.rejected) == (1, {"empty_target_text": 1})
    with pytest.raises(
        SourceError, match=r"No file of dataset xlt-hf/sangraha-empty .*synthetic/fra_Latn|synthetic/fre_Latn"
    ):
        Sangraha(SangrahaConfig(repo_id="xlt-hf/sangraha-empty"), ("en", "fr"), api).losses()
