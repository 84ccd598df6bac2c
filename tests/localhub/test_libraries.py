# SPDX-License-Identifier: Apache-2.0
"""datasets and transformers against the Hub, in processes of their own."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub_server import RunningHub

pytestmark = pytest.mark.slow


def test_datasets(hub: RunningHub, new_repo: Callable[..., str], home: Path) -> None:
    """Configs that are unions of parts, each part stored once; push_to_hub; a private repository."""
    corpora, pushed = new_repo("dataset", private=True), new_repo("dataset")
    code = f"""
    import io, sys
    import pyarrow as pa, pyarrow.parquet as pq
    from huggingface_hub import CommitOperationAdd, HfApi
    from datasets import Dataset, get_dataset_config_names, load_dataset

    def part(*texts):
        buffer = io.BytesIO()
        pq.write_table(pa.table({{"doc_id": list(texts), "text": [t * 2 for t in texts]}}), buffer)
        return buffer.getvalue()

    card = '''---
    configs:
    - config_name: filter-0
      default: true
      data_files:
      - {{split: en, path: en.parquet}}
      - {{split: hi, path: [hi/base.parquet, hi/level-1.parquet]}}
    - config_name: filter-1
      data_files:
      - {{split: en, path: en.parquet}}
      - {{split: hi, path: [hi/base.parquet, hi/reserve-1.parquet]}}
    ---
    '''.replace("    ", "")
    parts = {{"en.parquet": part("a", "b", "c", "d"), "hi/base.parquet": part("क", "ख"),
             "hi/level-1.parquet": part("ग"), "hi/reserve-1.parquet": part("घ")}}
    operations = [CommitOperationAdd(path, data) for path, data in parts.items()]
    operations.append(CommitOperationAdd("README.md", card.encode()))
    HfApi().create_commit({corpora!r}, operations, commit_message="Corpora", repo_type="dataset")
    assert get_dataset_config_names({corpora!r}) == ["filter-0", "filter-1"]
    for config, last in (("filter-0", "ग"), ("filter-1", "घ")):
        dataset = load_dataset({corpora!r}, config)
        assert dataset["en"]["doc_id"][:] == ["a", "b", "c", "d"]
        assert dataset["hi"]["doc_id"][:] == ["क", "ख", last], dataset["hi"]["doc_id"][:]
    stream = load_dataset({corpora!r}, "filter-1", split="hi", streaming=True)
    assert [row["doc_id"] for row in stream] == ["क", "ख", "घ"]

    Dataset.from_dict({{"x": [1, 2, 3]}}).push_to_hub({pushed!r}, "scores", split="test")
    Dataset.from_dict({{"y": ["हाँ"]}}).push_to_hub({pushed!r}, "predictions", split="test")
    assert load_dataset({pushed!r}, "scores", split="test")["x"][:] == [1, 2, 3]
    assert load_dataset({pushed!r}, "predictions", split="test")["y"][:] == ["हाँ"]
    sha = HfApi().dataset_info({pushed!r}).sha
    Dataset.from_dict({{"x": [4]}}).push_to_hub({pushed!r}, "scores", split="test")
    assert load_dataset({pushed!r}, "scores", split="test", revision=sha)["x"][:] == [1, 2, 3]
    assert load_dataset({pushed!r}, "scores", split="test")["x"][:] == [4]
    print("done")
    """
    assert hub.run_client(textwrap.dedent(code), home).strip().endswith("done")


def test_transformers(hub: RunningHub, new_repo: Callable[..., str], home: Path) -> None:
    """A tiny Llama pushed to a branch and loaded at it; the tokenizer too."""
    repo = new_repo(private=True)
    code = f"""
    import torch
    from huggingface_hub import HfApi
    from tokenizers import Tokenizer, models
    from transformers import (AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM,
                              PreTrainedTokenizerFast)

    shape = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                 vocab_size=50)
    torch.manual_seed(0)
    one, two = LlamaForCausalLM(LlamaConfig(**shape)), LlamaForCausalLM(LlamaConfig(**shape))
    one.push_to_hub({repo!r}, revision="step-000000500", private=True)
    two.push_to_hub({repo!r}, commit_message="Last")
    vocabulary = {{"[UNK]": 0, "नमस्ते": 1}}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, "[UNK]")))
    tokenizer.push_to_hub({repo!r})

    api = HfApi()
    assert {{b.name for b in api.list_repo_refs({repo!r}).branches}} == {{"main", "step-000000500"}}
    for revision, model in (("step-000000500", one), ("main", two),
                            (api.model_info({repo!r}, revision="step-000000500").sha, one)):
        loaded = AutoModelForCausalLM.from_pretrained({repo!r}, revision=revision)
        assert torch.equal(loaded.model.embed_tokens.weight, model.model.embed_tokens.weight)
    assert AutoTokenizer.from_pretrained({repo!r}).encode("नमस्ते") == [1]
    info = api.model_info({repo!r})
    assert (info.library_name, info.pipeline_tag) == ("transformers", "text-generation")
    assert "safetensors" in info.tags
    print("done")
    """
    assert hub.run_client(textwrap.dedent(code), home).strip().endswith("done")
