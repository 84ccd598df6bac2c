# SPDX-License-Identifier: Apache-2.0
"""Finetune a pretrained model on one task's train questions, both languages jointly; a branch per epoch.

    accelerate launch recipes/sft.py --filter 4 --task facts

Reads:  model {ns}/{study}-{size}-filter-{k}, dataset {ns}/{study}-{task}, {ns}/{study}-tokenizer.
Writes: model {ns}/{study}-{size}-filter-{k}-{task}, branches epoch-… and main.
"""

from dataclasses import dataclass
from pathlib import Path

from xlt_hf.recipe import RecipeArguments, run, start


@dataclass(frozen=True)
class SftArguments(RecipeArguments):
    filter: int = 0
    """Pretraining filter of the model, 0 to 4."""
    size: str | None = None
    """Model size (default: the study's first)."""
    task: str | None = None
    """Task to finetune on (default: the study's first)."""
    use_peft: bool = False
    """Train LoRA adapters instead of all weights; what is published is the merged model."""
    output_dir: Path = Path("outputs")
    """Folder for checkpoints and the outbox; a killed run goes on from what it finds there."""


def main() -> None:
    recipe = start(SftArguments, __doc__)
    arguments, study = recipe.arguments, recipe.study
    size, task = study.size(arguments.size), study.task(arguments.task)
    artifact = recipe.map.finetuned_model(size, arguments.filter, task, arguments.seed)
    sources = [
        recipe.map.base_model(size, arguments.filter, arguments.seed),
        recipe.map.questions(task),
        recipe.map.tokenizer(),
    ]
    if arguments.dry_run and not all(recipe.find(a) for a in sources):
        recipe.finish_dry_run([artifact], {}, sources)
        return
    from xlt_hf.evaluation.prompts import training_examples
    from xlt_hf.hub.load import load_model, load_questions, load_tokenizer
    from xlt_hf.hub.publish import already_published
    from xlt_hf.study import as_dict
    from xlt_hf.training.checkpoints import CheckpointPublisher
    from xlt_hf.training.finetuning import FinetuningRun, finetune
    from xlt_hf.training.processes import process_state

    base, questions, tokenizer_input = (recipe.require(a) for a in sources)
    settings = study.finetuning[task]
    config = {
        "filter": arguments.filter,
        "size": size,
        "task": {task: as_dict(study.tasks[task])},
        "finetuning": as_dict(settings),
        "use_peft": arguments.use_peft,
    }
    inputs = {"base_model": base, "questions": questions, "tokenizer": tokenizer_input}
    manifest = recipe.manifest("sft", config, inputs, seed=arguments.seed)
    found = None
    if not arguments.dry_run:
        found = already_published(recipe.hub, artifact, manifest, replace=arguments.replace)
        if found and not arguments.replace:
            if recipe.is_main:
                print(f"{artifact.repo_id} is published already ({found.ref.revision[:8]}): nothing new.")
            return

    train = load_questions(recipe.hub, questions, ["train"])["train"][: arguments.max_samples]
    examples = training_examples(study.tasks[task].kind, train, study.languages)
    if arguments.dry_run:
        steps = -(-len(examples) // settings.batch_size) * settings.epochs
        recipe.finish_dry_run([artifact], {"examples": len(examples), "steps": steps}, sources)
        return
    state = process_state()
    tokenizer = load_tokenizer(recipe.hub, tokenizer_input)
    publisher = CheckpointPublisher(
        recipe, artifact, manifest, tokenizer, arguments.output_dir, afresh=bool(found)
    )
    publisher.check_card()
    state.wait_for_everyone()  # no process may see checkpoints that the first is deleting
    finetune(
        FinetuningRun(
            settings,
            load_model(recipe.hub, base),
            tokenizer,
            examples,
            state.num_processes,
            study.evaluation.max_truncated,
            arguments.seed,
            publisher.run_folder,
            arguments.use_peft,
        ),
        publisher.publish_epoch,
    )
    publisher.close()


if __name__ == "__main__":
    run(main)
