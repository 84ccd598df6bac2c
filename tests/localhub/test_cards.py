# SPDX-License-Identifier: Apache-2.0
"""Cards: what is read from them, what is accepted, and the client's own card classes."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import httpx

from tests.hub_server import RunningHub
from xlt_hf.localhub.card_rules import validate_card
from xlt_hf.localhub.cards import CardError, card_tags, parse_card, split_card

CARD = """\
---
language: [en, hi]
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [cross-lingual]
datasets: [xlt-hf/almanac-corpora]
base_model: xlt-hf/base
model-index:
- name: m
  results:
  - task: {type: text-generation}
    dataset: {type: xlt-hf/almanac-facts, name: Almanac facts, split: test}
    metrics: [{type: exact_match, value: 71.5}]
---
# A card

See arxiv.org/abs/2501.01234.
"""


def test_info_reads_the_card(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=repo)
    info = api.model_info(repo)
    assert info.card_data.language == ["en", "hi"]
    assert info.card_data.eval_results[0].metric_value == 71.5
    assert info.model_index[0]["name"] == "m"
    assert (info.library_name, info.pipeline_tag) == ("transformers", "text-generation")
    for tag in ("en", "hi", "license:apache-2.0", "cross-lingual", "dataset:xlt-hf/almanac-corpora"):
        assert tag in info.tags
    assert {"base_model:xlt-hf/base", "arxiv:2501.01234"} <= set(info.tags)


def test_dataset_tags() -> None:
    card = {
        "language": ["hi"],
        "license": "mit",
        "task_categories": ["question-answering"],
        "size_categories": "n<1K",
    }
    assert card_tags("dataset", card) == [
        "task_categories:question-answering",
        "language:hi",
        "license:mit",
        "size_categories:n<1K",
    ]


@pytest.mark.parametrize(
    "text, front, body",
    [
        ("---\na: 1\n---\nbody", "a: 1\n", "body"),
        ("---\r\na: 1\r\n---\r\nbody", "a: 1\r\n", "body"),
        ("\ufeff---\na: 1\n---", "a: 1\n", ""),
        ("---\n---\nbody", "", "body"),
        ("no front matter\n---\na: 1\n---\n", None, "no front matter\n---\na: 1\n---\n"),
        ("---\nunclosed: 1\n", None, "---\nunclosed: 1\n"),
        ("---\na: b---\nc: d\n---\nbody", "a: b---\nc: d\n", "body"),
    ],
)
def test_split(text: str, front: str | None, body: str) -> None:
    assert split_card(text) == (front, body)


def test_yaml_that_expands_without_end_is_refused() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for previous, name in zip("abcdefgh", "bcdefghi"):
        bomb += f"{name}: &{name} [{','.join([f'*{previous}'] * 9)}]\n"
    with pytest.raises(CardError, match="too large"):
        parse_card(f"---\n{bomb}---\n")


def test_values_become_json() -> None:
    assert parse_card("---\ndate: 2026-01-02\nx: .inf\n1: [a]\n---\n") == {
        "date": "2026-01-02",
        "x": "inf",
        "1": ["a"],
    }


@pytest.mark.parametrize(
    "front, repo_type, error",
    [
        ("license: asdf", "model", '"license" must be one of'),
        ("license: [mit, asdf]", "dataset", '"license" must be one of'),
        ("licence: [", "model", "Invalid YAML"),
        ("hf", "model", "must be a mapping"),
        ("language: no", "model", '"language" must be a string'),
        ("language: [en, English]", "model", '"language[1]" must be an ISO 639 code'),
        ("pipeline_tag: null", "model", '"pipeline_tag" must be a string'),
        ("tags: [1, a]", "model", '"tags[0]" must be a string'),
        ("datasets: {a: b}", "model", '"datasets" must be a string or an array'),
        ("model-index: foo", "model", '"model-index" must be an array'),
        ("model-index: [{results: []}]", "model", '"model-index[0].name" must be a string'),
        (
            "model-index: [{name: m, results: [{dataset: {type: d, name: d}, metrics: []}]}]",
            "model",
            'task" is required',
        ),
        (
            "model-index: [{name: m, results: [{task: {type: t}, dataset: {type: d, name: d}, "
            "metrics: [{type: f1, value: null}]}]}]",
            "model",
            'metrics[0].value" is required',
        ),
        ("configs: [{data_files: x}]", "dataset", '"configs[0].config_name" is required'),
        ("configs: [{config_name: a}, {config_name: a}]", "dataset", 'repeats "a"'),
        ("configs: [{config_name: a, data_files: [{split: en}]}]", "dataset", 'needs "split" and "path"'),
        ("title: x", "space", '"sdk" must be one of'),
        ("sdk: static\ncolorFrom: mauve", "space", '"colorFrom" must be one of'),
    ],
)
def test_cards_that_are_refused(front: str, repo_type: str, error: str) -> None:
    errors, _ = validate_card(f"---\n{front}\n---\n", repo_type)
    assert any(error in message for message in errors), errors


@pytest.mark.parametrize(
    "content, repo_type", [(CARD, "model"), ("---\nsdk: static\ntitle: x\n---\n", "space")]
)
def test_cards_that_are_accepted(content: str, repo_type: str) -> None:
    assert validate_card(content, repo_type) == ([], [])


def test_a_card_without_metadata_is_a_warning() -> None:
    assert validate_card("# Only text\n", "model") == ([], ["empty or missing yaml metadata in repo card"])


def test_a_commit_with_a_bad_card_is_refused(api: HfApi, repo: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid metadata in README.md.\n- \"license\" must be one of"):
        api.upload_file(path_or_fileobj=b"---\nlicense: asdf\n---\n", path_in_repo="README.md", repo_id=repo)


def test_plain_text_answer(hub: RunningHub) -> None:
    answer = httpx.post(
        f"{hub.endpoint}/api/validate-yaml",
        json={"repoType": "model", "content": "---\nlicense: asdf\n---\n"},
        headers={"Accept": "text/plain"},
    )
    assert answer.status_code == 400
    assert answer.text.startswith('- Error: "license" must be one of [apache-2.0, ')


def test_card_classes(hub: RunningHub, new_repo: Callable[..., str], home: Path) -> None:
    """ModelCard, DatasetCard and metadata_update use the endpoint of the environment."""
    model, dataset = new_repo(private=True), new_repo("dataset")
    code = f"""
    import pytest
    from huggingface_hub import DatasetCard, EvalResult, ModelCard, ModelCardData, metadata_update
    data = ModelCardData(
        language="hi", license="mit", model_name="m", library_name="transformers",
        eval_results=[EvalResult(task_type="text-generation", dataset_type="d", dataset_name="D",
                                 metric_type="f1", metric_value=0.5)])
    card = ModelCard.from_template(data, model_id="m", model_description="नमस्ते")
    card.push_to_hub({model!r})
    loaded = ModelCard.load({model!r})
    assert loaded.data.eval_results[0].metric_value == 0.5 and "नमस्ते" in loaded.text
    metadata_update({model!r}, {{"tags": ["later"]}})
    assert ModelCard.load({model!r}, ignore_metadata_errors=False).data.tags == ["later"]
    metadata_update({dataset!r}, {{"license": "cc-by-4.0"}}, repo_type="dataset")
    assert DatasetCard.load({dataset!r}).data.license == "cc-by-4.0"
    card.data.license = "asdf"
    with pytest.raises(ValueError, match='- Error: "license" must be one of'):
        card.validate()
    with pytest.raises(ValueError):
        card.push_to_hub({model!r})
    print("done")
    """
    assert hub.run_client(textwrap.dedent(code), home).strip().endswith("done")
