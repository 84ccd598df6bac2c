# SPDX-License-Identifier: Apache-2.0
"""One evaluation on an embedded Hub: the card on the model's branch, then the results, and both after a failure."""

from datetime import UTC, datetime

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.hub.test_cards import model_manifest
from tests.hub_server import hub_in_thread
from xlt_hf.artifacts import ArtifactMap
from xlt_hf.evaluation import evaluate_model
from xlt_hf.evaluation.rows import PredictionRow
from xlt_hf.hub.cards import model_card
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.inputs import Input, resolve
from xlt_hf.hub.manifest import InputRef
from xlt_hf.hub.publish import publish_folder
from xlt_hf.localhub.card_rules import validate_card
from xlt_hf.recipe import Recipe, RecipeArguments
from xlt_hf.study import load_study

RIGHT = {("en", "held_out"): 3, ("en", "retained"): 4, ("hi", "held_out"): 1, ("hi", "retained"): 2}


def rows(identity) -> list[PredictionRow]:
    """Four questions a language and group, as many right as `RIGHT` says."""
    return [
        PredictionRow(
            **identity,
            **{
                "context": "none",
                "language": language,
                "group": group,
                "id": f"{group}-{n}",
                "title": f"{n}",
            },
            **{"relation": "", "prompt": "p", "prediction": "a", "golds": ["a"], "majority_answer": "b"},
            scores={"em_xl": float(n < right), "f1_xl": float(n < right)},
        )
        for (language, group), right in RIGHT.items()
        for n in range(4)
    ]


def validate(card: ModelCard, repo_type: str) -> None:
    assert validate_card(str(card), repo_type) == ([], [])


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_model, "load_model", lambda hub, found: None)
    monkeypatch.setattr(evaluate_model, "load_tokenizer", lambda hub, found: None)
    monkeypatch.setattr(evaluate_model, "answer_all", lambda run: (rows(run.identity), {}))
    # The client validates at the Hub that was set when it was imported.
    monkeypatch.setattr(ModelCard, "validate", validate)
    study = load_study("almanac", ["evaluation.bootstrap=50"])
    with hub_in_thread(tmp_path / "hub") as running:
        hub = Hub(running.endpoint, "xlt-hf", False, True, running.root, running.token)
        yield Recipe(RecipeArguments(), study, hub, ArtifactMap(study, "xlt-hf"))


@pytest.fixture
def evaluate(recipe, tmp_path):
    artifact = recipe.map.finetuned_model("tiny", 4, "facts", 0)
    folder = tmp_path / "model"
    folder.mkdir()
    made = model_manifest()
    model_card(recipe.study, artifact, made).save(folder / "README.md")
    publish_folder(recipe.hub, artifact, folder, made, "weights")
    questions = recipe.map.questions("facts")
    found = Input(questions, InputRef(questions.repo_id, "dataset", "1" * 40), made)

    def run():
        return evaluate_model.evaluate_branch(
            recipe,
            size="tiny",
            filter_level=4,
            task="facts",
            epoch=None,
            questions_input=found,
            questions={},
        )

    return run


def test_the_branch_holds_each_languages_own_scores_and_the_day(recipe, evaluate):
    api, artifact = recipe.hub.api, recipe.map.finetuned_model("tiny", 4, "facts", 0)
    first = datetime.now(UTC).date().isoformat()
    assert "Evaluated almanac-tiny-filter-4-facts/main" in evaluate()
    days = {first, datetime.now(UTC).date().isoformat()}
    card = ModelCard.load(api.hf_hub_download(artifact.repo_id, "README.md"))
    found = {
        tuple(r.dataset_args.values())[:2]: r.metric_value
        for r in card.data.eval_results
        if r.metric_type == "em_xl"
    }
    assert found == {key: 25.0 * right for key, right in RIGHT.items()}
    path = api.hf_hub_download(artifact.repo_id, ".eval_results/almanac-facts.yaml")
    with open(path, encoding="utf-8") as file:
        entries = yaml.safe_load(file)
    values = {entry["dataset"]["task_id"]: entry["value"] for entry in entries}
    assert values["em_xl_hi_held_out"] == 25.0
    assert values["em_xl_en_held_out"] == 75.0
    assert len({entry["date"] for entry in entries}) == 1
    assert {entry["date"] for entry in entries} <= days
    assert "nothing new" in evaluate()


def test_a_run_that_fails_before_the_end_is_completed_by_the_next(recipe, evaluate, monkeypatch):
    artifact = recipe.map.finetuned_model("tiny", 4, "facts", 0)
    weights = resolve(recipe.hub, artifact).ref
    whole = evaluate_model.push_eval_card

    def cut(*arguments):
        raise ConnectionError

    monkeypatch.setattr(evaluate_model, "push_eval_card", cut)
    with pytest.raises(ConnectionError):
        evaluate()
    monkeypatch.setattr(evaluate_model, "push_eval_card", whole)
    assert "Evaluated" in evaluate()
    assert (
        "## Evaluation" in ModelCard.load(recipe.hub.api.hf_hub_download(artifact.repo_id, "README.md")).text
    )
    assert "nothing new" in evaluate()
    assert evaluate_model.pinned_weights(recipe, artifact, "main").ref == weights
