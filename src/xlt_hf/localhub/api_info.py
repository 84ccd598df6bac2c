# SPDX-License-Identifier: Apache-2.0
"""Endpoints that describe repositories: info, lists, leaderboards."""

import json
import sqlite3
from typing import Any

from starlette.responses import JSONResponse, Response

from xlt_hf.localhub.api_refs import iso
from xlt_hf.localhub.blobs import lfs_pointer
from xlt_hf.localhub.cards import CardError, card_tags, matches_filters, parse_card
from xlt_hf.localhub.errors import HubError
from xlt_hf.localhub.eval_results import eval_results, leaderboard
from xlt_hf.localhub.history import MAIN, Commit, resolve
from xlt_hf.localhub.hub import Hub
from xlt_hf.localhub.repos import Repo, readable_repo, visible_repos
from xlt_hf.localhub.trees import Entry
from xlt_hf.localhub.web import Call, Routes

routes = Routes()
_MAX_PAGE = 1000
_SORT_KEYS = {
    "lastModified": "lastModified",
    "createdAt": "createdAt",
    "downloads": "downloads",
    "likes": "likes",
}
_LIST_FIELDS = {
    "model": (
        "author",
        "private",
        "gated",
        "downloads",
        "likes",
        "tags",
        "createdAt",
        "pipeline_tag",
        "library_name",
    ),
    "dataset": (
        "author",
        "private",
        "gated",
        "downloads",
        "likes",
        "tags",
        "createdAt",
        "lastModified",
        "sha",
    ),
    "space": ("author", "private", "likes", "tags", "createdAt", "sdk"),
}
_COMMON_PROPERTIES = """
author cardData createdAt disabled downloads downloadsAllTime gated lastModified likes private resourceGroup
sha siblings tags trendingScore usedStorage
"""
_MODEL_PROPERTIES = """
baseModels childrenModelCount config evalResults gguf inference inferenceProviderMapping library_name
mask_token model-index pipeline_tag safetensors spaces transformersInfo widgetData
"""
_DATASET_PROPERTIES = "citation description mainSize paperswithcode_id"
_SPACE_PROPERTIES = "datasets models region runtime sdk subdomain"
_PROPERTIES = {
    "model": frozenset(f"{_COMMON_PROPERTIES} {_MODEL_PROPERTIES}".split()),
    "dataset": frozenset(f"{_COMMON_PROPERTIES} {_DATASET_PROPERTIES}".split()),
    "space": frozenset(f"{_COMMON_PROPERTIES} {_SPACE_PROPERTIES}".split()),
}
_FULL_FIELDS = (
    "author",
    "private",
    "gated",
    "downloads",
    "likes",
    "tags",
    "createdAt",
    "lastModified",
    "sha",
    "siblings",
)


class Description:
    """What the API says of a repository at a commit; each property is worked out when it is asked for."""

    def __init__(self, hub: Hub, db: sqlite3.Connection, repo: Repo, commit: Commit) -> None:
        self._hub = hub
        self.repo = repo
        self.commit = commit
        self.files = hub.trees.files(db, commit.tree)
        self.readme = hub.text(self.files.get("README.md")) or ""
        try:
            self.card: dict[str, Any] | None = parse_card(self.readme)
        except CardError:
            self.card = None  # validate-yaml says what is wrong with it

    def tags(self) -> list[str]:
        """Tags, as the lists filter on them."""
        tags = card_tags(self.repo.type, self.card or {}, self.readme)
        if self.repo.type == "model":
            library, task = self.library_name(), self.pipeline_tag()
            tags = [*([library] if library else []), *tags, *([task] if task else [])]
            if any(path.endswith(".safetensors") for path in self.files):
                tags.append("safetensors")
        return list(dict.fromkeys(tags))

    def config(self) -> dict[str, Any]:
        """What `config.json` says of the architecture."""
        try:
            config = json.loads(self._hub.text(self.files.get("config.json")) or "{}")
        except ValueError:
            return {}
        return {
            key: config[key]
            for key in ("architectures", "model_type")
            if isinstance(config, dict) and key in config
        }

    def library_name(self) -> str | None:
        """The card's library, or transformers for a model with its configuration."""
        name = (self.card or {}).get("library_name")
        if isinstance(name, str):
            return name
        return "transformers" if "architectures" in self.config() else None

    def pipeline_tag(self) -> str | None:
        """The card's task, or text generation for a causal language model."""
        tag = (self.card or {}).get("pipeline_tag")
        if isinstance(tag, str):
            return tag
        architectures = self.config().get("architectures") or [""]
        return "text-generation" if str(architectures[0]).endswith("ForCausalLM") else None

    def siblings(self, blobs: bool) -> list[dict[str, Any]]:
        """Every file."""
        return [_sibling(entry, blobs) for entry in self.files.values()]

    def get(self, key: str, *, blobs: bool = False) -> Any:
        """One property by its name in the API; None for what this Hub does not know."""
        repo, card = self.repo, self.card or {}
        match key:
            case "author":
                return repo.owner
            case "sha":
                return self.commit.id
            case "private":
                return repo.private
            case "gated":
                return repo.gated
            case "disabled":
                return False
            case "downloads" | "downloadsAllTime" | "likes" | "trendingScore" | "childrenModelCount":
                return 0  # nobody counts on a local Hub
            case "createdAt":
                return iso(repo.created_at)
            case "lastModified":
                return iso(repo.updated_at)
            case "tags":
                return self.tags()
            case "cardData":
                return self.card
            case "model-index":
                return card.get("model-index") if repo.type == "model" else None
            case "siblings":
                return self.siblings(blobs)
            case "usedStorage":
                return sum({entry.sha256: entry.size for entry in self.files.values()}.values())
            case "evalResults":
                return eval_results(self._hub, self.files) if repo.type == "model" else None
            case "pipeline_tag":
                return self.pipeline_tag()
            case "library_name":
                return self.library_name()
            case "config":
                return self.config() or None
            case "transformersInfo":
                return (
                    {"auto_model": "AutoModelForCausalLM"}
                    if self.pipeline_tag() == "text-generation"
                    else None
                )
            case "baseModels" | "models" | "datasets":
                return card.get({"baseModels": "base_model"}.get(key, key))
            case "sdk":
                return card.get("sdk") or repo.sdk
            case "description":
                return card.get("pretty_name")
            case "runtime":
                running = card.get("sdk", repo.sdk) == "static"
                return {"stage": "RUNNING" if running else "NO_APP_FILE", "hardware": {}, "storage": None}
            case "host" | "subdomain":
                return None
        return None

    def select(self, keys: tuple[str, ...] | list[str], *, blobs: bool = False) -> dict[str, Any]:
        """`id` and some properties, without those that are unknown."""
        values = {key: self.get(key, blobs=blobs) for key in keys}
        answer: dict[str, Any] = {"_id": str(self.repo.id), "id": self.repo.full_name}
        if self.repo.type == "model":
            answer["modelId"] = self.repo.full_name
        return answer | {key: value for key, value in values.items() if value is not None}

    def everything(self, blobs: bool) -> dict[str, Any]:
        """What info answers without `expand`."""
        extra = {
            "model": (
                *(
                    "pipeline_tag",
                    "library_name",
                    "config",
                    "transformersInfo",
                    "model-index",
                    "evalResults",
                    "cardData",
                ),
                *("disabled", "usedStorage"),
            ),
            "dataset": ("cardData", "description", "disabled", "usedStorage"),
            "space": ("cardData", "sdk", "runtime", "models", "datasets", "disabled", "usedStorage"),
        }[self.repo.type]
        return self.select([*_FULL_FIELDS, *extra], blobs=blobs)


def _sibling(entry: Entry, blobs: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"rfilename": entry.path}
    if blobs:
        answer |= {"size": entry.size, "blobId": entry.oid}
        if entry.kind == "lfs":
            pointer = len(lfs_pointer(entry.sha256, entry.size))
            answer["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": pointer}
    return answer


@routes.add("GET HEAD", "/api/{type}/{ns}/{name}", "/api/{type}/{ns}/{name}/revision/{rev*}")
def info(call: Call) -> Response:
    """A repository at a revision."""
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
        commit = resolve(db, repo, call.args.get("rev") or MAIN)
        described = Description(call.hub, db, repo, commit)
    expand = _expanded(call)
    if expand:
        return JSONResponse(described.select(expand))
    return JSONResponse(described.everything(call.flag("blobs")))


@routes.add("GET", "/api/{type}")
def list_repos(call: Call) -> Response:
    """Repositories that the caller may see, filtered, sorted, a page at a time."""
    sort = call.query("sort") or "lastModified"
    limit = _number(call.query("limit"), _MAX_PAGE)
    start = _number(call.query("cursor"), 0)
    author, search = call.query("author"), [word.lower() for word in call.query_list("search")]
    found = []
    with call.hub.db.read() as db:
        for repo in visible_repos(db, call.actor, call.repo_type):
            if author is not None and repo.owner.lower() != author.lower():
                continue
            if not all(word in repo.full_name.lower() for word in search):
                continue
            described = Description(call.hub, db, repo, resolve(db, repo, MAIN))
            if _selected(call, described):
                found.append(described)
    if sort in ("createdAt", "lastModified"):
        newest = {"createdAt": "created_at", "lastModified": "updated_at"}[sort]
        found.sort(key=lambda one: getattr(one.repo, newest), reverse=call.query("direction") != "1")
    elif sort not in ("downloads", "likes", "trendingScore", "id"):
        raise HubError(
            400, f"Invalid sort '{sort}': createdAt, lastModified, downloads, likes, trendingScore or id"
        )
    limit = max(1, min(limit, _MAX_PAGE))
    page = found[start : start + limit]
    headers = {}
    if start + limit < len(found):
        url = call.request.url.include_query_params(cursor=start + limit)
        headers["Link"] = f'<{url}>; rel="next"'
    return JSONResponse([one.select(_fields(call)) for one in page], headers=headers)


def _expanded(call: Call) -> list[str]:
    asked = call.query_list("expand")
    known = _PROPERTIES[call.repo_type]
    for name in asked:
        if name not in known:
            raise HubError(400, f"Unknown property '{name}' to expand: one of {', '.join(sorted(known))}")
    return asked


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit():
        raise HubError(400, f"'{text}' is not a number")
    return int(text)


def _selected(call: Call, described: Description) -> bool:
    gated = call.query("gated")
    if gated is not None and (gated.lower() == "true") != bool(described.repo.gated):
        return False
    filters = call.query_list("filter") + call.query_list("pipeline_tag")
    if call.repo_type == "space":
        card = described.card or {}
        for key in ("models", "datasets"):
            if not set(call.query_list(key)) <= set(card.get(key) or []):
                return False
    return not filters or matches_filters(described.tags(), filters)


def _fields(call: Call) -> list[str]:
    expand = _expanded(call)
    if expand:
        return expand
    fields = list(_FULL_FIELDS if call.flag("full") else _LIST_FIELDS[call.repo_type])
    if call.flag("full") and call.repo_type == "model":
        fields += ["pipeline_tag", "library_name"]
    if call.flag("full") and call.repo_type != "model":
        fields.append("cardData")
    return fields + [key for key in ("cardData", "config") if call.flag(key)]


@routes.add("GET", "/api/datasets/{ns}/{name}/leaderboard")
def dataset_leaderboard(call: Call) -> Response:
    """Models ranked by the results on this dataset that they carry."""
    with call.hub.db.read() as db:
        repo = readable_repo(db, call.actor, "dataset", call.args["ns"], call.args["name"])
        return JSONResponse(leaderboard(call.hub, db, call.actor, repo.full_name, call.query("task_id")))
