# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import pytest

from xlt_hf.artifacts import ArtifactMap, epoch_branch, step_branch
from xlt_hf.recipe import ROOT
from xlt_hf.study import StudyError, load_study


@pytest.fixture(scope="module")
def almanac():
    return ArtifactMap(load_study("almanac"), "me")


def test_names_are_those_of_the_design(almanac):
    assert almanac.corpora().repo_id == "me/almanac-corpora"
    assert almanac.tokenizer().repo_id == "me/almanac-tokenizer"
    assert almanac.questions("facts-mcq").repo_id == "me/almanac-facts-mcq"
    assert almanac.base_model("tiny", 4, 0).repo_id == "me/almanac-tiny-filter-4"
    assert almanac.base_model("tiny", 4, 2).repo_id == "me/almanac-tiny-filter-4-seed-2"
    assert almanac.finetuned_model("tiny", 0, "facts", 0).repo_id == "me/almanac-tiny-filter-0-facts"
    assert almanac.results().repo_id == "me/almanac-results"
    assert almanac.leaderboard().repo_id == "me/almanac-leaderboard"
    assert (step_branch(500), epoch_branch(3)) == ("step-000000500", "epoch-3")


def test_every_input_is_made_before_it_is_read(almanac):
    seen = set()
    for artifact in almanac.all():
        assert not {key for key in artifact.inputs if "…" not in key} - seen, artifact.key
        seen.add(artifact.key)


def test_ids_and_keys_are_unique(almanac):
    artifacts = almanac.all(seeds=(0, 1))
    assert len({a.key for a in artifacts}) == len(artifacts)
    assert len({(a.repo_type, a.repo_id) for a in artifacts}) == len(artifacts)


def test_every_recipe_exists(almanac):
    for artifact in almanac.all():
        assert (ROOT / artifact.recipe.split()[0]).is_file(), artifact.recipe


def test_an_unknown_filter_or_task_is_refused(almanac):
    with pytest.raises(StudyError, match="no filter 7"):
        almanac.base_model("tiny", 7, 0)
    with pytest.raises(StudyError, match="no task 'nq'"):
        almanac.questions("nq")


def test_the_map_is_printed_as_json():
    done = subprocess.run(
        [sys.executable, "-m", "xlt_hf.artifacts", "--study", "almanac", "--namespace", "me"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert rows["base_model/tiny/4/0"]["command"] == "accelerate launch recipes/pretrain.py --filter 4"
    assert rows["corpora"]["configs"] == [*(f"filter-{k}" for k in range(5)), "validation", "audit"]


def test_an_unknown_study_ends_with_a_message_and_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "xlt_hf.artifacts", "--study", "nope"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no study 'nope'")
