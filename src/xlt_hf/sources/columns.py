# SPDX-License-Identifier: Apache-2.0
"""Read some columns of parquet or JSON-lines files as raw rows, a batch at a time.

Of a parquet file only the footer and the pages of the columns asked for are read. Strings come as bytes: whether they
are UTF-8 is for the reader of the row to find, not a reason to stop in the middle of a file.
"""

import difflib
import gzip
import io
import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.sources.hub_files import FileEntry, FileStore, SourceError, content_hash
from xlt_hf.sources.schema import DOCUMENT_COLUMNS, DatasetRef, SourceSize

_BATCH_ROWS = 128
_JSONL_BLOCK = 4 << 20
_JSONL_LOOK = 100
_FOOTERS = 4
_EXCERPT = 200


def read_rows(
    store: FileStore, path: str, columns: Mapping[str, str], optional: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows of one file.

    Args:
        store: where the file lies.
        path: ends in `.parquet`, or in `.jsonl`, `.json` or `.ndjson`, with `.gz` or without.
        columns: name in the row -> column of the file; dots reach into structs, and through lists of structs.
        optional: names whose column may be missing; their value is None then.

    Yields:
        Name -> value. Strings of parquet files are `bytes`. A JSON line that cannot be parsed gives its first name
        a list, or bytes that are not UTF-8, and nothing else: a row that is rejected for what it is.

    Raises:
        SourceError: a column is missing, with its nearest neighbours; the file is damaged or cannot be read.
    """
    reader = _parquet_rows if is_parquet(path) else _json_rows
    with store.explained(path), store.open(path) as file:
        yield from reader(file, f"{path} of {store.name}", columns, optional)


def is_parquet(path: str) -> bool:
    """By the file's name.

    Raises:
        SourceError: neither parquet nor JSON lines.
    """
    if path.endswith(".parquet"):
        return True
    if path.removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json")):
        return False
    raise SourceError(
        f"{path} is neither .parquet nor .jsonl (or .jsonl.gz): convert it, or change the pattern."
    )


def pick(value: Any, path: Sequence[str]) -> Any:
    """What lies under a path of struct fields; of a list, the list of what lies under each element."""
    if not path:
        return value
    if isinstance(value, Mapping):
        return pick(value.get(path[0]), path[1:])
    if isinstance(value, list):
        return [pick(element, path) for element in value]
    return None


def estimate_size(
    store: FileStore, entries: Sequence[FileEntry], columns: Mapping[str, str], optional: Collection[str] = ()
) -> SourceSize:
    """Rows, and bytes of the columns asked for, without reading rows.

    Of parquet files the footers of four, evenly spaced, are read, and extrapolated to the others by their size; exact
    for four files or fewer. JSON lines say nothing of their number.

    Raises:
        SourceError: as `read_rows`.
    """
    total = sum(entry.size for entry in entries)
    if not all(is_parquet(entry.path) for entry in entries):
        return SourceSize(None, total)
    step = max(1, -(-len(entries) // _FOOTERS))
    sample = entries[::step] if len(entries) > _FOOTERS else entries
    rows = wanted_bytes = unpacked_bytes = 0
    for entry in sample:
        with store.explained(entry.path), store.open(entry.path) as file:
            where = f"{entry.path} of {store.name}"
            parquet = _open_parquet(file, where)
            leaves = _leaves_of(parquet, columns, optional, where)
            metadata = parquet.metadata
        wanted = set(itertools.chain.from_iterable(leaves.values()))
        rows += metadata.num_rows
        for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
            for column in (group.column(i) for i in range(group.num_columns)):
                if column.path_in_schema in wanted:
                    wanted_bytes += column.total_compressed_size
                    unpacked_bytes += column.total_uncompressed_size
    share = total / max(1, sum(entry.size for entry in sample))
    return SourceSize(round(rows * share), round(wanted_bytes * share), round(unpacked_bytes * share))


def column_names(store: FileStore, path: str) -> list[str]:
    """Columns of a parquet file, from its footer.

    Raises:
        SourceError: as `read_rows`.
    """
    with store.explained(path), store.open(path) as file:
        return _open_parquet(file, f"{path} of {store.name}").schema_arrow.names


class ColumnDocuments:
    """A document source whose rows are the rows of some files, column for column.

    Args:
        store: where the files lie.
        patterns: glob patterns of the files.
        columns: names of `DOCUMENT_COLUMNS` -> columns of the files.
        optional: names whose column may be missing.
    """

    def __init__(
        self,
        store: FileStore,
        patterns: Sequence[str],
        columns: Mapping[str, str],
        optional: Collection[str] = (),
    ) -> None:
        self.store = store
        self.patterns = patterns
        self.columns = columns
        self.optional = optional
        self._entries: list[FileEntry] | None = None
        self._content_key: str | None = None

    def entries(self) -> list[FileEntry]:
        """The files, listed once."""
        if self._entries is None:
            self._entries = self.store.matching(self.patterns)
        return self._entries

    def refs(self) -> list[DatasetRef]:
        """The Hub dataset that the files are in; empty for files on this machine."""
        return self.store.refs()

    def content_key(self) -> str:
        """sha256 over files on this machine, read once; `""` on the Hub, where the commit decides."""
        if self._content_key is None:
            self._content_key = "" if self.refs() else content_hash(self.entries())
        return self._content_key

    def shards(self) -> list[str]:
        """The files' paths."""
        return [entry.path for entry in self.entries()]

    def size(self) -> SourceSize:
        """See `estimate_size`."""
        return estimate_size(self.store, self.entries(), self.columns, self.optional)

    def read(self, shard: str) -> Iterator[dict[str, Any]]:
        """Raw rows of a file."""
        missing = dict.fromkeys(name for name in DOCUMENT_COLUMNS if name not in self.columns)
        for row in read_rows(self.store, shard, self.columns, self.optional):
            yield {**missing, **row}


def missing_column(column: str, known: Sequence[str], where: str) -> SourceError:
    """The error for a column that is not there, with those that are."""
    near = difflib.get_close_matches(column, known, n=1, cutoff=0.4)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return SourceError(
        f"There is no column '{column}' in {where}.{hint} Columns there: {', '.join(known)}. Set the column's name in "
        "the study."
    )


def _open_parquet(file: BinaryIO, where: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, pre_buffer=True, arrow_extensions_enabled=False)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{where} is not a whole parquet file: {error}. Fetch or write it again."
        ) from error


def _parquet_rows(
    file: BinaryIO, where: str, columns: Mapping[str, str], optional: Collection[str]
) -> Iterator[dict[str, Any]]:
    parquet = _open_parquet(file, where)
    leaves = _leaves_of(parquet, columns, optional, where)
    wanted = list(dict.fromkeys(itertools.chain.from_iterable(leaves.values())))
    paths = {name: columns[name].split(".") for name in leaves}
    absent = dict.fromkeys(name for name in columns if name not in leaves)
    try:
        # One row group at a time: the pages of all of them at once would be the file.
        for group in range(parquet.num_row_groups):
            for batch in parquet.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=wanted, use_threads=False
            ):
                roots = {name: _values(batch.column(name)) for name in batch.schema.names}
                picked = {
                    name: roots[path[0]] if len(path) == 1 else [pick(v, path[1:]) for v in roots[path[0]]]
                    for name, path in paths.items()
                }
                for values in zip(*picked.values(), strict=True):
                    yield {**absent, **dict(zip(picked, values, strict=True))}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(f"{where} cannot be decoded: {error}. Fetch or write it again.") from error
    except OSError as error:
        if error.errno is not None or type(error) is not OSError:
            raise  # the store's; Arrow's own have no number
        raise SourceError(f"{where} cannot be decoded: {error}. Fetch or write it again.") from error


def _leaves_of(
    parquet: pq.ParquetFile, columns: Mapping[str, str], optional: Collection[str], where: str
) -> dict[str, list[str]]:
    """Name -> physical columns under the column that it asks for."""
    # Leaves stand in the same order in both schemas; only the physical one spells out the levels of lists.
    logical = [leaf for field in parquet.schema_arrow for leaf in _leaf_paths(field.name, field.type)]
    physical = [parquet.schema.column(i).path for i in range(len(logical))]
    leaves: dict[str, list[str]] = {}
    for name, column in columns.items():
        found = [
            p
            for leaf, p in zip(logical, physical, strict=True)
            if leaf == column or leaf.startswith(column + ".")
        ]
        if found:
            leaves[name] = found
        elif name not in optional:
            raise missing_column(column, logical, where)
    return leaves


def _leaf_paths(path: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaf_paths(f"{path}.{field.name}", field.type)
    elif pa.types.is_map(kind):
        yield from _leaf_paths(f"{path}.key", kind.key_type)
        yield from _leaf_paths(f"{path}.value", kind.item_type)
    elif _is_list(kind):
        yield from _leaf_paths(path, kind.value_type)
    else:
        yield path


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(_undecoded(column.type)).to_pylist()


def _undecoded(kind: pa.DataType) -> pa.DataType:
    """The type with `binary` for `string`, however deep."""
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_undecoded(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_undecoded(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_undecoded(kind.value_type)))
    return kind


def _json_rows(
    file: BinaryIO, where: str, columns: Mapping[str, str], optional: Collection[str]
) -> Iterator[dict[str, Any]]:
    lines = _json_lines(file, where)
    first = list(itertools.islice(lines, _JSONL_LOOK))
    known = sorted({path for line in first for path in _json_paths(_parsed(line))})
    paths = {name: column.split(".") for name, column in columns.items()}
    for name, column in columns.items():
        if known and name not in optional and column not in known:
            raise missing_column(column, known, f"the first {len(first)} rows of {where}")
    first_name = next(iter(columns))
    for line in itertools.chain(first, lines):
        row = _parsed(line)
        if isinstance(row, dict):
            yield {name: pick(row, path) for name, path in paths.items()}
        else:
            yield {**dict.fromkeys(columns), first_name: row}


def _json_lines(file: BinaryIO, where: str) -> Iterator[bytes]:
    magic = file.read(2)
    file.seek(0)
    try:
        if magic == b"\x1f\x8b":
            with gzip.open(file) as unzipped:
                yield from (line for line in unzipped if line.strip())
        else:
            # A Hub file has no buffer of its own: see HubFiles.open.
            buffered = io.BufferedReader(cast(io.RawIOBase, file), _JSONL_BLOCK)
            yield from (line for line in buffered if line.strip())
    except (EOFError, gzip.BadGzipFile) as error:
        raise SourceError(f"{where} is not a whole gzip file: {error}. Fetch or write it again.") from error


def _parsed(line: bytes) -> Any:
    """A row; or, for a line that is none, a list with its beginning, or bytes that are not UTF-8."""
    line = line.rstrip(b"\r\n")
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return line[:_EXCERPT] + b"\xff"
    except (ValueError, RecursionError):
        return [line[:_EXCERPT].decode("utf-8", "replace")]
    return row if isinstance(row, dict) else [str(row)[:_EXCERPT]]


def _json_paths(value: Any, prefix: str = "") -> Iterator[str]:
    if prefix:
        yield prefix
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _json_paths(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and prefix:
        for element in value[:1]:
            yield from _json_paths(element, prefix)
