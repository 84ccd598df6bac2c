# SPDX-License-Identifier: Apache-2.0
"""Print the results table with a verdict per filter, and publish it as a static page; or rerun what is published.

    python recipes/leaderboard.py
    python recipes/leaderboard.py --rerun --filter 4 --task facts

Reads:  dataset {ns}/{study}-results; with --rerun every model and question dataset that it names, at their commits.
Writes: space {ns}/{study}-leaderboard, space {ns}/xlt_qa (the metric); with --rerun nothing.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from xlt_hf.recipe import RecipeArguments, run, start


@dataclass(frozen=True)
class LeaderboardArguments(RecipeArguments):
    rerun: bool = False
    """Evaluate published models again at their pinned commits and compare answer by answer."""
    filter: int | None = None
    """With --rerun: only models of this filter."""
    task: str | None = None
    """With --rerun: only models of this task."""


def main() -> None:
    recipe = start(LeaderboardArguments, __doc__)
    arguments, study = recipe.arguments, recipe.study
    artifact, results_artifact = recipe.map.leaderboard(), recipe.map.results()
    if arguments.dry_run:
        found = recipe.find(results_artifact)
        counts = {"evaluations": len(found.manifest.config["runs"])} if found else {}
        recipe.finish_dry_run([artifact, recipe.map.metric()], counts, [results_artifact])
        return
    from xlt_hf.evaluation.verdict import verdicts_of
    from xlt_hf.hub.publish import already_published, publish_folder
    from xlt_hf.leaderboard.build import build_space, load_results
    from xlt_hf.leaderboard.metric_space import publish_metric
    from xlt_hf.leaderboard.rerun import rerun_published
    from xlt_hf.leaderboard.table import render_text, table_lines
    from xlt_hf.study import as_dict

    results = load_results(recipe, results_artifact)
    if arguments.rerun:
        differing = rerun_published(recipe, results, filter_level=arguments.filter, task=arguments.task)
        sys.exit(1 if differing else 0)

    verdicts = verdicts_of(
        results.predictions,
        source_recall_threshold=study.evaluation.source_recall_threshold,
        delta=study.evaluation.equivalence_margin,
        source=study.languages.source,
        target=study.languages.target,
        n_resamples=study.evaluation.bootstrap,
        seed=study.seed,
    )
    print(render_text(table_lines(results.scores, verdicts), verdicts))
    manifest = recipe.manifest(
        "leaderboard", {"evaluation": as_dict(study.evaluation)}, {"results": results.input}
    ).with_counts(scores=len(results.scores), predictions=len(results.predictions))
    # A leaderboard is a view of the newest results: it is the one artefact that is meant to change.
    if already_published(recipe.hub, artifact, manifest, replace=True):
        print(f"{artifact.repo_id} shows these results already: nothing new.")
    else:
        with tempfile.TemporaryDirectory() as name:
            build_space(recipe, results, verdicts, Path(name))
            publish_folder(recipe.hub, artifact, Path(name), manifest, "Leaderboard", space_sdk="static")
    print(publish_metric(recipe))
    print(f"Leaderboard: {recipe.hub.url(artifact.repo_id, 'space')}")


if __name__ == "__main__":
    run(main)
