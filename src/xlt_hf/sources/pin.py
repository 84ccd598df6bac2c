# SPDX-License-Identifier: Apache-2.0
"""Pin a source's settings: every branch or tag in them becomes the commit that it points to now."""

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from xlt_hf.sources.hub_files import HubFiles, LocalFiles, content_hash
from xlt_hf.sources.schema import DatasetRef

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Config = TypeVar("Config")


@dataclasses.dataclass
class Pinned:
    """What a source reads, exactly.

    Attributes:
        refs: Hub datasets at their commits.
        local: hash of the files on this machine, `""` for none.
    """

    refs: list[DatasetRef] = dataclasses.field(default_factory=list)
    local: str = ""


def pin(config: Config, api: "HfApi") -> tuple[Config, Pinned]:
    """A copy of a settings dataclass with commits for revisions, and what it reads.

    Pairs of fields `repo_id` and `revision` (or `x_repo_id` and `x_revision`) are looked for at every depth. Without
    a `repo_id`, the `files` beside it lie on this machine.

    Raises:
        SourceError: a dataset, a revision or a file is missing.
    """
    found = Pinned()
    digest = hashlib.sha256()
    pinned = _walk(config, api, found, digest)
    found.local = digest.hexdigest() if digest.digest() != hashlib.sha256().digest() else ""
    found.refs = list(dict.fromkeys(found.refs))
    return pinned, found


def _walk(config: Any, api: "HfApi", found: Pinned, digest: Any) -> Any:
    changes: dict[str, Any] = {}
    names = [field.name for field in dataclasses.fields(config)]
    for name in names:
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            changes[name] = _walk(value, api, found, digest)
        elif name == "titles_repo_id" and getattr(config, "titles_file", None) is not None:
            # The file takes the place of the dataset, and has the same revision.
            repo_id, colon, _ = config.titles_file.partition(":")
            if Path(config.titles_file).exists() or not colon:
                _add(digest, [config.titles_file])
            else:
                commit = HubFiles(api, repo_id, config.titles_revision).ref.revision
                found.refs.append(DatasetRef(repo_id, commit))
                changes["titles_revision"] = commit
        elif name.endswith("repo_id"):
            revision = f"{name.removesuffix('repo_id')}revision"
            if value is not None:
                commit = HubFiles(api, value, getattr(config, revision)).ref.revision
                found.refs.append(DatasetRef(value, commit))
                changes[revision] = commit
            elif "files" in names:
                _add(digest, config.files)
    return dataclasses.replace(config, **changes)


def _add(digest: Any, patterns: Iterable[str]) -> None:
    digest.update(content_hash(LocalFiles().matching(list(patterns))).encode())
