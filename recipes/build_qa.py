# SPDX-License-Identifier: Apache-2.0
"""Find each page's nearest pages by TF-IDF, draw the test, train and control questions, publish one dataset a task.

    python recipes/build_qa.py
    python recipes/build_qa.py --review review.csv --replace

Reads:  the study's sources of documents and of questions; {ns}/{study}-tokenizer where a task has passages.
Writes: dataset {ns}/{study}-{task} for every task.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from xlt_hf.recipe import DataArguments, run, start


@dataclass(frozen=True)
class QuestionArguments(DataArguments):
    review: Path | None = None
    """A corrected `review.csv` of an earlier build; its corrections are applied by id."""
    memory_budget: float = 4.0
    """GiB that the nearest pages may take; a larger index lies on the disk."""
    jobs: int = -1
    """Parallel workers of the nearest pages (-1: all cores)."""
    executor: str = "local"
    """Where the nearest pages are computed: `local`, or `dask://host:port` of a running scheduler."""


def main() -> None:
    recipe = start(QuestionArguments, __doc__)
    arguments, study = recipe.arguments, recipe.study
    artifacts = {task: recipe.map.questions(task) for task in study.tasks}
    from xlt_hf.corpora.estimate import estimate
    from xlt_hf.questions.build import Machine
    from xlt_hf.questions.publish import QuestionStage
    from xlt_hf.questions.review import read_review
    from xlt_hf.sources import CandidateQuestions, Documents

    documents = Documents(study, recipe.client, recipe.scratch)
    if arguments.dry_run:
        plan = estimate(study, documents.expected(arguments.max_samples))
        recipe.finish_dry_run(list(artifacts.values()), plan, [])
        return
    candidates = {name: CandidateQuestions(study, name, recipe.client) for name in study.questions}
    corrections = read_review(arguments.review) if arguments.review else {}
    memory = int(arguments.memory_budget * 2**30)
    machine = Machine(memory, arguments.jobs, arguments.executor, scratch=arguments.output_dir)
    stage = QuestionStage(recipe, documents, candidates, corrections, machine)
    if stage.published() and not arguments.replace:
        print(f"The questions of {study.name} are published already: nothing new.")
        return

    unknown = set(corrections)
    for name, tasks in stage.tasks_by_source().items():
        built, ids = stage.build(name)
        unknown -= ids
        for task in tasks:
            with tempfile.TemporaryDirectory() as folder:
                sha = stage.publish(built, task, Path(folder))
            print(f"Published {recipe.hub.url(artifacts[task].repo_id, 'dataset')} at {sha[:8]}.")
        print("  " + ", ".join(f"{split} {len(rows)}" for split, rows in built.splits.items()))
    if unknown:
        print(
            f"{len(unknown)} corrections are for rows that no dataset has: {', '.join(sorted(unknown)[:5])}."
        )


if __name__ == "__main__":
    run(main)
