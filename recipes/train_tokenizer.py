# SPDX-License-Identifier: Apache-2.0
"""Train the tokenizer on the study's documents and publish it with its fertility table.

    python recipes/train_tokenizer.py

Reads:  the study's source of documents.
Writes: model {ns}/{study}-tokenizer.
"""

import tempfile
from pathlib import Path

from xlt_hf.recipe import DataArguments, run, start


def main() -> None:
    recipe = start(DataArguments, __doc__)
    study, artifact = recipe.study, recipe.map.tokenizer()
    from xlt_hf.hub.cards import tokenizer_card
    from xlt_hf.hub.publish import already_published, publish_folder
    from xlt_hf.sources import Documents
    from xlt_hf.study import as_dict
    from xlt_hf.tokenization import train_with_fertility, wrap

    config = {name: as_dict(getattr(study, name)) for name in ("languages", "documents", "tokenizer")}
    source = Documents(study, recipe.client, recipe.scratch)
    manifest = recipe.manifest("train_tokenizer", config, {}, sources=source.refs)
    if recipe.arguments.dry_run:
        recipe.finish_dry_run([artifact], source.expected(recipe.arguments.max_samples), [])
        return
    found = already_published(recipe.hub, artifact, manifest, replace=recipe.arguments.replace)
    if found and not recipe.arguments.replace:
        print(f"{artifact.repo_id} is published already ({found.ref.revision[:8]}): nothing new.")
        return

    documents = recipe.collect(source).table
    tokenizer, fertility = train_with_fertility(documents, study.languages, study.tokenizer)
    wrapped = wrap(tokenizer, study.pretraining.seq_len)
    manifest = manifest.with_counts(vocab_size=len(wrapped), documents=len(documents), fertility=fertility)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wrapped.save_pretrained(folder)
        tokenizer_card(study, artifact, manifest).save(folder / "README.md")
        sha = publish_folder(
            recipe.hub,
            artifact,
            folder,
            manifest,
            f"Tokenizer of {study.name}",
            resend=recipe.arguments.replace,
        )
    for row in fertility:
        print(f"  {row['language']} {row['splitting']:<8} {row['tokens_per_word']:.2f} tokens per word")
    print(f"Published {recipe.hub.url(artifact.repo_id, 'model')} at {sha[:8]}.")


if __name__ == "__main__":
    run(main)
