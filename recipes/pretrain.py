# SPDX-License-Identifier: Apache-2.0
"""Pretrain a Llama from scratch on one filter's corpus; every checkpoint becomes a branch on the Hub.

    accelerate launch recipes/pretrain.py --filter 4
    accelerate launch --config_file accelerate_configs/cpu_ddp.yaml recipes/pretrain.py --filter 4

Reads:  {ns}/{study}-corpora, {ns}/{study}-tokenizer.
Writes: model {ns}/{study}-{size}-filter-{k}, branches step-… and main.
"""

from dataclasses import dataclass
from pathlib import Path

from xlt_hf.recipe import RecipeArguments, run, start


@dataclass(frozen=True)
class PretrainArguments(RecipeArguments):
    filter: int = 0
    """Pretraining filter, 0 (nothing removed from the target language) to 4."""
    size: str | None = None
    """Model size (default: the study's first)."""
    output_dir: Path = Path("outputs")
    """Folder for checkpoints, tokens and the outbox; a killed run goes on from what it finds there."""
    logging_steps: int = 0
    """Steps between log entries (0: twenty entries in all)."""


def main() -> None:
    recipe = start(PretrainArguments, __doc__)
    arguments, study = recipe.arguments, recipe.study
    size = study.size(arguments.size)
    artifact = recipe.map.base_model(size, arguments.filter, arguments.seed)
    sources = [recipe.map.corpora(), recipe.map.tokenizer()]
    if arguments.dry_run and not all(recipe.find(a) for a in sources):
        recipe.finish_dry_run([artifact], {}, sources)
        return
    from xlt_hf.corpora.build import VALIDATION
    from xlt_hf.corpora.stream import PackedRows
    from xlt_hf.hub.load import load_corpus, load_token_stores, load_tokenizer
    from xlt_hf.hub.publish import already_published
    from xlt_hf.study import as_dict
    from xlt_hf.training.batching import plan_batches, planned
    from xlt_hf.training.checkpoints import CheckpointPublisher
    from xlt_hf.training.pretraining import PretrainingRun, pretrain
    from xlt_hf.training.processes import process_state

    corpora, tokenizer_input = (recipe.require(a) for a in sources)
    settings = study.pretraining
    config = {
        "filter": arguments.filter,
        "size": {size: as_dict(study.sizes[size])},
        "pretraining": as_dict(settings),
    }
    inputs = {"corpora": corpora, "tokenizer": tokenizer_input}
    manifest = recipe.manifest("pretrain", config, inputs, seed=arguments.seed)
    if arguments.dry_run:
        recipe.finish_dry_run([artifact], planned(corpora.manifest, arguments.filter, settings), sources)
        return
    found = already_published(recipe.hub, artifact, manifest, replace=arguments.replace)
    if found and not arguments.replace:
        if recipe.is_main:
            print(f"{artifact.repo_id} is published already ({found.ref.revision[:8]}): nothing new.")
        return

    state = process_state()
    tokenizer = load_tokenizer(recipe.hub, tokenizer_input)
    with state.main_process_first():
        stores = load_token_stores(
            recipe.hub,
            corpora,
            tokenizer_input,
            f"filter-{arguments.filter}",
            study.languages.both(),
            arguments.output_dir / "tokens",
            settings.unit,
        )
        validation = {
            language: load_corpus(recipe.hub, corpora, VALIDATION, language)["text"][:]
            for language in (study.languages.both() if study.corpora.validation_documents else ())
        }
    rows = PackedRows(
        stores,
        seq_len=settings.seq_len,
        end_token=tokenizer.eos_token_id,
        epochs=settings.epochs,
        seed=study.seed,
        max_rows=arguments.max_samples,
    )
    plan = plan_batches(
        rows=len(rows),
        tokens_per_step=settings.tokens_per_step,
        seq_len=settings.seq_len,
        processes=state.num_processes,
        micro_batch_rows=settings.micro_batch_rows,
    )
    publisher = CheckpointPublisher(
        recipe, artifact, manifest, tokenizer, arguments.output_dir, afresh=bool(found)
    )
    publisher.check_card()
    state.wait_for_everyone()  # no process may see checkpoints that the first is deleting
    pretrain(
        PretrainingRun(
            study.sizes[size],
            settings,
            tokenizer,
            rows,
            plan,
            validation,
            arguments.seed,
            publisher.run_folder,
            arguments.logging_steps or max(1, plan.steps // 20),
        ),
        publisher.publish_step,
    )
    publisher.close()


if __name__ == "__main__":
    run(main)
