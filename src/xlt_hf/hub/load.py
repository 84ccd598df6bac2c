# SPDX-License-Identifier: Apache-2.0
"""Load published artefacts at their pinned commits with the plain Hugging Face libraries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from xlt_hf.artifacts import QUESTION_SPLITS
from xlt_hf.corpora.tokens import TokenStore, tokenise_part
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.inputs import Input
from xlt_hf.training.model import backend


def load_tokenizer(hub: Hub, found: Input) -> PreTrainedTokenizerBase:
    """The tokenizer at its pinned commit."""
    return AutoTokenizer.from_pretrained(found.ref.repo_id, revision=found.ref.revision, token=hub.token)


def load_model(hub: Hub, found: Input) -> PreTrainedModel:
    """A causal language model at its pinned commit, in fp32."""
    return AutoModelForCausalLM.from_pretrained(
        found.ref.repo_id, revision=found.ref.revision, token=hub.token, dtype="float32"
    )


def load_questions(
    hub: Hub, found: Input, splits: Sequence[str] = QUESTION_SPLITS
) -> dict[str, list[dict[str, Any]]]:
    """Split -> rows as the paper's Table 5."""
    loaded = {
        split: load_dataset(found.ref.repo_id, revision=found.ref.revision, split=split, token=hub.token)
        for split in splits
    }
    return {split: dataset.to_list() for split, dataset in loaded.items()}


def load_corpus(hub: Hub, found: Input, config: str, language: str) -> Dataset:
    """One language of one filter, or of the validation documents."""
    return load_dataset(
        found.ref.repo_id, config, revision=found.ref.revision, split=language, token=hub.token
    )


def load_token_stores(
    hub: Hub,
    corpora: Input,
    tokenizer_input: Input,
    config: str,
    languages: Sequence[str],
    cache: Path,
    unit: str = "document",
) -> list[TokenStore]:
    """A filter's parts as memory-mapped tokens; each part is tokenised once per corpora and tokenizer commit.

    Texts are read from the memory-mapped data set a few hundred rows at a time.

    Args:
        unit: `document`, or `paragraph` for each line of a document on its own.
    """
    tokenizer = backend(load_tokenizer(hub, tokenizer_input))
    folder = cache / f"{corpora.ref.revision[:16]}-{tokenizer_input.ref.revision[:16]}-{unit}"
    stores = []
    for language in languages:
        dataset = load_corpus(hub, corpora, config, language)
        parts = dataset.unique("part")
        column = dataset.data.column("part")
        for part in parts:
            rows = dataset
            if len(parts) > 1:
                # A run of rows is a slice of the Arrow table; others are read through a list of their numbers.
                rows = dataset.select(np.flatnonzero(pc.equal(column, part)))
            stores.append(
                tokenise_part(tokenizer, rows["doc_id"], rows["text"], language, folder / part, unit=unit)
            )
    return stores
