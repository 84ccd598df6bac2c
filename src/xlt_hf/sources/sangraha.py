# SPDX-License-Identifier: Apache-2.0
"""`ai4bharat/sangraha` joined with `wikimedia/wikipedia`: for those who want Wikipedia's own text on one side or both.

What can be joined:

- Sangraha's synthetic rows are translations of English articles and carry a doc_id and a text, no title. They join an
  English article of `wikimedia/wikipedia` where the doc_id is the article's id (`join: id`), or where a table of
  doc_ids and titles leads to the article's title (`join: title`; by default wiki-translate, whose rows Sangraha's were
  made from, so that its English text is replaced by Wikipedia's).
- Native articles (`target: native`) share no key with the English ones: ids are each wiki's own, titles and addresses
  are in the wiki's language, and the dataset has no links between languages. They join only through a table of titles
  in both languages that the user brings, such as one made from Wikidata's site links.

`Sangraha.losses` counts what each join loses, from the key columns alone.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic.dataclasses import dataclass

from xlt_hf.corpora.order import hash_keys
from xlt_hf.sources.columns import estimate_size, read_rows
from xlt_hf.sources.hub_files import (
    STRICT,
    FileEntry,
    FileStore,
    HubFiles,
    SourceError,
    content_hash,
    open_store,
)
from xlt_hf.sources.language_codes import script_codes
from xlt_hf.sources.schema import DatasetRef, SourceSize
from xlt_hf.sources.titles import TitleTableConfig, raw_title, title_rows

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SPILL_SCHEMA = pa.schema([("key", pa.uint64()), ("text", pa.binary()), ("title", pa.binary())])
_SPILL_BYTES = 4 << 20
_KEY_ROWS = 65536
_GROUP_ROWS = 128
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, config=STRICT)
class SangrahaConfig:
    """Which datasets, and how they are joined.

    Attributes:
        repo_id: Hub dataset of the synthetic texts.
        revision: its branch, tag or commit.
        files: glob pattern of the files of one language; `{code}` is its ISO 639-3 code and script.
        wikipedia_repo_id: Hub dataset of Wikipedia's own texts.
        wikipedia_revision: its branch, tag or commit.
        wikipedia_files: glob pattern of the files of one language's Wikipedia.
        target: whether the target text is Sangraha's or the target language's own Wikipedia's.
        join: by article id, or through `titles`. Native texts join through `titles` only.
        titles: key is Sangraha's doc_id, or with native texts the title in the target language; title is the one in
            the source language. None: wiki-translate, which knows doc_ids.
    """

    repo_id: str = "ai4bharat/sangraha"
    revision: str = "main"
    files: str = "synthetic/{code}/*.parquet"
    wikipedia_repo_id: str = "wikimedia/wikipedia"
    wikipedia_revision: str = "main"
    wikipedia_files: str = "20231101.{language}/*.parquet"
    target: Literal["synthetic", "native"] = "synthetic"
    join: Literal["id", "title"] = "id"
    titles: TitleTableConfig | None = None


_WIKI_TRANSLATE_TITLES = TitleTableConfig(
    files=("train/*.parquet",), key="doc_id", repo_id="ai4bharat/wiki-translate"
)


@plain_dataclass(frozen=True)
class _Join:
    """Which source file each joined key stands in."""

    keys: np.ndarray
    """`uint64[n]`, ascending."""
    shard: np.ndarray
    """Number of the source file, `int32[n]`."""
    losses: dict[str, int]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Place of each key, `int64`, -1 for those that are not joined."""
        place = np.searchsorted(self.keys, keys)
        place[place == len(self.keys)] = 0
        return np.where(self.keys[place] == keys, place, -1) if len(self.keys) else np.full(len(keys), -1)


class Sangraha:
    """The joined documents, an English file a shard.

    Memory holds 12 bytes of keys for each article. The target texts are read once and sorted by source file into
    `scratch`, uncompressed (about 45 GB for all of the Hindi); the source texts are streamed.

    Args:
        config: which datasets, and how they are joined.
        languages: (source, target) codes.
        api: client of the Hub.
        scratch: folder of this configuration and these revisions alone, where sorted target texts are kept from run
            to run; a temporary one if not given.
    """

    def __init__(
        self,
        config: SangrahaConfig,
        languages: Sequence[str],
        api: "HfApi",
        scratch: Path | None = None,
    ) -> None:
        self.config = config
        self.source, self.target = languages
        self.api = api
        self.wikipedia = HubFiles(api, config.wikipedia_repo_id, config.wikipedia_revision)
        self.native = config.target == "native"
        self.target_store: FileStore = (
            self.wikipedia if self.native else HubFiles(api, config.repo_id, config.revision)
        )
        self.by_title = self.native or config.join == "title"
        self._scratch = scratch
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.titles: TitleTableConfig | None = None
        self.titles_store: FileStore | None = None
        if self.by_title:
            self.titles = config.titles or (None if self.native else _WIKI_TRANSLATE_TITLES)
        if self.titles is not None:
            self.titles_store = open_store(api, self.titles.repo_id, self.titles.revision)
        elif self.by_title:
            raise SourceError(
                f"Wikipedia in '{self.target}' says nowhere which article in '{self.source}' is its counterpart. Name a "
                "table of titles in both languages as documents.sangraha.titles (files, key: the title in "
                f"'{self.target}', title: that in '{self.source}'), for instance one made from Wikidata's site links."
            )

    def refs(self) -> list[DatasetRef]:
        """The datasets at their resolved commits."""
        refs = [*self.wikipedia.refs(), *self.target_store.refs()]
        if self.titles_store is not None:
            refs.extend(self.titles_store.refs())
        return list(dict.fromkeys(refs))

    def content_key(self) -> str:
        """Hash of a table of titles on this machine."""
        if self.titles is None or self.titles_store is None or self.titles_store.refs():
            return ""
        return content_hash(self.titles_store.matching(self.titles.files))

    def shards(self) -> list[str]:
        """Paths of the source language's files."""
        return [entry.path for entry in self._source_entries]

    def size(self) -> SourceSize:
        """No more documents than the smaller side has, from footers; `losses` gives the number that join."""
        left = estimate_size(self.wikipedia, self._source_entries, self._source_columns)
        right = estimate_size(self.target_store, self._target_entries, self._target_columns)
        rows = [side.documents for side in (left, right) if side.documents is not None]
        return SourceSize(min(rows, default=None), (left.download_bytes or 0) + (right.download_bytes or 0))

    def losses(self) -> dict[str, int]:
        """What the join keeps and loses, in rows; reads the key columns only.

        Returns:
            `source_rows`, `target_rows`, `joined`; and of the rows that are lost `source_key_invalid` (an id that is
            no number, an empty title), `source_duplicate`, `source_without_target`, `target_key_invalid`,
            `target_not_in_titles` (the table has no title for it), `target_duplicate`, `target_without_source`. Each
            side's losses and `joined` add up to its rows.
        """
        return dict(self._join.losses)

    def read(self, shard: str) -> Iterator[Mapping[str, Any]]:
        """The joined documents of one source file, in its order."""
        number = self.shards().index(shard)
        path = self._spilled() / f"{number:05d}.arrow"
        if not path.exists():
            return
        with pa.memory_map(str(path)) as mapped:
            spilled = pa.ipc.open_file(mapped)
            batches = [spilled.get_batch(i) for i in range(spilled.num_record_batches)]
            keys = np.concatenate([np.asarray(batch.column("key")) for batch in batches])
            starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
            order = np.argsort(keys)
            ordered = keys[order]
            used = np.zeros(len(keys), bool)
            for group in _batched(read_rows(self.wikipedia, shard, self._source_columns), _GROUP_ROWS):
                own, valid = self._keys([row["title"] if self.by_title else row["doc_id"] for row in group])
                places = np.searchsorted(ordered, own)
                for row, key, is_valid, place in zip(group, own, valid, places, strict=True):
                    if not is_valid or place == len(ordered) or ordered[place] != key or used[place]:
                        continue
                    used[place] = True
                    at = int(order[place])
                    piece = int(np.searchsorted(starts, at, side="right")) - 1
                    batch, i = batches[piece], at - int(starts[piece])
                    yield {
                        "doc_id": row["doc_id"],
                        "title": raw_title(row["title"]),
                        "url": row["url"],
                        "target_title": raw_title(batch.column("title")[i].as_py()),
                        "source_text": row["source_text"],
                        "target_text": batch.column("text")[i].as_py(),
                    }

    @property
    def _source_columns(self) -> dict[str, str]:
        return {"doc_id": "id", "title": "title", "url": "url", "source_text": "text"}

    @property
    def _target_columns(self) -> dict[str, str]:
        if self.native:
            return {"key": "title", "text": "text"}
        return {"key": "doc_id", "text": "text"}

    @cached_property
    def _source_entries(self) -> list[FileEntry]:
        return self.wikipedia.matching([self.config.wikipedia_files.format(language=self.source)])

    @cached_property
    def _target_entries(self) -> list[FileEntry]:
        if self.native:
            return self.wikipedia.matching([self.config.wikipedia_files.format(language=self.target)])
        codes = script_codes(self.target) or (self.target,)
        for code in codes[:-1]:
            try:
                return self.target_store.matching([self.config.files.format(code=code)])
            except SourceError:
                continue  # the next name of that language; the last one's error says what there is
        return self.target_store.matching([self.config.files.format(code=codes[-1])])

    @cached_property
    def _titles_by_key(self) -> tuple[np.ndarray, np.ndarray]:
        """Hashes of the table's keys, ascending, and of the titles that they lead to, `uint64[n]` both."""
        assert self.titles is not None
        assert self.titles_store is not None
        rows = title_rows(self.titles, self.titles_store)
        pieces = [(np.empty(0, np.uint64), np.empty(0, np.uint64))]
        for batch in _batched(rows, _KEY_ROWS):
            keys, valid = _title_keys([key for key, _, _ in batch])
            titles, _ = _title_keys([title for _, title, _ in batch])
            pieces.append((keys[valid], titles[valid]))
        keys = np.concatenate([piece[0] for piece in pieces])
        titles = np.concatenate([piece[1] for piece in pieces])
        unique, first = np.unique(keys, return_index=True)
        return unique, titles[first]

    def _keys(self, values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Join keys of source rows, and which of them are valid."""
        return _title_keys(values) if self.by_title else _id_keys(values)

    def _target_keys(self, values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Join keys of target rows, which of them are valid, and which of those the table knows."""
        if not self.by_title:
            keys, valid = _id_keys(values)
            return keys, valid, valid
        own, valid = _title_keys(values)
        known, titles = self._titles_by_key
        if not len(known):
            return own, valid, np.zeros(len(own), bool)
        place = np.searchsorted(known, own)
        place[place == len(known)] = 0
        found = valid & (known[place] == own)
        return titles[place], valid, found

    @cached_property
    def _join(self) -> _Join:
        column = {"key": "title" if self.by_title else "id"}
        source_keys, source_shards = [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
        source_rows = source_invalid = 0
        for number, entry in enumerate(self._source_entries):
            for batch in _batched(read_rows(self.wikipedia, entry.path, column), _KEY_ROWS):
                keys, valid = self._keys([row["key"] for row in batch])
                source_rows += len(keys)
                source_invalid += int((~valid).sum())
                source_keys.append(keys[valid])
                source_shards.append(np.full(int(valid.sum()), number, np.int32))
        all_source = np.concatenate(source_keys)
        source_unique, first = np.unique(all_source, return_index=True)
        shards = np.concatenate(source_shards)[first]

        target_keys = [np.empty(0, np.uint64)]
        target_rows = target_invalid = target_unknown = 0
        column = {"key": self._target_columns["key"]}
        for entry in self._target_entries:
            for batch in _batched(read_rows(self.target_store, entry.path, column), _KEY_ROWS):
                keys, valid, known = self._target_keys([row["key"] for row in batch])
                target_rows += len(keys)
                target_invalid += int((~valid).sum())
                target_unknown += int((valid & ~known).sum())
                target_keys.append(keys[known])
        all_target = np.concatenate(target_keys)
        target_unique = np.unique(all_target)
        shared = np.isin(source_unique, target_unique, assume_unique=True)
        joined = int(shared.sum())
        losses = {
            "source_rows": source_rows,
            "target_rows": target_rows,
            "joined": joined,
            "source_key_invalid": source_invalid,
            "source_duplicate": len(all_source) - len(source_unique),
            "source_without_target": len(source_unique) - joined,
            "target_key_invalid": target_invalid,
            "target_not_in_titles": target_unknown,
            "target_duplicate": len(all_target) - len(target_unique),
            "target_without_source": len(target_unique) - joined,
        }
        if not joined:
            raise SourceError(
                f"No row of {self.target_store.name} joins one of {self.wikipedia.name} by "
                f"{'title' if self.by_title else 'id'}: {_listed(losses)}. "
                + ("Check the table of titles." if self.by_title else "Join by title instead: join: title.")
            )
        return _Join(source_unique[shared], shards[shared], losses)

    def _spilled(self) -> Path:
        """Folder with the target texts of each source file, made if it is not whole."""
        if self._scratch is None:
            self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="xlt-hf-join-")
        folder = self._scratch if self._temporary is None else Path(self._temporary.name)
        assert folder is not None
        done = folder / "done.json"
        if not done.exists():  # written last
            folder.mkdir(parents=True, exist_ok=True)
            self._spill(folder)
            writing = folder / "done.json.writing"
            writing.write_text(json.dumps(self.losses()))
            os.replace(writing, done)
        return folder

    def _spill(self, folder: Path) -> None:
        join = self._join
        seen = np.zeros(len(join.keys), bool)
        spills: dict[int, _Spill] = {}
        columns = self._target_columns
        try:
            for entry in self._target_entries:
                for batch in _batched(read_rows(self.target_store, entry.path, columns), _GROUP_ROWS):
                    keys, _, known = self._target_keys([row["key"] for row in batch])
                    places = join.find(keys)
                    for row, key, place, is_known in zip(batch, keys, places, known, strict=True):
                        if place < 0 or not is_known or seen[place]:
                            continue
                        seen[place] = True
                        shard = int(join.shard[place])
                        if shard not in spills:
                            spills[shard] = _Spill(folder / f"{shard:05d}.arrow")
                        title = row["key"] if self.native else b""
                        spills[shard].add(int(key), row["text"], title)
        finally:
            for spill in spills.values():
                spill.close()


class _Spill:
    """One file of target texts."""

    def __init__(self, path: Path) -> None:
        self.sink = pa.OSFile(str(path), "wb")
        self.writer = pa.ipc.new_file(self.sink, _SPILL_SCHEMA)
        self.rows: list[dict[str, Any]] = []
        self.size = 0

    def add(self, key: int, text: Any, title: Any) -> None:
        """Append a row; a text that is none becomes empty, which the collector rejects."""
        text = text if isinstance(text, bytes) else b""
        self.rows.append({"key": key, "text": text, "title": title if isinstance(title, bytes) else b""})
        self.size += len(text)
        if self.size >= _SPILL_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, _SPILL_SCHEMA))
        self.rows, self.size = [], 0

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self.writer.close()
        self.sink.close()


def _id_keys(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Ids as numbers, `uint64[n]`, and which of the values are numbers."""
    keys, valid = np.zeros(len(values), np.uint64), np.zeros(len(values), bool)
    for i, value in enumerate(values):
        if isinstance(value, (bytes, str)) and value.isdigit() and len(value) < 20:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_ID:
            keys[i], valid[i] = value, True
    return keys, valid


def _title_keys(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of titles, `uint64[n]`, and which of the values are titles."""
    texts = [str(v) if isinstance(v, int) else raw_title(v) for v in values]
    valid = np.array([isinstance(text, str) and bool(text) for text in texts], bool)
    names = [text if ok else "" for text, ok in zip(texts, valid, strict=True)]
    return np.asarray(hash_keys(names, 0, "join"), np.uint64), valid


def _batched(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _listed(losses: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in losses.items() if n)
