# SPDX-License-Identifier: Apache-2.0
"""Find each page's nearest pages by TF-IDF, draw the test, train and control questions, publish one dataset a task.

    python recipes/build_qa.py

Reads:  the study's source of documents and of questions.
Writes: dataset {ns}/{study}-{task} for every task.
"""

import tempfile
from pathlib import Path

from xlt_hf.recipe import DataArguments, run, start


def main() -> None:
    recipe = start(DataArguments, __doc__)
    study = recipe.study
    artifacts = {task: recipe.map.questions(task) for task in study.tasks}
    from xlt_hf.hub.cards import questions_card
    from xlt_hf.hub.publish import already_published, publish_folder
    from xlt_hf.questions.build import build_questions, write_questions
    from xlt_hf.sources import Documents, load_questions
    from xlt_hf.study import as_dict

    sections = ("languages", "documents", "splits", "similarity")
    config = {name: as_dict(getattr(study, name)) for name in sections}
    manifests = {
        task: recipe.manifest("build_qa", {**config, "task": as_dict(study.tasks[task])}, {})
        for task in artifacts
    }
    source = Documents(study, recipe.client)
    if not recipe.arguments.dry_run and all(
        [
            already_published(recipe.hub, artifacts[task], manifests[task], replace=recipe.arguments.replace)
            for task in artifacts
        ]
    ):
        print(f"The questions of {study.name} are published already: nothing new.")
        return

    documents = recipe.collect(source).table
    built = build_questions(documents, load_questions(study), study)
    counts = built.counts()
    if recipe.arguments.dry_run:
        recipe.finish_dry_run(list(artifacts.values()), counts, [])
        return
    for task, artifact in artifacts.items():
        manifest = manifests[task].with_counts(**counts)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_questions(built, study.tasks[task].kind, study.languages, folder)
            questions_card(study, artifact, manifest, task).save(folder / "README.md")
            sha = publish_folder(recipe.hub, artifact, folder, manifest, f"Questions of {study.name}: {task}")
        print(f"Published {recipe.hub.url(artifact.repo_id, 'dataset')} at {sha[:8]}.")
    print("  " + ", ".join(f"{split} {n}" for split, n in counts["questions"].items()))


if __name__ == "__main__":
    run(main)
