# SPDX-License-Identifier: Apache-2.0
"""D as Arrow columns: memory-mapped from files or held in memory, read by row or streamed, never as Python lists."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xlt_hf.sources.schema import DOCUMENT_COLUMNS, Document

SCHEMA = pa.schema([(name, pa.string()) for name in DOCUMENT_COLUMNS])
_STREAM_ROWS = 1024


class Texts(Sequence[str]):
    """One text column, read a slice at a time; `len`, iteration and single rows."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Iterator[str]:
        for chunk in self.column.chunks:
            for start in range(0, len(chunk), _STREAM_ROWS):
                yield from chunk.slice(start, _STREAM_ROWS).to_pylist()

    def __getitem__(self, row):
        if isinstance(row, slice):
            start, stop, step = row.indices(len(self))
            taken = self.column.slice(start, max(0, stop - start)).to_pylist()
            return taken[::step]
        return self.column[row].as_py()


class DocumentTable(Sequence[Document]):
    """The aligned documents D of a study.

    Args:
        table: columns `DOCUMENT_COLUMNS`, `doc_id` and `title` unique.
        languages: (source, target) codes.
    """

    def __init__(self, table: pa.Table, languages: Sequence[str]) -> None:
        self.table = table
        self.source, self.target = languages

    @classmethod
    def from_documents(cls, documents: Iterable[Document], languages: Sequence[str]) -> "DocumentTable":
        """A table in memory, for sources that are generated."""
        source, target = languages
        rows = [
            {
                "doc_id": d.doc_id,
                "title": d.title,
                "url": d.url,
                "target_title": d.titles.get(target, ""),
                "source_text": d.text[source],
                "target_text": d.text[target],
            }
            for d in documents
        ]
        return cls(pa.Table.from_pylist(rows, SCHEMA), languages)

    @classmethod
    def open(cls, files: Sequence[Path], languages: Sequence[str]) -> "DocumentTable":
        """Memory-map Arrow files, one after another."""
        tables = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in files]
        return cls(pa.concat_tables(tables) if tables else SCHEMA.empty_table(), languages)

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, row):
        if isinstance(row, slice):
            start, stop, step = row.indices(len(self))
            if step != 1:
                raise ValueError("a slice of documents takes steps of 1")
            return DocumentTable(self.table.slice(start, max(0, stop - start)), (self.source, self.target))
        return self._document({name: self.table[name][int(row)].as_py() for name in DOCUMENT_COLUMNS})

    def __iter__(self) -> Iterator[Document]:
        for batch in self.table.to_batches(max_chunksize=_STREAM_ROWS):
            for row in batch.to_pylist():
                yield self._document(row)

    def _document(self, row: dict[str, str]) -> Document:
        return Document(
            doc_id=row["doc_id"],
            title=row["title"],
            url=row["url"],
            text={self.source: row["source_text"], self.target: row["target_text"]},
            titles={self.source: row["title"], self.target: row["target_title"]},
        )

    @property
    def doc_ids(self) -> pa.ChunkedArray:
        """`string[n]`."""
        return self.table["doc_id"]

    @property
    def titles(self) -> pa.ChunkedArray:
        """Source-language titles, `string[n]`."""
        return self.table["title"]

    def title_column(self, language: str) -> pa.ChunkedArray:
        """Titles in one of the two languages, `string[n]`."""
        return self.table["title" if self._is_source(language) else "target_title"]

    def text_column(self, language: str) -> pa.ChunkedArray:
        """Texts in one of the two languages, `string[n]`."""
        return self.table["source_text" if self._is_source(language) else "target_text"]

    def texts(self, language: str) -> Texts:
        """Texts in one of the two languages, streamed."""
        return Texts(self.text_column(language))

    def text_bytes(self, language: str) -> np.ndarray:
        """UTF-8 bytes of each text, `int64[n]`."""
        return np.asarray(pc.binary_length(self.text_column(language)), dtype=np.int64)

    def text_lengths(self, language: str) -> np.ndarray:
        """Characters of each text, `int64[n]`."""
        return np.asarray(pc.utf8_length(self.text_column(language)), dtype=np.int64)

    def gather(self, rows: np.ndarray, columns: Sequence[str] = DOCUMENT_COLUMNS) -> pa.Table:
        """The documents of some rows, in the order given, copied into memory.

        Arrow's own `take` joins the chunks of a text column first, which would be the whole corpus.

        Args:
            rows: `int64[n]`, each once or more.
        """
        rows = np.asarray(rows, dtype=np.int64)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        pieces = []
        for name in columns:
            chunks = self.table[name].chunks
            starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])
            bounds = np.searchsorted(ascending, starts)
            found = [
                chunk.take(pa.array(ascending[low:high] - start))
                for chunk, start, low, high in zip(chunks, starts, bounds, bounds[1:], strict=False)
                if high > low
            ]
            pieces.append(pa.concat_arrays(found) if found else pa.array([], pa.string()))
        inverse = np.empty(len(rows), np.int64)
        inverse[order] = np.arange(len(rows))
        return pa.table([piece.take(pa.array(inverse)) for piece in pieces], names=list(columns))

    def rows_of(self, titles: Sequence[str]) -> np.ndarray:
        """Row of the document that has each source-language title, `int64[len(titles)]`, -1 where none has."""
        wanted = sorted(set(titles))
        place = pc.index_in(self.titles, value_set=pa.array(wanted, pa.string()))
        places = np.asarray(pc.fill_null(place, -1), dtype=np.int64)
        row_of = np.full(len(wanted), -1, np.int64)
        rows = np.flatnonzero(places >= 0)
        row_of[places[rows][::-1]] = rows[::-1]  # the first of equal titles
        index = {title: i for i, title in enumerate(wanted)}
        return np.array([row_of[index[title]] for title in titles], dtype=np.int64)

    def _is_source(self, language: str) -> bool:
        if language not in (self.source, self.target):
            raise ValueError(
                f"no language {language!r}; the documents are in {self.source} and {self.target}"
            )
        return language == self.source
