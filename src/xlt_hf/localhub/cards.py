# SPDX-License-Identifier: Apache-2.0
"""Cards: the YAML at the top of a README.md, and the tags that the Hub draws from it."""

import datetime
import re
from collections.abc import Iterable
from typing import Any

import yaml

_FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n((?:.*?\r?\n)??)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_MAX_NODES = 200_000
_DATASET_TAG_KEYS = (
    "task_categories",
    "task_ids",
    "language_creators",
    "annotations_creators",
    "multilinguality",
    "source_datasets",
    "language",
    "license",
    "size_categories",
)
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})")


class CardError(ValueError):
    """The metadata cannot be read; the message says where."""


def split_card(text: str) -> tuple[str | None, str]:
    """The YAML text of a card, or None, and the Markdown below it."""
    match = _FRONT_MATTER.match(text)
    return (None, text) if match is None else (match.group(1), text[match.end() :])


def parse_card(text: str) -> dict[str, Any] | None:
    """Metadata of a card as JSON values; None without any.

    Raises:
        CardError: not YAML, or not a mapping.
    """
    front, _ = split_card(text)
    if front is None or not front.strip():
        return None
    data = parse_yaml(front)
    if not isinstance(data, dict):
        raise CardError("the metadata must be a mapping of `key: value` lines")
    return data


def parse_yaml(text: str) -> Any:
    """YAML as JSON values: dates as text, keys as text. CardError if it is not YAML."""
    try:
        return _jsonable(yaml.safe_load(text), [_MAX_NODES])
    except yaml.YAMLError as error:
        raise CardError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise CardError("the YAML is nested too deeply") from error


def _jsonable(value: Any, budget: list[int]) -> Any:
    budget[0] -= 1
    if budget[0] < 0:  # aliases can make a few lines expand without end
        raise CardError("the YAML is too large")
    if isinstance(value, dict):
        return {str(key): _jsonable(item, budget) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_jsonable(item, budget) for item in value]
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value not in (float("inf"), float("-inf")) and value == value:
        return value
    return str(value) if isinstance(value, float) else value


def texts(value: Any) -> list[str]:
    """The strings of a value that may be one string or a list of them."""
    items = value if isinstance(value, list) else [value]
    return [str(item) for item in items if isinstance(item, str | int | float) and not isinstance(item, bool)]


def card_tags(repo_type: str, card: dict[str, Any], text: str = "") -> list[str]:
    """The tags of a repository, as the Hub lists them, without repetitions."""
    tags: list[str] = []
    if repo_type == "model":
        tags += texts(card.get("library_name"))
        tags += texts(card.get("tags"))
        tags += texts(card.get("pipeline_tag"))
        tags += texts(card.get("language"))
        tags += [f"dataset:{name}" for name in texts(card.get("datasets"))]
        for base in texts(card.get("base_model")):
            relation = card.get("base_model_relation")
            tags += [
                f"base_model:{base}",
                *([f"base_model:{relation}:{base}"] if isinstance(relation, str) else []),
            ]
        tags += [f"license:{name}" for name in texts(card.get("license"))]
        if card.get("model-index"):
            tags.append("model-index")
    elif repo_type == "dataset":
        for key in _DATASET_TAG_KEYS:
            tags += [f"{key}:{item}" for item in texts(card.get(key))]
        tags += texts(card.get("tags"))
    else:
        tags += texts(card.get("sdk")) + texts(card.get("tags"))
        tags += [f"license:{name}" for name in texts(card.get("license"))]
    tags += [f"arxiv:{number}" for number in _ARXIV.findall(text)]
    return list(dict.fromkeys(tags))


def matches_filters(tags: Iterable[str], filters: Iterable[str]) -> bool:
    """Whether a repository has every tag asked for; `language:hi` finds `hi` too, as models carry it bare."""
    have = {tag.lower() for tag in tags}
    return all(
        wanted.lower() in have or wanted.lower().removeprefix("language:") in have
        for entry in filters
        for wanted in entry.split(",")
        if wanted
    )
