# SPDX-License-Identifier: Apache-2.0
"""Pages for a person: what has been published, a card, files, history."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import yaml
from starlette.responses import FileResponse, Response

from xlt_hf.localhub.api_info import Description
from xlt_hf.localhub.cards import split_card, texts
from xlt_hf.localhub.errors import CorruptBlobError, entry_not_found
from xlt_hf.localhub.eval_results import leaderboard
from xlt_hf.localhub.history import MAIN, Commit, folder_of, history, last_changes, list_refs, resolve
from xlt_hf.localhub.markdown import mostly_devanagari, render_markdown
from xlt_hf.localhub.rendering import TEMPLATES, page
from xlt_hf.localhub.repos import REPO_TYPES, Repo, check_gate, readable_repo, visible_repos
from xlt_hf.localhub.static_spaces import app_address
from xlt_hf.localhub.web import Call, Routes

routes = Routes()
_SHOWN_BYTES = 512 << 10
_SHOWN_COMMITS = 50
_SHOWN_TAGS = 6


@routes.add("GET HEAD", "/assets/hub.css")
def stylesheet(call: Call) -> Response:
    """The one style sheet."""
    return FileResponse(TEMPLATES / "hub.css", media_type="text/css", headers={"Cache-Control": "no-cache"})


@routes.add("GET HEAD", "/", "/{type}", cookies=True)
def index(call: Call) -> Response:
    """Every repository that the person may see."""
    words = (call.query("q") or "").lower().split()
    kinds = [call.repo_type] if "type" in call.args else list(REPO_TYPES)
    sections: list[tuple[str, list[dict[str, Any]]]] = []
    with call.hub.db.read() as db:
        for kind in kinds:
            repos: list[dict[str, Any]] = []
            for repo in visible_repos(db, call.actor, kind):
                described = Description(call.hub, db, repo, resolve(db, repo, MAIN))
                tags = described.tags()
                haystack = " ".join([repo.full_name, *tags]).lower()
                if all(word in haystack for word in words):
                    repos.append({"repo": repo, "tags": tags[:_SHOWN_TAGS]})
            repos.sort(key=lambda one: -one["repo"].updated_at)
            sections.append((kind, repos))
    return page(call, "index.html", sections=sections, q=call.query("q") or "")


@dataclass
class _View:
    """A repository at a revision, as its pages' head shows it."""

    repo: Repo
    revision: str
    commit: Commit
    branches: list[str]
    tags: list[str]
    tab: str


def _view(call: Call, db: sqlite3.Connection, tab: str) -> _View:
    repo = readable_repo(db, call.actor, call.repo_type, call.args["ns"], call.args["name"])
    revision = call.args.get("rev") or MAIN
    commit = resolve(db, repo, revision)
    branches = [ref.name for ref in list_refs(db, repo, "branch")]
    tags = [ref.name for ref in list_refs(db, repo, "tag")]
    return _View(repo, revision, commit, branches, tags, tab)


@routes.add("GET HEAD", "/{type}/{ns}/{name}", "/{ns}/{name}", cookies=True)
def card(call: Call) -> Response:
    """A repository's card."""
    with call.hub.db.read() as db:
        view = _view(call, db, "card")
        described = Description(call.hub, db, view.repo, view.commit)
        results = (
            leaderboard(call.hub, db, call.actor, view.repo.full_name, None)
            if view.repo.type == "dataset"
            else []
        )
    metadata = described.card or {}
    front, body = split_card(described.readme)
    return page(
        call,
        "card.html",
        view=view,
        tags=described.tags(),
        metadata=[
            (key, *_readable(value)) for key, value in metadata.items() if key not in ("tags", "model-index")
        ],
        broken=front is not None and bool(front.strip()) and described.card is None,
        html=render_markdown(body, view.repo.path, view.revision, "", texts(metadata.get("language"))),
        results=_model_index(metadata.get("model-index")),
        leaderboard=results,
        app=app_address(call.hub, view.repo)
        if described.get("sdk") == "static" and view.repo.type == "space"
        else None,
    )


def _readable(value: Any) -> tuple[bool, str]:
    """Whether a value needs more than a line, and its text."""
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return False, ", ".join(str(item) for item in value)
    if isinstance(value, dict | list):
        return True, yaml.safe_dump(value, allow_unicode=True, sort_keys=False).strip()
    return False, str(value)


def _model_index(index: Any) -> list[dict[str, str]]:
    """Rows of results; what is not as it should be is left out, for the raw card shows it."""
    rows = []
    for model in index if isinstance(index, list) else []:
        for result in (model.get("results") or []) if isinstance(model, dict) else []:
            if not isinstance(result, dict):
                continue
            dataset, task = result.get("dataset") or {}, result.get("task") or {}
            for metric in result.get("metrics") or []:
                if isinstance(dataset, dict) and isinstance(task, dict) and isinstance(metric, dict):
                    where = [str(dataset[key]) for key in ("name", "config", "split") if dataset.get(key)]
                    rows.append(
                        {
                            "task": str(task.get("name") or task.get("type") or ""),
                            "dataset": " · ".join(where),
                            "metric": str(metric.get("name") or metric.get("type") or ""),
                            "value": str(metric.get("value")),
                        }
                    )
    return rows


@routes.add(
    "GET HEAD", "/{type}/{ns}/{name}/tree/{rev}/{path*}", "/{ns}/{name}/tree/{rev}/{path*}", cookies=True
)
def tree(call: Call) -> Response:
    """A folder."""
    path = call.args["path"].strip("/")
    with call.hub.db.read() as db:
        view = _view(call, db, "files")
        listing = call.hub.trees.listing(db, view.commit.tree)
        if path and (path not in listing or listing[path].kind != "tree"):
            raise entry_not_found(path, "No such folder")
        entries = folder_of(listing, path, recursive=False)
        entries.sort(key=lambda entry: (entry.kind != "tree", entry.path))
        commits = last_changes(db, view.repo, call.hub.trees, view.commit, [entry.path for entry in entries])
    return page(
        call, "tree.html", view=view, path=path, entries=entries, commits=commits, crumbs=_crumbs(path)
    )


def _crumbs(path: str) -> list[tuple[str, str]]:
    parts = path.split("/") if path else []
    return [(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)]


@routes.add(
    "GET HEAD", "/{type}/{ns}/{name}/blob/{rev}/{path*}", "/{ns}/{name}/blob/{rev}/{path*}", cookies=True
)
def blob(call: Call) -> Response:
    """A file, shown if it is text of a reasonable size."""
    path = call.args["path"]
    with call.hub.db.read() as db:
        view = _view(call, db, "files")
        check_gate(call.actor, view.repo)
        entry = call.hub.trees.listing(db, view.commit.tree).get(path)
    if entry is None or entry.kind == "tree":
        raise entry_not_found(path, "No such file")
    text, html, problem = None, None, None
    if entry.kind == "file" and entry.size <= _SHOWN_BYTES:
        try:
            text = call.hub.blobs.read(entry.sha256).decode()
        except UnicodeDecodeError:
            text = None
        except CorruptBlobError as error:
            problem = str(error)
    if text is not None and path.endswith(".md"):
        html = render_markdown(split_card(text)[1], view.repo.path, view.revision, path.rpartition("/")[0])
    return page(
        call,
        "blob.html",
        view=view,
        entry=entry,
        text=text,
        html=html,
        problem=problem,
        language="hi" if text and mostly_devanagari(text) else None,
        crumbs=_crumbs(path),
    )


@routes.add("GET HEAD", "/{type}/{ns}/{name}/commits/{rev}", "/{ns}/{name}/commits/{rev}", cookies=True)
def commits(call: Call) -> Response:
    """The history of a revision."""
    with call.hub.db.read() as db:
        view = _view(call, db, "commits")
        start = resolve(db, view.repo, call.query("from") or view.revision)
        found = [commit for commit, _ in zip(history(db, view.repo, start), range(_SHOWN_COMMITS + 1))]
    older = found[_SHOWN_COMMITS].id if len(found) > _SHOWN_COMMITS else None
    return page(call, "commits.html", view=view, commits=found[:_SHOWN_COMMITS], older=older)


@routes.add("GET HEAD", "/{type}/{ns}/{name}/commit/{rev}", "/{ns}/{name}/commit/{rev}", cookies=True)
def commit_page(call: Call) -> Response:
    """What a commit changed."""
    with call.hub.db.read() as db:
        view = _view(call, db, "commits")
        now = call.hub.trees.files(db, view.commit.tree)
        parent = resolve(db, view.repo, view.commit.parent) if view.commit.parent else None
        before = call.hub.trees.files(db, parent.tree) if parent else {}
    changes = [
        ("added" if path not in before else "deleted" if path not in now else "changed", path)
        for path in sorted(now.keys() | before.keys())
        if now.get(path) != before.get(path)
    ]
    return page(call, "commit.html", view=view, commit=view.commit, changes=changes)


@routes.add("GET HEAD", "/{type}/{ns}/{name}/refs", "/{ns}/{name}/refs", cookies=True)
def refs(call: Call) -> Response:
    """Branches and tags."""
    with call.hub.db.read() as db:
        view = _view(call, db, "refs")
        found = [*list_refs(db, view.repo, "branch"), *list_refs(db, view.repo, "tag")]
        heads = {ref.commit_id: resolve(db, view.repo, ref.commit_id) for ref in found}
    return page(call, "refs.html", view=view, refs=found, heads=heads)
