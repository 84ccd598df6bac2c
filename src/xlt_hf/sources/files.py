# SPDX-License-Identifier: Apache-2.0
"""Aligned documents of the user's own: parquet or JSON lines, on this machine or in a Hub dataset."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import ColumnDocuments
from xlt_hf.sources.hub_files import STRICT, open_store
from xlt_hf.sources.schema import DatasetRef, SourceSize
from xlt_hf.sources.titles import raw_title

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True, config=STRICT)
class DocumentColumns:
    """Columns of the files; dots reach into structs, such as `text.en`. None for what they do not have."""

    source_text: str = "source_text"
    target_text: str = "target_text"
    doc_id: str = "doc_id"
    title: str = "title"
    url: str | None = None
    target_title: str | None = None


@dataclass(frozen=True, config=STRICT)
class FilesConfig:
    """Which files, and what their columns are called.

    Attributes:
        files: glob patterns of `.parquet` and `.jsonl` (or `.jsonl.gz`) files, read in this order.
        columns: see `DocumentColumns`.
        repo_id: Hub dataset that holds them; None for files on this machine.
        revision: its branch, tag or commit.
    """

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: DocumentColumns = field(default_factory=DocumentColumns)
    repo_id: str | None = None
    revision: str = "main"


class UserFiles:
    """The documents of such files.

    Args:
        config: which files.
        languages: (source, target) codes; the columns already say which is which.
        api: client of the Hub.
    """

    def __init__(self, config: FilesConfig, languages: Sequence[str], api: "HfApi") -> None:
        columns = {
            name: getattr(config.columns, name)
            for name in DocumentColumns.__dataclass_fields__
            if getattr(config.columns, name) is not None
        }
        store = open_store(api, config.repo_id, config.revision)
        self._documents = ColumnDocuments(store, config.files, columns)

    def refs(self) -> list[DatasetRef]:
        """The Hub dataset at its resolved commit; empty for files on this machine."""
        return self._documents.refs()

    def content_key(self) -> str:
        """sha256 over the files on this machine; `""` on the Hub."""
        return self._documents.content_key()

    def shards(self) -> list[str]:
        """Paths of the files."""
        return self._documents.shards()

    def size(self) -> SourceSize:
        """From footers; of JSON lines only the bytes are known."""
        return self._documents.size()

    def read(self, shard: str) -> Iterator[Mapping[str, Any]]:
        """Raw rows of one file."""
        for row in self._documents.read(shard):
            row["title"] = raw_title(row["title"])
            yield row
