# SPDX-License-Identifier: Apache-2.0
"""Page titles: the one form in which documents and questions name a page, and tables that give a key its title."""

import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import read_rows
from xlt_hf.sources.hub_files import STRICT, FileStore


def page_title(text: str) -> str:
    """A page's title as all sources write it: NFC, spaces for underscores, no two spaces in a row.

    MediaWiki treats `Super_Bowl_50` and `Super Bowl 50` as one title, and so must whoever joins on titles.
    """
    return " ".join(unicodedata.normalize("NFC", text).replace("_", " ").split())


def raw_title(value: Any) -> Any:
    """`page_title` of a raw value; what is not text, or not UTF-8, stays what it is."""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return page_title(value) if isinstance(value, str) else value


def page_url(title: str, language: str) -> str:
    """Address of a Wikipedia page, for sources that give its title only."""
    return f"https://{language}.wikipedia.org/wiki/{quote(title.replace(' ', '_'))}"


@dataclass(frozen=True, config=STRICT)
class TitleTableConfig:
    """A table that gives a key, such as a question or a doc_id, the title of its page.

    Attributes:
        files: glob patterns of parquet or jsonl files, in the dataset or on this machine.
        key, title, url: their columns; dots reach into structs. Without `url` the address follows from the title.
        repo_id: Hub dataset that holds the files; None for files on this machine.
        revision: its branch, tag or commit.
    """

    files: tuple[str, ...]
    key: str
    title: str = "title"
    url: str | None = None
    repo_id: str | None = None
    revision: str = "main"


def title_rows(config: TitleTableConfig, store: FileStore) -> Iterator[tuple[Any, str, Any]]:
    """The table's (key, title, url): key and url raw, rows without a title left out.

    Args:
        store: from `open_store(api, config.repo_id, config.revision)`.

    Raises:
        SourceError: a file or a column is missing.
    """
    columns = {"key": config.key, "title": config.title}
    if config.url is not None:
        columns["url"] = config.url
    for entry in store.matching(config.files):
        for row in read_rows(store, entry.path, columns):
            title = raw_title(row["title"])
            if isinstance(title, str) and title:
                yield row["key"], title, row.get("url")
