# SPDX-License-Identifier: Apache-2.0
"""The `evaluate` module loads from its folder without a network, as it stands here and as it is published."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xlt_hf.evaluation.metric import METRIC_DIR, build_metric_space
from xlt_hf.evaluation.scoring import item_scores

SCRIPT = """
import json, socket, sys
def refuse(*arguments, **keywords):
    raise OSError("a test without a network opened a connection")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
if sys.argv[2] == "alone":
    sys.modules["xlt_hf"] = None  # importing it now fails, as where it is not installed
import evaluate
metric = evaluate.load(sys.argv[1])
print(json.dumps([
    metric.compute(predictions=["नई दिल्ली।", "x"], references=[["नई दिल्ली"], ["a", "b"]], language="hi"),
    metric.compute(predictions=["the cat"], references=["cat"]),
]))
"""


def compute(folder: Path, mode: str, cache: Path) -> list[dict[str, float]]:
    """Load the metric in a process of its own and score three answers."""
    environment = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), mode],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("mode", ["installed", "alone"])
def test_it_loads_offline_and_scores_as_the_library_does(mode, tmp_path):
    folder = METRIC_DIR
    if mode == "alone":
        folder = tmp_path / "xlt_qa"
        build_metric_space(folder)
    hindi, english = compute(folder, mode, tmp_path / "cache")
    right = item_scores("नई दिल्ली।", ["नई दिल्ली"], language="hi")
    assert hindi == {name: pytest.approx(50 * score) for name, score in right.items()}
    assert set(english.values()) == {100.0}


def test_the_space_holds_what_a_space_needs(tmp_path):
    names = {path.name for path in build_metric_space(tmp_path / "xlt_qa")}
    assert names >= {"README.md", "app.py", "requirements.txt", "xlt_qa.py", "scoring.py", "normalization.py"}
    front = yaml.safe_load((tmp_path / "xlt_qa" / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["app_file"] in names
    assert {"evaluate", "metric"} <= set(front["tags"])
    assert "xlt_hf" not in (tmp_path / "xlt_qa" / "requirements.txt").read_text(encoding="utf-8")


def test_datasets_and_evaluate_are_imported_on_lines_of_their_own():
    # evaluate's import parser reads `import datasets, evaluate` as one package.
    lines = (METRIC_DIR / "xlt_qa.py").read_text(encoding="utf-8").splitlines()
    assert "import datasets" in lines
    assert "import evaluate" in lines
