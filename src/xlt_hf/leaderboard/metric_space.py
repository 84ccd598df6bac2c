# SPDX-License-Identifier: Apache-2.0
"""Publish the scoring rules as a metric Space, loadable with ``evaluate.load``."""

import tempfile
from pathlib import Path

from xlt_hf.evaluation.metric import build_metric_space
from xlt_hf.hub.publish import already_published, publish_folder
from xlt_hf.recipe import Recipe


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
        folder = Path(name)
        build_metric_space(folder)
        publish_folder(recipe.hub, artifact, folder, manifest, "Scoring rules", space_sdk="static")
    return f"Metric: {recipe.hub.url(artifact.repo_id, 'space')}"
