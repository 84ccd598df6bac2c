# SPDX-License-Identifier: Apache-2.0
"""Remove pages from the target language at five filter levels, with token parity, and publish the corpora.

    python recipes/build_corpora.py

Reads:  the study's source of documents; {ns}/{study}-tokenizer; dataset {ns}/{study}-{task} of the first task.
Writes: dataset {ns}/{study}-corpora.
"""

import shutil

from xlt_hf.recipe import DataArguments, run, start


def main() -> None:
    recipe = start(DataArguments, __doc__)
    study, artifact = recipe.study, recipe.map.corpora()
    tokenizer_artifact, questions_artifact = recipe.map.tokenizer(), recipe.map.questions(study.default_task)
    from xlt_hf.corpora.build import build_corpora
    from xlt_hf.corpora.counts import count_document_tokens
    from xlt_hf.corpora.estimate import estimate
    from xlt_hf.corpora.figures import write_figures
    from xlt_hf.corpora.parts import dataset_configs, write_parts
    from xlt_hf.hub.cards import corpora_card
    from xlt_hf.hub.load import load_questions, load_tokenizer
    from xlt_hf.hub.publish import already_published, publish_folder
    from xlt_hf.progress import ProgressBars
    from xlt_hf.sources import Documents
    from xlt_hf.study import as_dict
    from xlt_hf.training.model import backend

    source = Documents(study, recipe.client, recipe.scratch)
    if recipe.arguments.dry_run:
        expected = source.expected(recipe.arguments.max_samples)
        found = recipe.find(tokenizer_artifact)
        plan = estimate(study, expected, found.manifest.counts if found else None)
        recipe.finish_dry_run([artifact], plan, [tokenizer_artifact, questions_artifact])
        return
    inputs = {
        "tokenizer": recipe.require(tokenizer_artifact),
        "questions": recipe.require(questions_artifact),
    }
    config = {name: as_dict(getattr(study, name)) for name in ("languages", "documents", "corpora")}
    manifest = recipe.manifest("build_corpora", config, inputs, sources=source.refs)
    found = already_published(recipe.hub, artifact, manifest, replace=recipe.arguments.replace)
    if found and not recipe.arguments.replace:
        print(f"{artifact.repo_id} is published already ({found.ref.revision[:8]}): nothing new.")
        return

    collected = recipe.collect(source)
    documents = collected.table
    folder = recipe.arguments.output_dir / "corpora" / f"{study.name}-{manifest.fingerprint[:16]}"
    tokenizer = backend(load_tokenizer(recipe.hub, inputs["tokenizer"]))
    with ProgressBars() as progress:
        tokens = {
            language: count_document_tokens(tokenizer, documents, language, folder / "counts", progress)
            for language in study.languages.both()
        }
        corpora = build_corpora(
            documents,
            load_questions(recipe.hub, inputs["questions"]),
            tokens,
            study.languages,
            validation_documents=study.corpora.validation_documents,
            seed=study.seed,
            progress=progress,
        )
        manifest = manifest.with_counts(**corpora.counts(study.languages), **collected.counts())
        published, shard_bytes = folder / "published", study.corpora.shard_mib << 20
        files = write_parts(corpora, study.languages, study.seed, published, shard_bytes, progress)
    write_figures(manifest.counts, study.languages, published / "figures")
    configs = dataset_configs(files, corpora.partition)
    corpora_card(study, artifact, manifest, configs).save(published / "README.md")
    sha = publish_folder(
        recipe.hub, artifact, published, manifest, f"Corpora of {study.name}", resend=recipe.arguments.replace
    )
    shutil.rmtree(folder)
    for level, counts in manifest.counts["filters"].items():
        print(f"  {level}: " + ", ".join(f"{lang} {c['tokens']:,} tokens" for lang, c in counts.items()))
    print(f"Published {recipe.hub.url(artifact.repo_id, 'dataset')} at {sha[:8]}.")


if __name__ == "__main__":
    run(main)
