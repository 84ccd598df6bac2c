# SPDX-License-Identifier: Apache-2.0
"""Reading by column: only the bytes asked for, nested columns, values that no decoder minds, damaged files."""

import gzip
import json
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.seeding import parquet, seed
from xlt_hf.sources.columns import column_names, estimate_size, pick, read_rows
from xlt_hf.sources.hub_files import FileEntry, HubFiles, LocalFiles, SourceError


def local(path) -> tuple[LocalFiles, str]:
    return LocalFiles(), str(path)


@pytest.mark.parametrize("row_group_size", [1000, 300])
def test_only_the_columns_asked_for_are_downloaded(api, traffic, row_group_size):
    rng = random.Random(1)
    rows = [
        {
            "wide": rng.randbytes(2000).hex(),
            "id": f"{i:08d}",
            "text": rng.randbytes(100).hex(),
            "far": rng.randbytes(2000).hex(),
        }
        for i in range(1000)
    ]
    repo_id = f"xlt-hf/wide-{row_group_size}"
    data = parquet(rows, row_group_size=row_group_size)
    seed(api, repo_id, {"0.parquet": data})
    store = HubFiles(api, repo_id, "main")
    size = estimate_size(store, store.matching(["*.parquet"]), {"id": "id", "text": "text"})
    assert size.documents == 1000
    assert size.download_bytes is not None
    traffic.clear()
    read = list(read_rows(store, "0.parquet", {"id": "id", "text": "text"}))
    assert [row["id"].decode() for row in read] == [row["id"] for row in rows]
    assert [row["text"].decode() for row in read] == [row["text"] for row in rows]
    sent = traffic.sent(r"/resolve/")
    assert (
        size.download_bytes < sent < size.download_bytes + 2 * 65536 + 8192 * 8
    )  # footer; gaps worth bridging
    assert sent < len(data) / 10


def test_rows_come_before_the_file_has_been_read(api, traffic):
    rng = random.Random(2)
    rows = [{"text": rng.randbytes(1000).hex()} for _ in range(2000)]
    data = parquet(rows, row_group_size=200)
    seed(api, "xlt-hf/streamed", {"0.parquet": data})
    store = HubFiles(api, "xlt-hf/streamed", "main")
    traffic.clear()
    reader = read_rows(store, "0.parquet", {"text": "text"})
    assert next(reader)["text"].decode() == rows[0]["text"]
    assert traffic.sent("/resolve/") < len(data) / 5
    reader.close()


def test_size_is_extrapolated_from_four_footers(api, traffic):
    files = {f"{i:02d}.parquet": parquet([{"a": "x" * 50, "b": str(i)}] * 100) for i in range(12)}
    seed(api, "xlt-hf/many", files)
    store = HubFiles(api, "xlt-hf/many", "main")
    entries = store.matching(["*.parquet"])
    traffic.clear()
    assert estimate_size(store, entries, {"a": "a"}).documents == pytest.approx(1200, rel=0.01)
    assert len({path for _, path, _ in traffic.requests if "/resolve/" in path}) == 4


STRINGS = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.binary(),
]


@pytest.mark.parametrize("kind", STRINGS, ids=str)
def test_every_kind_of_string_comes_as_bytes(tmp_path, kind):
    values = ["नमस्ते", None, "", "a"]
    (tmp_path / "a.parquet").write_bytes(parquet(pa.table({"t": pa.array(values, pa.string()).cast(kind)})))
    rows = list(read_rows(*local(tmp_path / "a.parquet"), {"text": "t"}))
    assert rows == [{"text": None if value is None else value.encode()} for value in values]


def test_broken_utf8_and_other_types_are_handed_over(tmp_path):
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xff\xfe")]
    )
    columns = {"s": broken, "n": [1, 2], "l": [["x"], None], "b": [True, False]}
    (tmp_path / "a.parquet").write_bytes(parquet(pa.table(columns)))
    rows = list(read_rows(*local(tmp_path / "a.parquet"), {name: name for name in columns}))
    assert rows == [
        {"s": b"a", "n": 1, "l": [b"x"], "b": True},
        {"s": b"\xff\xfe", "n": 2, "l": None, "b": False},
    ]


def test_columns_below_structs_and_lists(tmp_path, api, traffic):
    rng = random.Random(3)
    rows = [
        {
            "d": {"title": "T", "html": rng.randbytes(5000).hex(), "list": {"element": "deep"}},
            "notes": [{"texts": [{"t": "a", "n": 1}, {"t": "b", "n": 2}]}, {"texts": []}],
        }
        for _ in range(40)
    ]
    data = parquet(rows)
    (tmp_path / "a.parquet").write_bytes(data)
    columns = {"title": "d.title", "texts": "notes.texts.t", "deep": "d.list.element"}
    expected = {"title": b"T", "texts": [[b"a", b"b"], []], "deep": b"deep"}
    assert next(read_rows(*local(tmp_path / "a.parquet"), columns)) == expected
    whole = next(read_rows(*local(tmp_path / "a.parquet"), {"notes": "notes"}))
    assert whole["notes"][0]["texts"][1] == {"t": b"b", "n": 2}
    seed(api, "xlt-hf/nested", {"a.parquet": data})
    traffic.clear()
    assert next(read_rows(HubFiles(api, "xlt-hf/nested", "main"), "a.parquet", columns)) == expected
    # Small enough for the footer's read to hold all of it but the pages.
    assert traffic.sent("/resolve/") < len(data) / 2


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab"), inner),
        max_leaves=20,
    ),
    st.lists(st.sampled_from("ab"), max_size=3),
)
def test_pick_never_fails(value, path):
    found = pick(value, path)
    if not path:
        assert found == value


def test_a_missing_column_names_the_nearest(tmp_path):
    (tmp_path / "a.parquet").write_bytes(parquet([{"doc_id": "1", "document": {"title": "x", "url": "y"}}]))
    with pytest.raises(
        SourceError, match=r"no column 'doc-id' in .*a\.parquet.*Did you mean 'doc_id'\?.*document\.url"
    ):
        list(read_rows(*local(tmp_path / "a.parquet"), {"i": "doc-id"}))
    with pytest.raises(SourceError, match=r"Did you mean 'document\.title'"):
        list(read_rows(*local(tmp_path / "a.parquet"), {"t": "document.titel"}))
    rows = list(read_rows(*local(tmp_path / "a.parquet"), {"i": "doc_id", "u": "url"}, optional=["u"]))
    assert rows == [{"i": b"1", "u": None}]
    assert column_names(*local(tmp_path / "a.parquet")) == ["doc_id", "document"]


@pytest.mark.parametrize("damage", ["empty", "cut", "page"])
def test_a_damaged_parquet_file_is_named(tmp_path, damage):
    data = bytearray(parquet([{"a": f"{i}" * 50} for i in range(1000)], compression="snappy"))
    if damage == "page":
        data[200:400] = b"\xff" * 200
    (tmp_path / "a.parquet").write_bytes({"empty": b"", "cut": bytes(data[:-100])}.get(damage, bytes(data)))
    with pytest.raises(
        SourceError, match=r"a\.parquet of this machine (is not a whole parquet file|cannot be decoded)"
    ):
        list(read_rows(*local(tmp_path / "a.parquet"), {"a": "a"}))


LINES = [
    b'{"id": 1, "text": {"en": "Delhi", "hi": "\xe0\xa4\xa6"}}',
    b"",
    b'{"id": 2, "text": {"en": "Agra"}}',
    b'{"id": 3, "text": ',
    b'"a string"',
    b'{"id": 4, "text": {"en": "\xff"}}',
    b"[" * 100_000,
    b'{"id": 5, "text": {"en": "\\ud800", "hi": null}}',
]
EXPECTED = [
    {"en": "Delhi", "hi": "द", "id": 1},
    {"en": "Agra", "hi": None, "id": 2},
    {"en": ['{"id": 3, "text": '], "hi": None, "id": None},
    {"en": ["a string"], "hi": None, "id": None},
    {"en": LINES[5] + b"\xff", "hi": None, "id": None},
    {"en": ["[" * 200], "hi": None, "id": None},
    {"en": "\ud800", "hi": None, "id": 5},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".ndjson"])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_json_lines(tmp_path, api, suffix, end):
    data = b"\n".join(LINES) + end
    data = gzip.compress(data) if suffix.endswith(".gz") else data
    (tmp_path / f"a{suffix}").write_bytes(data)
    columns = {"en": "text.en", "hi": "text.hi", "id": "id"}
    assert list(read_rows(*local(tmp_path / f"a{suffix}"), columns)) == EXPECTED
    seed(api, "xlt-hf/lines", {f"a{suffix}": data})
    assert list(read_rows(HubFiles(api, "xlt-hf/lines", "main"), f"a{suffix}", columns)) == EXPECTED


def test_long_json_lines_files_are_read_in_blocks(api, traffic):
    data = "".join(json.dumps({"text": f"{i}" * 2000}) + "\n" for i in range(2000)).encode()
    seed(api, "xlt-hf/long-lines", {"a.jsonl": data})
    traffic.clear()
    rows = list(read_rows(HubFiles(api, "xlt-hf/long-lines", "main"), "a.jsonl", {"text": "text"}))
    assert rows == [{"text": f"{i}" * 2000} for i in range(2000)]
    assert traffic.count("/resolve/") <= len(data) // (4 << 20) + 3
    assert traffic.sent("/resolve/") < len(data) * 1.1


def test_json_lines_without_the_column(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text_en": "x"}\n')
    with pytest.raises(
        SourceError, match=r"no column 'text\.en' in the first 1 rows .* Did you mean 'text_en'\?"
    ):
        list(read_rows(*local(tmp_path / "a.jsonl"), {"t": "text.en"}))
    (tmp_path / "b.jsonl").write_text("")
    assert list(read_rows(*local(tmp_path / "b.jsonl"), {"t": "t"})) == []
    (tmp_path / "c.csv").write_text("a,b\n")
    with pytest.raises(SourceError, match=r"c\.csv is neither"):
        list(read_rows(*local(tmp_path / "c.csv"), {"t": "t"}))
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"t": 1}\n' * 1000)[:-10])
    with pytest.raises(SourceError, match=r"d\.jsonl\.gz .* is not a whole gzip file"):
        list(read_rows(*local(tmp_path / "d.jsonl.gz"), {"t": "t"}))


def test_the_size_of_json_lines_is_their_bytes(tmp_path):
    assert (
        estimate_size(LocalFiles(), [FileEntry("a.jsonl", 7), FileEntry("b.jsonl", 5)], {}).download_bytes
        == 12
    )
