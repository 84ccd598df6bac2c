# SPDX-License-Identifier: Apache-2.0
"""Publish the scoring rules as a metric Space, loadable with ``evaluate.load``."""

import shutil
import tempfile
from pathlib import Path

import xlt_hf.evaluation.metric
from xlt_hf.hub.publish import already_published, publish_folder
from xlt_hf.recipe import Recipe

METRIC_FOLDER = Path(xlt_hf.evaluation.metric.__file__ or "").parent / "xlt_qa"


def publish_metric(recipe: Recipe) -> str:
    """Publish the metric's folder, unless this version is published already.

    Returns:
        One line for a person.
    """
    artifact = recipe.map.metric()
    manifest = recipe.manifest("metric", {}, {})
    if already_published(recipe.hub, artifact, manifest, replace=True):
        return f"{artifact.repo_id} is published already: nothing new."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "space"
        shutil.copytree(METRIC_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        publish_folder(recipe.hub, artifact, folder, manifest, "Scoring rules", space_sdk="static")
    return f"Metric: {recipe.hub.url(artifact.repo_id, 'space')}"
