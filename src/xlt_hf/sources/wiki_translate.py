# SPDX-License-Identifier: Apache-2.0
"""`ai4bharat/wiki-translate`: English Wikipedia with its machine translations, a row an aligned document.

The files hold 14 languages; of each row the two texts of the study, its id, title and address are downloaded and the
other columns are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import ColumnDocuments, column_names, missing_column
from xlt_hf.sources.hub_files import STRICT, HubFiles, SourceError
from xlt_hf.sources.language_codes import script_codes
from xlt_hf.sources.schema import DatasetRef, SourceSize
from xlt_hf.sources.titles import raw_title

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True, config=STRICT)
class WikiTranslateConfig:
    """Which dataset of that form.

    Attributes:
        repo_id: Hub dataset.
        revision: branch, tag or commit.
        files: glob pattern of its parquet files.
        columns: language code -> column, where it is not the ISO 639-3 code and script (`hi` -> `hin_Deva`).
    """

    repo_id: str = "ai4bharat/wiki-translate"
    revision: str = "main"
    files: str = "train/*.parquet"
    columns: dict[str, str] = field(default_factory=dict)


class WikiTranslate:
    """Its documents in two languages.

    Args:
        config: which dataset.
        languages: (source, target) codes.
        api: client of the Hub.
    """

    def __init__(self, config: WikiTranslateConfig, languages: Sequence[str], api: "HfApi") -> None:
        self.config = config
        self.languages = languages
        self.store = HubFiles(api, config.repo_id, config.revision)

    @cached_property
    def _documents(self) -> ColumnDocuments:
        entries = self.store.matching([self.config.files])
        known = column_names(self.store, entries[0].path)
        source, target = (self._column(language, known, entries[0].path) for language in self.languages)
        names = {
            "doc_id": "doc_id",
            "title": "title",
            "url": "url",
            "source_text": source,
            "target_text": target,
        }
        return ColumnDocuments(self.store, [self.config.files], names)

    def _column(self, language: str, known: Sequence[str], path: str) -> str:
        where = f"{path} of {self.store.name}"
        chosen = self.config.columns.get(language)
        if chosen is not None:
            if chosen not in known:
                raise missing_column(chosen, known, where)
            return chosen
        for code in script_codes(language):
            if code in known:
                return code
        raise SourceError(
            f"No column of {where} holds the language '{language}'. Columns there: {', '.join(known)}. Name it in the "
            f"study: documents.wiki_translate.columns.{language}."
        )

    def refs(self) -> list[DatasetRef]:
        """The dataset at its resolved commit."""
        return self.store.refs()

    def content_key(self) -> str:
        """Nothing beside the commit."""
        return ""

    def shards(self) -> list[str]:
        """Paths of the parquet files."""
        return self._documents.shards()

    def size(self) -> SourceSize:
        """Extrapolated from four footers; see `columns.estimate_size`."""
        return self._documents.size()

    def read(self, shard: str) -> Iterator[Mapping[str, Any]]:
        """Raw rows of one file, streamed by row group."""
        for row in self._documents.read(shard):
            row["title"] = raw_title(row["title"])
            yield row
