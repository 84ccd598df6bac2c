# SPDX-License-Identifier: Apache-2.0
"""The README against the code: its stage table is the artefact map, and every command in it is run or parsed."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from xlt_hf.artifacts import DEFAULT_LOCAL_NAMESPACE, ArtifactMap
from xlt_hf.recipe import ROOT
from xlt_hf.study import load_study

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [
    line.strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.splitlines()
    if re.match(r"\| [a-z ]+ \| `(python|accelerate launch) recipes/", line)
]
COMMANDS = sorted({c for c in [*LINES, *(row[1].strip("`") for row in TABLE)] if "recipes/" in c})


def test_the_stage_table_is_the_artefact_map():
    study = load_study("almanac")
    found = ArtifactMap(study, DEFAULT_LOCAL_NAMESPACE)
    made = {
        "tokenizer": [found.tokenizer()],
        "questions": [found.questions(task) for task in study.tasks],
        "corpora": [found.corpora()],
        "pretraining": [found.base_model("tiny", 4, 0)],
        "finetuning": [found.finetuned_model("tiny", 4, "facts", 0)],
        "evaluation": [found.results()],
        "leaderboard": [found.leaderboard(), found.metric()],
    }
    assert [row[0] for row in TABLE] == list(made)
    for stage, command, writes in TABLE:
        assert re.findall(r"`([^`]+)`", writes) == [a.repo_id for a in made[stage]]
        launcher = made[stage][0].launcher.replace("--filter K --task T", "--filter 4 --task facts")
        # `facts` is the default task.
        assert command.strip("`").removesuffix(" --task facts") == launcher.removesuffix(" --task facts")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_recipe_in_the_readme_runs_as_typed(command, tmp_path):
    """On a bare machine, up to what it would do."""
    words = shlex.split(command)
    at = next(i for i, word in enumerate(words) if word.startswith("recipes/"))
    flags = words[at + 1 :]
    if "--study" in flags and flags[flags.index("--study") + 1] != "almanac":
        done = _run([sys.executable, ROOT / words[at], *flags, "--help"], tmp_path)
        assert done.returncode == 0, done.stderr
        return
    done = _run([sys.executable, ROOT / words[at], *flags, "--dry_run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_every_make_target_in_the_readme_exists(line):
    done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`xlt-hub ([a-z]+)", README))))
def test_every_command_of_the_hub_in_the_readme_exists(name, tmp_path):
    done = _run([sys.executable, "-m", "xlt_hf.localhub.cli", name, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr


def test_files_and_folders_that_the_readme_names_exist():
    for name in re.findall(r"`((?:recipes|src|tests|accelerate_configs|dataset_cards)/[\w./-]*)`", README):
        assert (ROOT / name).exists(), name


def _run(command, folder):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XLT_"))}
    return subprocess.run(
        [str(word) for word in command], cwd=folder, env=kept, capture_output=True, text=True, timeout=300
    )
