# SPDX-License-Identifier: Apache-2.0
"""Remove pages from the target language at five filter levels, with token parity, and publish the corpora.

    python recipes/build_corpora.py

Reads:  the study's source of documents; {ns}/{study}-tokenizer; dataset {ns}/{study}-{task} of the first task.
Writes: dataset {ns}/{study}-corpora.
"""

import tempfile
from pathlib import Path

from xlt_hf.recipe import RecipeArguments, run, start


def main() -> None:
    recipe = start(RecipeArguments, __doc__)
    study, artifact = recipe.study, recipe.map.corpora()
    tokenizer_artifact, questions_artifact = recipe.map.tokenizer(), recipe.map.questions(study.default_task)
    if recipe.arguments.dry_run and not (recipe.find(tokenizer_artifact) and recipe.find(questions_artifact)):
        recipe.finish_dry_run([artifact], {}, [tokenizer_artifact, questions_artifact])
        return
    import numpy as np

    from xlt_hf.corpora.build import build_corpora, dataset_configs, write_parts
    from xlt_hf.hub.cards import corpora_card
    from xlt_hf.hub.load import load_questions, load_tokenizer
    from xlt_hf.hub.publish import already_published, publish_folder
    from xlt_hf.sources import load_documents
    from xlt_hf.study import as_dict
    from xlt_hf.tokenization import count_tokens
    from xlt_hf.training.model import backend

    inputs = {
        "tokenizer": recipe.require(tokenizer_artifact),
        "questions": recipe.require(questions_artifact),
    }
    config = {name: as_dict(getattr(study, name)) for name in ("languages", "documents", "corpora")}
    manifest = recipe.manifest("build_corpora", config, inputs)
    if not recipe.arguments.dry_run:
        found = already_published(recipe.hub, artifact, manifest, replace=recipe.arguments.replace)
        if found:
            print(f"{artifact.repo_id} is published already ({found.ref.revision[:8]}): nothing new.")
            return

    documents = load_documents(study, recipe.arguments.max_samples)
    tokenizer = backend(load_tokenizer(recipe.hub, inputs["tokenizer"]))
    tokens = {
        language: np.array(count_tokens(tokenizer, [d.text[language] for d in documents]), dtype=np.int64)
        for language in study.languages.both()
    }
    corpora = build_corpora(
        documents,
        load_questions(recipe.hub, inputs["questions"]),
        tokens,
        study.languages,
        validation_documents=study.corpora.validation_documents,
        seed=study.seed,
    )
    manifest = manifest.with_counts(**corpora.counts(study.languages))
    if recipe.arguments.dry_run:
        recipe.finish_dry_run([artifact], manifest.counts, [tokenizer_artifact, questions_artifact])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_parts(corpora, study.languages, study.seed, folder, study.corpora.shard_mib << 20)
        configs = dataset_configs(files, corpora.partition)
        corpora_card(study, artifact, manifest, configs).save(folder / "README.md")
        sha = publish_folder(recipe.hub, artifact, folder, manifest, f"Corpora of {study.name}")
    for level, counts in manifest.counts["filters"].items():
        print(f"  {level}: " + ", ".join(f"{lang} {c['tokens']:,} tokens" for lang, c in counts.items()))
    print(f"Published {recipe.hub.url(artifact.repo_id, 'dataset')} at {sha[:8]}.")


if __name__ == "__main__":
    run(main)
