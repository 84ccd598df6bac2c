# SPDX-License-Identifier: Apache-2.0
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpora.builder import LANGUAGES, corpora
from tests.hub_server import start_hub
from xlt_hf.artifacts import CORPUS_COLUMNS, Artifact
from xlt_hf.corpora import parts
from xlt_hf.corpora.parts import dataset_configs, shard_cuts, write_parts
from xlt_hf.hub import publish
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.inputs import find
from xlt_hf.hub.manifest import new_manifest
from xlt_hf.hub.publish import publish_folder

ARTIFACT = Artifact("corpora", "dataset", "xlt-hf/kill-corpora", "recipes/build_corpora.py")
SHARD_BYTES = 300


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 120))
def test_shards_cover_all_documents_once_and_only_the_last_may_be_short(sizes, limit):
    cuts = shard_cuts(np.array(sizes, np.int64), limit)
    assert cuts[0] == 0
    assert cuts[-1] == len(sizes)
    if not sizes:
        assert cuts == [0, 0]
        return
    pieces = [sizes[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    assert all(pieces)
    assert all(sum(piece) >= limit for piece in pieces[:-1])
    assert all(sum(piece[:-1]) < limit for piece in pieces)


def test_every_text_is_written_once_and_filters_are_unions_of_the_files(tmp_path):
    made = corpora()
    files = write_parts(made, LANGUAGES, 0, tmp_path, SHARD_BYTES)
    rows = {
        part: [r for path in paths for r in pq.read_table(tmp_path / path).to_pylist()]
        for part, paths in files.items()
    }
    assert len(files["en"]) > 3
    hindi = [r["doc_id"] for part, found in rows.items() if part.startswith("hi/") for r in found]
    assert len(hindi) == len(set(hindi)) == len(made.kept)
    assert all(tuple(row) == CORPUS_COLUMNS for row in rows["en"])
    texts = {d.doc_id: d for d in made.documents}
    for part, found in rows.items():
        if part != "audit":
            language = part.split("/")[-1] if part.startswith("validation") else part.split("/")[0]
            for row in found:
                assert row["text"] == texts[row["doc_id"]].text[language]
                assert row["title"] == texts[row["doc_id"]].titles[language]
    order = [r["doc_id"] for r in rows["en"]]
    base = [r["doc_id"] for r in rows["hi/base"]]
    assert base == [d for d in order if d in set(base)], "common documents stand in the same order"
    configs = {c["config_name"]: c["data_files"] for c in dataset_configs(files, made.partition)}
    for k in range(5):
        split = {entry["split"]: entry["path"] for entry in configs[f"filter-{k}"]}
        held = {r["doc_id"] for path in split["hi"] for r in pq.read_table(tmp_path / path).to_pylist()}
        assert held == {made.documents[int(r)].doc_id for r in made.kept[made.partition.target_mask(k)]}
        assert split["en"] == files["en"]


def _build_and_publish(hub: Hub, folder: Path) -> None:
    """What the recipe does after the counting, as one process that may be killed anywhere."""
    publish.FILES_PER_COMMIT = 12
    manifest = new_manifest("build_corpora", "kill", {}, {}, 0)
    write_parts(corpora(200), LANGUAGES, 0, folder, SHARD_BYTES)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Corpora\n")
    publish_folder(hub, ARTIFACT, folder, manifest, "corpora")


def test_a_build_killed_at_ten_moments_publishes_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "FILES_PER_COMMIT", 12)
    with start_hub(tmp_path / "hub") as running:
        hub = Hub(running.endpoint, "xlt-hf", False, True, running.root, running.token)
        began = time.monotonic()
        _build_and_publish(hub, tmp_path / "whole")
        whole = time.monotonic() - began
        expected = publish._remote_hashes(hub, ARTIFACT)
        commits = len(hub.api.list_repo_commits(ARTIFACT.repo_id, repo_type="dataset"))
        hub.api.delete_repo(ARTIFACT.repo_id, repo_type="dataset")

        draw, context = random.Random(0), multiprocessing.get_context("fork")
        folder, killed = tmp_path / "killed", 0
        for moment in range(10):
            child = context.Process(target=_build_and_publish, args=(hub, folder))
            child.start()
            child.join((0.05 + 0.9 * draw.random()) * whole * (moment + 1) / 10)
            if child.is_alive():
                os.kill(child.pid, signal.SIGKILL)
                killed += 1
                complete = find(hub, ARTIFACT) is not None
                assert not complete or publish._remote_hashes(hub, ARTIFACT) == expected, (
                    "a manifest says: complete"
                )
            child.join()
        assert killed >= 3, "otherwise this test has tried nothing"
        _build_and_publish(hub, folder)
        assert publish._remote_hashes(hub, ARTIFACT) == expected
        assert find(hub, ARTIFACT) is not None
        assert commits > 2
    written = {name: data for name, data in contents(folder).items() if not name.endswith(".writing")}
    assert written == contents(tmp_path / "whole")


def test_shards_that_are_there_are_not_written_again(tmp_path, monkeypatch):
    made = corpora()
    files = write_parts(made, LANGUAGES, 0, tmp_path, SHARD_BYTES)
    before = contents(tmp_path)
    missing = files["en"][1]
    (tmp_path / missing).unlink()
    written = []
    real = parts._write_whole
    monkeypatch.setattr(parts, "_write_whole", lambda table, path: (written.append(path), real(table, path)))
    write_parts(made, LANGUAGES, 0, tmp_path, SHARD_BYTES)
    assert [str(p.relative_to(tmp_path)) for p in written] == [missing, "audit/audit.parquet"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["partition.png", "audit.png"])
def test_pictures_are_the_same_bytes_for_the_same_counts(tmp_path, name):
    from xlt_hf.corpora.figures import write_figures

    counts = corpora().counts(LANGUAGES)
    for folder in ("a", "b"):
        write_figures(counts, LANGUAGES, tmp_path / folder)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / name).stat().st_size > 5000
