# SPDX-License-Identifier: Apache-2.0
"""Evaluation results that models carry in `.eval_results/*.yaml`, and the leaderboards made of them."""

import sqlite3
from typing import Any

from xlt_hf.localhub.accounts import Actor
from xlt_hf.localhub.cards import CardError, parse_yaml
from xlt_hf.localhub.errors import HubError
from xlt_hf.localhub.history import MAIN, resolve
from xlt_hf.localhub.hub import Hub
from xlt_hf.localhub.repos import visible_repos
from xlt_hf.localhub.trees import Entry

_FOLDER = ".eval_results/"


def eval_results(hub: Hub, files: dict[str, Entry]) -> list[dict[str, Any]]:
    """Every result of a revision: `{filename, verified, data}`, or `{filename, error}` for a wrong one."""
    results: list[dict[str, Any]] = []
    for path, entry in files.items():
        if not path.startswith(_FOLDER) or not path.endswith((".yaml", ".yml")):
            continue
        name = path.removeprefix(_FOLDER)
        try:
            items = parse_yaml(hub.text(entry) or "")
        except CardError as error:
            results.append({"filename": name, "error": f"Invalid YAML: {error}"})
            continue
        for item in items if isinstance(items, list) else [items]:
            problem = _problem(item)
            results.append(
                {"filename": name, "error": problem}
                if problem
                else {"filename": name, "verified": False, "data": item}
            )
    return results


def _problem(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "a result must be a mapping"
    dataset = item.get("dataset")
    if not isinstance(dataset, dict) or not isinstance(dataset.get("id"), str):
        return '"dataset.id" is required'
    if not isinstance(dataset.get("task_id"), str):
        return '"dataset.task_id" is required'
    if not isinstance(item.get("value"), int | float) or isinstance(item.get("value"), bool):
        return '"value" must be a number'
    return None


def leaderboard(
    hub: Hub, db: sqlite3.Connection, actor: Actor | None, dataset_id: str, task_id: str | None
) -> list[dict[str, Any]]:
    """The results on a dataset of the models that the actor may see, best first.

    Equal values share a rank.
    """
    entries: list[dict[str, Any]] = []
    for repo in visible_repos(db, actor, "model"):
        try:
            commit = resolve(db, repo, MAIN)
        except HubError:
            continue
        for result in eval_results(hub, hub.trees.files(db, commit.tree)):
            data = result.get("data")
            if data is None or data["dataset"]["id"].lower() != dataset_id.lower():
                continue
            if task_id is not None and data["dataset"]["task_id"] != task_id:
                continue
            entry = {
                "modelId": repo.full_name,
                "value": data["value"],
                "filename": _FOLDER + result["filename"],
                "verified": False,
                "taskId": data["dataset"]["task_id"],
                "author": {"name": repo.owner, "fullname": repo.owner, "type": repo.owner_kind},
            }
            entry |= {key: data[key] for key in ("source", "notes") if key in data}
            entries.append(entry)
    entries.sort(key=lambda entry: (-entry["value"], entry["modelId"], entry["filename"]))
    values = [entry["value"] for entry in entries]
    return [{"rank": values.index(entry["value"]) + 1, **entry} for entry in entries]
