# SPDX-License-Identifier: Apache-2.0
"""Ask a finetuned model the test and control questions in both languages; publish predictions, scores, eval card.

    python recipes/run_eval.py --filter 4 --task facts

Reads:  model {ns}/{study}-{size}-filter-{k}-{task}, dataset {ns}/{study}-{task}, both at pinned commits.
Writes: dataset {ns}/{study}-results; the eval card on the model's branch.
"""

from dataclasses import dataclass

from xlt_hf.recipe import RecipeArguments, run, start


@dataclass(frozen=True)
class EvalArguments(RecipeArguments):
    filter: int = 0
    """Pretraining filter of the model, 0 to 4."""
    size: str | None = None
    """Model size (default: the study's first)."""
    task: str | None = None
    """Task of the model (default: the study's first)."""
    epoch: int | None = None
    """Evaluate the branch of one finetuning epoch (default: main, the last one)."""
    all_epochs: bool = False
    """Evaluate the branch of every epoch, and main."""


def main() -> None:
    recipe = start(EvalArguments, __doc__)
    arguments, study = recipe.arguments, recipe.study
    size, task = study.size(arguments.size), study.task(arguments.task)
    model_artifact = recipe.map.finetuned_model(size, arguments.filter, task, arguments.seed)
    questions_artifact, results_artifact = recipe.map.questions(task), recipe.map.results()
    if arguments.dry_run:
        found = recipe.find(questions_artifact)
        counts = {"questions": found.manifest.counts["questions"]} if found else {}
        recipe.finish_dry_run([results_artifact], counts, [model_artifact, questions_artifact])
        return
    from xlt_hf.evaluation.evaluate_model import evaluate_branch
    from xlt_hf.hub.load import load_questions

    recipe.require(model_artifact)
    questions_input = recipe.require(questions_artifact)
    questions = load_questions(recipe.hub, questions_input)
    if arguments.max_samples is not None:
        questions = {split: rows[: arguments.max_samples] for split, rows in questions.items()}
    epochs = study.finetuning[task].epochs
    wanted: list[int | None] = [*range(1, epochs + 1), None] if arguments.all_epochs else [arguments.epoch]
    for epoch in wanted:
        outcome = evaluate_branch(
            recipe,
            size=size,
            filter_level=arguments.filter,
            task=task,
            epoch=epoch,
            questions_input=questions_input,
            questions=questions,
        )
        print(outcome)


if __name__ == "__main__":
    run(main)
