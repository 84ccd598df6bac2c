# SPDX-License-Identifier: Apache-2.0
"""`.gitattributes` and `.gitignore` are read as git reads them."""

import subprocess
from pathlib import Path

import pytest

from xlt_hf.localhub.upload_rules import LFS_THRESHOLD, UploadRules, default_gitattributes


@pytest.mark.parametrize(
    "path, size, sample, mode",
    [
        ("model.safetensors", 10, b"x", "lfs"),
        ("deep/pytorch_model.bin", 10, b"x", "lfs"),
        ("data/train-0.parquet", 10, b"x", "lfs"),
        ("x.arrow", 10, b"x", "lfs"),
        ("plot.png", 10, b"x", "lfs"),
        ("events.out.tfevents.1", 10, b"x", "lfs"),
        ("saved_model/a/b.txt", 10, b"x", "lfs"),
        ("config.json", 10, b"{}", "regular"),
        ("README.md", LFS_THRESHOLD - 1, b"#", "regular"),
        ("README.md", LFS_THRESHOLD, b"#", "lfs"),
        ("mystery", 10, b"a\0b", "lfs"),
        ("empty.bin", 0, b"", "regular"),
    ],
)
def test_default_modes(path: str, size: int, sample: bytes, mode: str) -> None:
    assert UploadRules(default_gitattributes("model")).mode(path, size, sample) == mode


def test_the_last_attribute_wins() -> None:
    rules = UploadRules("*.txt filter=lfs -text\n# *.md filter=lfs\nsmall.txt -filter\n")
    assert rules.mode("big.txt", 1, b"x") == "lfs"
    assert rules.mode("a/small.txt", 1, b"x") == "regular"
    assert rules.mode("a.md", 1, b"x") == "regular"


IGNORES = [
    "*.log",
    "*.log\n!keep.log",
    "out/",
    "/top.txt",
    "a/b",
    "**/cache",
    "logs/**",
    "a/**/z",
    "file[0-9].txt",
    "file[!0-9].txt",
    "\\#odd\n# comment\n\n",
    "out/\n!out/x.log",
    "?.txt",
    "*",
    "*\n!*.txt",
]
PATHS = [
    "x.log", "keep.log", "d/keep.log", "out/x.log", "d/out/y", "out", "top.txt", "d/top.txt", "a/b", "d/a/b",
    "a/z", "a/m/n/z", "cache/f", "d/cache/f", "logs/q/r", "file1.txt", "filex.txt",
    "#odd", "a.txt", "d/ab.txt",
]  # fmt: skip


@pytest.mark.parametrize("gitignore", IGNORES)
def test_ignored_as_git_ignores(gitignore: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(gitignore)
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=tmp_path,
        input="\n".join(PATHS),
        capture_output=True,
        text=True,
        check=False,
    )
    expected = {line.strip('"') for line in done.stdout.splitlines()}
    rules = UploadRules(gitignore=gitignore)
    assert {path for path in PATHS if rules.ignored(path)} == expected
