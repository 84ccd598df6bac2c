# SPDX-License-Identifier: Apache-2.0
"""`make bench` finds every benchmark and fails when one does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as runner


def test_every_benchmark_is_found_by_its_file_name(tmp_path):
    for name in ("bench_b.py", "bench_a.py", "report.py"):
        (tmp_path / name).touch()
    assert runner.names(tmp_path) == ["a", "b"]
    assert {"tokenise", "tokenizer_training", "loader", "similarity"} <= set(runner.names())


def test_all_run_and_a_failure_is_told_at_the_end(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(runner, "names", lambda: ["a", "b", "c"])
    monkeypatch.setattr(runner, "run", lambda name: ran.append(name) or int(name == "b"))
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    with pytest.raises(SystemExit, match="failed: b"):
        runner.main()
    assert ran == ["a", "b", "c"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "c", "--only", "a"])
    runner.main()
    assert ran[3:] == ["c", "a"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "d"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "invalid choice: 'd'" in capsys.readouterr().err


def test_make_bench_s_command_exists():
    root = Path(__file__).parents[2]
    listed = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--list"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == runner.names()
