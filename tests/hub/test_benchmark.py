# SPDX-License-Identifier: Apache-2.0
"""`eval.yaml` names the leaderboards that models are entered on, and the prompts that they were asked."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset

from tests.hub.test_cards import DATA, MAP, STUDY, questions_manifest, scores
from xlt_hf.evaluation.prompts import TASK_CONTEXTS, evaluation_examples
from xlt_hf.hub import cards
from xlt_hf.hub.benchmark import EVAL_FILE, eval_yaml, write_benchmark
from xlt_hf.localhub.card_rules import validate_card
from xlt_hf.questions.build import question_schema

TASKS = tuple(STUDY.tasks)


def question(number: int, **changes) -> dict:
    row = {
        **{
            "id": f"q{number}",
            "title": f"Page {number}",
            "url": "",
            "relation": "capital",
            "hi_source": "cldr",
        },
        "context": {"en": f"Passage {number}.", "hi": f"अनुच्छेद {number}।"},
        "question": {"en": f"Which {number}?", "hi": f"कौन {number}?"},
        "answer": {"en": [f"A{number}", f"a{number}"], "hi": [f"उ{number}"]},
        "negatives": {lang: [f"{lang}{number}{k}" for k in range(3)] for lang in ("en", "hi")},
        "nearest_pages": [],
    }
    return {**row, **changes}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    for split, numbers in {"train": [9], "test": [1, 2, 3], "control": [4, 5]}.items():
        table = pa.Table.from_pylist([question(n) for n in numbers], question_schema(STUDY.languages))
        pq.write_table(table, tmp_path / "data" / f"{split}.parquet")
    return tmp_path


@pytest.mark.parametrize("task", TASKS)
def test_its_tasks_are_those_of_the_models_results(task):
    kind = STUDY.tasks[task].kind
    benchmark = yaml.safe_load(eval_yaml(STUDY, MAP.questions(task), task))
    assert benchmark.keys() == {"name", "description", "evaluation_framework", "tasks"}
    assert benchmark["evaluation_framework"] == "inspect-ai"
    rows = scores(TASK_CONTEXTS[kind], cards.HEADLINE_METRICS[kind])
    (text,) = cards.evaluation_files(rows, DATA, "2026-11-25", "/datasets/x/y").values()
    ids = [entry["dataset"]["task_id"] for entry in yaml.safe_load(text)]
    assert sorted(t["id"] for t in benchmark["tasks"]) == sorted(ids)
    for made in benchmark["tasks"]:
        assert ("choices" in made["field_spec"]) == (kind == "multiple_choice")
        assert made["split"] == ("test" if "held_out" in made["id"] else "control")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_reads_the_prompts_that_the_evaluation_asks(folder, task, tmp_path):
    kind = STUDY.tasks[task].kind
    artifact = MAP.questions(task)
    configs = write_benchmark(STUDY, artifact, task, folder)
    card = cards.questions_card(STUDY, artifact, questions_manifest(), task, configs)
    assert validate_card(str(card), "dataset") == ([], [])
    card.save(folder / "README.md")
    cache = str(tmp_path / "cache")
    assert load_dataset(str(folder), cache_dir=cache)["test"][0]["question"]["hi"] == "कौन 1?"
    tasks = yaml.safe_load((folder / EVAL_FILE).read_text())["tasks"]
    for made in tasks:
        rows = load_dataset(str(folder), made["config"], split=made["split"], cache_dir=cache).to_list()
        language = "hi" if "_hi_" in made["id"] else "en"
        context = next((c for c in TASK_CONTEXTS[kind] if made["id"].endswith(f"_{c}")), "none")
        numbers = [1, 2, 3] if made["split"] == "test" else [4, 5]
        examples = evaluation_examples(
            kind, [question(n) for n in numbers], language, STUDY.languages, context
        )
        asked = {e.item_id: e for e in examples if not e.rotation}
        assert [row["id"] for row in rows] == list(asked)
        for row in rows:
            example = asked[row["id"]]
            assert row["target"] == example.completion
            assert row["answers"] == list(example.golds)
            if kind == "multiple_choice":
                assert row["choices"] == list(example.options)
                assert row["prompt"] == question(int(row["id"][1:]))["question"][language]
            else:
                assert row["prompt"] == example.prompt
                assert row["choices"] is None


def test_questions_that_are_still_to_be_translated_are_in_no_prompt(folder):
    rows = [question(1), question(2, answer={"en": ["A"], "hi": []}), question(3)]
    rows[2]["question"] = {"en": "Which?", "hi": None}
    pq.write_table(
        pa.Table.from_pylist(rows, question_schema(STUDY.languages)), folder / "data" / "test.parquet"
    )
    write_benchmark(STUDY, MAP.questions("facts"), "facts", folder)
    read = {
        language: pq.read_table(folder / f"prompts-{language}" / "test.parquet")["id"].to_pylist()
        for language in ("en", "hi")
    }
    assert read == {"en": ["q1", "q2", "q3"], "hi": ["q1"]}
