# SPDX-License-Identifier: Apache-2.0
"""What stands in a card is what was measured, under the language it was measured in."""

import itertools

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard, parse_eval_result_entries

from tests.hub.conftest import manifest
from xlt_hf.artifacts import ArtifactMap
from xlt_hf.evaluation.answer import GROUP_OF_SPLIT
from xlt_hf.hub import cards
from xlt_hf.hub.manifest import InputRef, new_manifest
from xlt_hf.localhub.card_rules import validate_card
from xlt_hf.localhub.eval_results import _problem
from xlt_hf.questions.build import question_schema
from xlt_hf.study import load_study

STUDY = load_study("almanac")
MAP = ArtifactMap(STUDY, "xlt-hf")
DATA = InputRef("xlt-hf/almanac-facts", "dataset", "1" * 40)
MODEL = MAP.finetuned_model("tiny", 4, "facts", 0)
CONTEXTS = ("source", "native")


def score(language, group, context, metric, value, task="facts") -> dict:
    return {
        **{"language": language, "group": group, "context": context, "metric": metric, "value": value},
        **{"ci_low": value - 1, "ci_high": value + 1, "n": 60, "floor": None, "chance": 3.14159, "mde": 9.0},
        **{"filter": 4, "task": task},
    }


def scores(contexts=CONTEXTS, metrics=("em_xl", "f1_xl", "em_squad")) -> list[dict]:
    """A value of its own for every number."""
    keys = itertools.product(("en", "hi"), ("held_out", "retained", "all"), contexts, metrics)
    return [score(*key, value=10 + number) for number, key in enumerate(keys)]


def model_manifest(**config):
    inputs = {
        "base_model": InputRef("xlt-hf/almanac-tiny-filter-4", "model", "2" * 40),
        "questions": DATA,
        "tokenizer": InputRef("xlt-hf/almanac-tokenizer", "model", "3" * 40),
    }
    config = {"filter": 4, "task": {"facts": {}}, "use_peft": False, **config}
    return new_manifest("sft", "almanac", config, inputs, 0).with_counts(
        epoch=5, epochs=5, examples=80, truncated=0, loss=0.5, branch="epoch-5"
    )


def evaluated(rows=None) -> ModelCard:
    card = cards.model_card(STUDY, MODEL, model_manifest())
    return cards.add_evaluation(card, STUDY, MODEL, scores() if rows is None else rows, DATA)


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_each_language_group_and_context_has_a_block_of_its_own_values(tmp_path):
    once = evaluated()
    once.save(tmp_path / "README.md")
    again = ModelCard.load(tmp_path / "README.md")
    again.save(tmp_path / "README.md")  # parsed and written again by the client
    for text in (str(once), (tmp_path / "README.md").read_text()):
        (entry,) = metadata(text)["model-index"]
        blocks = {tuple(block["dataset"]["args"].values()): block for block in entry["results"]}
        assert len(blocks) == len(entry["results"]) == 2 * 2 * 2
        hindi = blocks["hi", "held_out", "native"]
        assert hindi["dataset"]["name"] == "almanac-facts (hi, held_out, context: native)"
        assert hindi["dataset"]["split"] == "test"
        expected = {
            s["metric"]: s["value"]
            for s in scores()
            if (s["language"], s["group"], s["context"]) == ("hi", "held_out", "native")
            and s["metric"] != "em_squad"
        }
        assert {m["type"]: m["value"] for m in hindi["metrics"]} == expected
        assert hindi["metrics"][0]["args"] == {
            **{"n": 60, "ci_low": expected["em_xl"] - 1, "ci_high": expected["em_xl"] + 1},
            **{"chance": 3.14, "mde": 9.0},
        }, "what is missing is left out, never null"
        assert validate_card(text, "model") == ([], [])


def test_the_client_reads_every_score_with_its_own_dataset():
    read = {
        (*r.dataset_args.values(), r.metric_type): (r.metric_value, r.dataset_name, r.dataset_revision)
        for r in ModelCard(str(ModelCard(str(evaluated())))).data.eval_results
    }
    wanted = {
        (s["language"], s["group"], s["context"], s["metric"]): (
            s["value"],
            f"almanac-facts ({s['language']}, {s['group']}, context: {s['context']})",
            DATA.revision,
        )
        for s in scores()
        if s["group"] != "all" and s["metric"] != "em_squad"
    }
    assert read == wanted


def test_a_second_evaluation_replaces_the_first():
    rows = [score("hi", "held_out", "none", "em_xl", 77.0)]
    card = cards.add_evaluation(evaluated(), STUDY, MODEL, rows, DATA)
    (result,) = card.data.eval_results
    assert result.metric_value == 77.0
    assert str(card).count("## Evaluation") == 1
    assert "| hi | held_out | none | em_xl | 77.0 | 76.0–78.0 | 60 | – | 3.1 | 9.0 |" in str(card)


def test_the_card_says_whether_pages_were_removed_for_the_questions():
    assert "their pages are removed from the target language (hi)" in str(evaluated())
    paper = load_study("paper")
    task = next(
        task for task in paper.tasks if paper.questions[paper.questions_of(task)].splits == "prescribed"
    )
    rows = [score("hi", "held_out", "native", "em_xl", 50.0, task=task)]
    card = cards.add_evaluation(evaluated(), paper, MODEL, rows, DATA)
    assert "no page is removed for them" in str(card)
    assert "are removed from the target language" not in str(card).split("## Evaluation")[1]


def test_groups_are_the_splits_that_they_are_asked_from():
    assert {group: split for split, group in GROUP_OF_SPLIT.items()} == cards.SPLIT_OF_GROUP


def test_eval_results_are_what_the_client_and_the_hub_read():
    files = cards.evaluation_files(scores(), DATA, "2026-11-25", "/datasets/xlt-hf/almanac-results")
    (text,) = files.values()
    assert list(files) == [".eval_results/almanac-facts.yaml"]
    assert files == cards.evaluation_files(scores(), DATA, "2026-11-25", "/datasets/xlt-hf/almanac-results")
    items = yaml.safe_load(text)
    assert [_problem(item) for item in items] == [None] * len(items)
    entries = parse_eval_result_entries(items)
    assert len({entry.task_id for entry in entries}) == len(entries) == 16
    assert {(e.date, e.dataset_id, e.dataset_revision) for e in entries} == {
        ("2026-11-25", DATA.repo_id, DATA.revision)
    }
    found = {e.task_id: e.value for e in entries}
    (wanted,) = (
        s["value"]
        for s in scores()
        if (s["language"], s["group"], s["context"], s["metric"]) == ("hi", "retained", "source", "f1_xl")
    )
    assert found["f1_xl_hi_retained_source"] == wanted


def test_a_merged_adapter_is_named_and_only_then():
    assert "LoRA" in str(cards.model_card(STUDY, MODEL, model_manifest(use_peft=True)))
    text = str(cards.model_card(STUDY, MODEL, model_manifest()))
    assert "LoRA" not in text
    assert "the train questions of the task\n`facts`" in text


def tokenizer_manifest(inputs=()):
    row = {
        **{"language": "hi", "splitting": "ours", "words": 1234, "tokens": 5678, "tokens_per_word": 4.6},
        **{"bytes_per_token": 3.2, "seen": True, "sample_bytes": 3 << 20},
    }
    made = new_manifest("train_tokenizer", "almanac", {}, dict(inputs), 0)
    return made.with_counts(vocab_size=2048, documents=3, fertility=[row])


def test_the_table_of_inputs_stands_only_where_there_are_inputs():
    text = str(cards.tokenizer_card(STUDY, MAP.tokenizer(), tokenizer_manifest()))
    assert "| input |" not in text
    assert "| source dataset |" not in text
    assert "| hi | ours | 1,234 | 5,678 | 4.60 | 3.20 | yes | 3.0 |" in text
    source = {"source: google/xquad": InputRef("google/xquad", "dataset", "4" * 40)}
    text = str(cards.tokenizer_card(STUDY, MAP.tokenizer(), tokenizer_manifest(source)))
    assert f"| [`google/xquad`](/datasets/google/xquad/tree/{'4' * 40}) | `{'4' * 40}` |" in text
    assert "| input |" not in text
    text = str(cards.model_card(STUDY, MODEL, model_manifest()))
    assert "| base model: [`xlt-hf/almanac-tiny-filter-4`](/xlt-hf/almanac-tiny-filter-4/tree/" in text
    assert "| questions: [`xlt-hf/almanac-facts`](/datasets/xlt-hf/almanac-facts/tree/" in text


@pytest.mark.parametrize("samples", [None, 7])
def test_a_trial_says_that_it_is_one(samples):
    config = {} if samples is None else {"max_samples": samples}
    text = str(cards.model_card(STUDY, MODEL, model_manifest(**config)))
    assert ("at most 7 samples" in text) == (samples is not None)


def questions_manifest(inputs=()):
    splits = dict.fromkeys(("train", "test", "control"), 1)
    counts = {"questions": splits, "pages": splits, "relations": {}, "dropped": {}, "balance": {}}
    return new_manifest("build_qa", "almanac", {}, dict(inputs), 0).with_counts(**counts)


def test_the_questions_card_names_sources_and_columns_and_loads(tmp_path):
    artifact = MAP.questions("facts")
    card = cards.questions_card(STUDY, artifact, questions_manifest(), "facts")
    assert metadata(str(card))["source_datasets"] == ["original"]
    inputs = {
        "tokenizer": InputRef("xlt-hf/almanac-tokenizer", "model", "3" * 40),
        "source: google/xquad": InputRef("google/xquad", "dataset", "4" * 40),
    }
    card = cards.questions_card(STUDY, artifact, questions_manifest(inputs), "facts")
    assert metadata(str(card))["source_datasets"] == ["google/xquad"]
    assert validate_card(str(card), "dataset") == ([], [])
    features = datasets.Features.from_arrow_schema(question_schema(STUDY.languages))
    card.save(tmp_path / "README.md")
    read = datasets.info.DatasetInfosDict.from_directory(str(tmp_path))
    assert read["default"].features == features


def test_the_results_card_is_valid():
    card = cards.results_card(STUDY, MAP.results())
    assert validate_card(str(card), "dataset") == ([], [])
    assert isinstance(card, DatasetCard)


def test_a_model_without_a_step_yet_has_a_valid_card():
    made = manifest(filter=2)
    text = str(cards.model_card(STUDY, MAP.base_model("tiny", 2, 0), made))
    assert validate_card(text, "model") == ([], [])
    assert "stand in their place" in text
    text = str(cards.model_card(STUDY, MAP.base_model("tiny", 0, 0), manifest(filter=0)))
    assert "stand in their place" not in text
