# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.sources.schema import Document
from xlt_hf.sources.table import SCHEMA, DocumentTable


def document(i: int) -> Document:
    return Document(
        f"d-{i}",
        f"Page {i}",
        f"urn:{i}",
        {"en": f"text {i}", "hi": f"पाठ {i}"},
        {"en": f"Page {i}", "hi": ""},
    )


@pytest.fixture
def files(tmp_path):
    """Three Arrow files of 4, 0 and 5 documents, in batches of two."""
    paths, made = [], 0
    for number, rows in enumerate((4, 0, 5)):
        table = DocumentTable.from_documents([document(made + i) for i in range(rows)], ("en", "hi")).table
        made += rows
        path = tmp_path / f"{number}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(table, max_chunksize=2)
        paths.append(path)
    return paths


def test_documents_from_files_are_those_from_memory(files):
    mapped = DocumentTable.open(files, ("en", "hi"))
    held = DocumentTable.from_documents([document(i) for i in range(9)], ("en", "hi"))
    assert list(mapped) == list(held) == [document(i) for i in range(9)]
    assert mapped[7] == document(7)
    assert list(mapped[3:6]) == [document(i) for i in (3, 4, 5)]
    assert list(mapped.texts("hi")) == [f"पाठ {i}" for i in range(9)]
    assert mapped.texts("en")[8] == "text 8"
    assert mapped.texts("en")[2:5] == ["text 2", "text 3", "text 4"]
    assert mapped.text_bytes("hi").tolist() == [len(f"पाठ {i}".encode()) for i in range(9)]
    assert mapped.text_lengths("hi").tolist() == [5] * 9


@given(st.lists(st.integers(0, 8), max_size=30))
def test_gathering_takes_any_rows_in_any_order(rows):
    held = DocumentTable.from_documents([document(i) for i in range(9)], ("en", "hi"))
    chunked = DocumentTable(pa.concat_tables([held.table.slice(i, 2) for i in range(0, 9, 2)]), ("en", "hi"))
    taken = chunked.gather(np.array(rows, np.int64))
    assert taken["title"].to_pylist() == [f"Page {i}" for i in rows]
    assert taken.column_names == held.table.column_names


def test_rows_are_found_by_title(files):
    mapped = DocumentTable.open(files, ("en", "hi"))
    assert mapped.rows_of(["Page 8", "nowhere", "Page 0", "Page 8"]).tolist() == [8, -1, 0, 8]
    assert mapped.rows_of([]).tolist() == []


def test_a_language_that_it_does_not_hold_is_named():
    with pytest.raises(ValueError, match="no language 'fr'; the documents are in en and hi"):
        DocumentTable.from_documents([document(0)], ("en", "hi")).texts("fr")
