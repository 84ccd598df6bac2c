# SPDX-License-Identifier: Apache-2.0
"""The results dataset grows by one evaluation a commit, whoever else writes, and can be read as any artefact."""

import json
from types import SimpleNamespace

import pytest

from xlt_hf.artifacts import ArtifactMap
from xlt_hf.hub import results as module
from xlt_hf.hub.cards import results_card
from xlt_hf.hub.inputs import MissingInput, find, resolve
from xlt_hf.hub.manifest import MANIFEST_NAME, InputRef, Manifest, new_manifest
from xlt_hf.hub.results import published_run, push_run
from xlt_hf.leaderboard import build
from xlt_hf.recipe import Recipe, RecipeArguments
from xlt_hf.study import load_study

STUDY = load_study("almanac")
MAP = ArtifactMap(STUDY, "xlt-hf")
RESULTS = MAP.results()


@pytest.fixture
def push(hub, tmp_path):
    def one(name: str, revision: str = "1" * 40) -> Manifest:
        inputs = {"model": InputRef("xlt-hf/m", "model", revision)}
        made = new_manifest("run_eval", "almanac", {"branch": name.split("/")[1]}, inputs, 0)
        folder = tmp_path / f"{name.replace('/', '-')}-{revision[0]}"
        (folder / "scores").mkdir(parents=True)
        (folder / "scores" / f"{name.replace('/', '-')}.parquet").write_bytes(name.encode())
        push_run(hub, RESULTS, name, folder, made, results_card(STUDY, RESULTS))
        return made

    return one


def runs(hub) -> dict[str, str]:
    return resolve(hub, RESULTS).manifest.config["runs"]


def test_every_evaluation_stays_listed_and_its_newest_counts(hub, push):
    first, second = push("m-a/main"), push("m-b/epoch-1")
    assert runs(hub) == {"m-a/main": first.fingerprint, "m-b/epoch-1": second.fingerprint}
    again = push("m-a/main", "2" * 40)
    assert runs(hub) == {"m-a/main": again.fingerprint, "m-b/epoch-1": second.fingerprint}
    assert again.fingerprint != first.fingerprint
    assert published_run(hub, RESULTS, "m-a/main") == again.fingerprint
    assert published_run(hub, RESULTS, "m-c/main") is None


def test_the_manifest_is_one_of_xlt_hf_and_a_dry_run_reads_it(hub, push, capsys):
    recipe = Recipe(RecipeArguments(dry_run=True), STUDY, hub, MAP)
    recipe.finish_dry_run([MAP.leaderboard()], {}, [RESULTS])
    assert "not published yet" in json.loads(capsys.readouterr().out)["inputs"]["results"]
    push("m-a/main")
    recipe.finish_dry_run([MAP.leaderboard()], {}, [RESULTS])
    plan = json.loads(capsys.readouterr().out)
    assert plan["inputs"] == {"results": hub.api.repo_info(RESULTS.repo_id, repo_type="dataset").sha}
    found = find(hub, RESULTS)
    assert (found.manifest.stage, found.manifest.study) == ("run_eval", "almanac")


def test_a_writer_that_comes_between_loses_nothing(hub, push, monkeypatch):
    push("m-a/main")
    read, calls = module._runs, []

    def interrupted(*arguments):
        known = read(*arguments)
        calls.append(set(known))
        if len(calls) == 1:
            push("m-b/main")
        return known

    monkeypatch.setattr(module, "_runs", interrupted)
    push("m-c/main")
    assert runs(hub).keys() == {"m-a/main", "m-b/main", "m-c/main"}
    assert calls[0] == {"m-a/main"}
    assert calls[-1] == {"m-a/main", "m-b/main"}, "read again on the new head"


def test_a_manifest_that_cannot_be_read_is_made_again_from_the_evaluations(hub, push):
    first = push("m-a/main")
    hub.api.upload_file(
        path_or_fileobj=b'{"runs": {}}',
        path_in_repo=MANIFEST_NAME,
        repo_id=RESULTS.repo_id,
        repo_type="dataset",
    )
    second = push("m-b/main")
    assert runs(hub) == {"m-a/main": first.fingerprint, "m-b/main": second.fingerprint}


def test_the_leaderboard_reads_the_runs_at_the_commit(hub, push, monkeypatch):
    asked = []

    def tables(repo_id, name, *, revision, split, token):
        asked.append((repo_id, name, revision, split, token))
        return SimpleNamespace(to_list=list)

    monkeypatch.setattr(build, "load_dataset", tables)
    recipe = Recipe(RecipeArguments(namespace="xlt-hf"), STUDY, hub, MAP)
    with pytest.raises(MissingInput, match=r"no results .*run_eval\.py --filter 4 --namespace xlt-hf"):
        build.load_results(recipe, RESULTS)
    push("m-b/main")
    push("m-a/main")
    found = build.load_results(recipe, RESULTS)
    assert found.runs == ["m-a/main", "m-b/main"]
    sha = hub.api.repo_info(RESULTS.repo_id, repo_type="dataset").sha
    assert found.input.ref == InputRef(RESULTS.repo_id, "dataset", sha)
    assert asked == [(RESULTS.repo_id, name, sha, "train", hub.token) for name in ("scores", "predictions")]


def test_the_command_of_a_row_works_on_the_same_study_and_hub(hub):
    arguments = RecipeArguments(study="mine.yaml", namespace="me", set=("name=a{b}",))
    command = build._rerun_command(Recipe(arguments, STUDY, hub, MAP))
    filled = command.format(study="almanac", size="tiny", filter=4, task="facts", seed=1)
    own = "python recipes/leaderboard.py --rerun --filter 4 --task facts --seed 1"
    assert filled == f"{own} --study mine.yaml --namespace me --set 'name=a{{b}}'"
