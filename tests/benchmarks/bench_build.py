# SPDX-License-Identifier: Apache-2.0
"""The data recipes, whole, on generated documents: time and peak memory of each, and what they make at the paper's size.

    python -m tests.benchmarks.bench_build [--documents 50000 200000] [--questions 3000]

Documents lie in a parquet file as a user's own would, questions in a dataset on an embedded Hub of the benchmark's
own. Each recipe runs once, as typed, in a process of its own; there is no other library to compare with, so `baseline`
is the goal: 24 GiB for memory, a day on 16 cores for time, at the documents of the paper (5.7M), by a line through the
sizes. Memory is what a recipe holds of its own: mapped files, which the kernel can take back, do not count.
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.benchmarks import prose, report
from tests.hub_server import RunningHub, start_hub
from xlt_hf.recipe import ROOT

PAPER_DOCUMENTS = 5_700_000
GOAL_GIB, GOAL_HOURS, GOAL_CORES = 24, 24, 16
BATCH = 2_000
RECIPES = ("train_tokenizer", "build_qa", "build_corpora")


def write_documents(path: Path, n: int) -> None:
    """Aligned documents as parquet, a batch a row group."""
    writer: pq.ParquetWriter | None = None
    rows: list[dict[str, str]] = []
    for document in prose.documents(n):
        rows.append(document)
        if len(rows) == BATCH or document["doc_id"] == str(n - 1):
            table = pa.Table.from_pylist(rows)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows = []
    if rows:
        table = pa.Table.from_pylist(rows)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def seed_questions(hub: RunningHub, documents: Path, n: int) -> None:
    """Questions on evenly spaced documents, their answers words of the page, in both languages."""
    from huggingface_hub import CommitOperationAdd

    table = pq.read_table(documents, columns=["title", "en", "hi"])
    rows = []
    for i in range(n):
        row = i * table.num_rows // n
        title, english, hindi = (table[name][row].as_py() for name in ("title", "en", "hi"))
        words = {"en": english.split()[3 + i % 5].strip(".,"), "hi": hindi.split()[3 + i % 5].strip("।,")}
        rows.append(
            {
                "id": f"q{i}",
                "title": title,
                "question": {"en": f"What is number {i} of {title}?", "hi": f"{title} का {i} क्या है?"},
                "answer": {language: [word] for language, word in words.items()},
                "negatives": {language: [f"{word}{k}" for k in range(3)] for language, word in words.items()},
                "context": {"en": None, "hi": None},
            }
        )
    sink = io.BytesIO()
    per_language = pa.struct([("en", pa.string()), ("hi", pa.string())])
    lists = pa.struct([("en", pa.list_(pa.string())), ("hi", pa.list_(pa.string()))])
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("question", per_language),
            ("answer", lists),
            ("negatives", lists),
            ("context", per_language),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), sink)
    api = hub.api()
    api.create_repo("xlt-hf/generated-questions", repo_type="dataset")
    operation = CommitOperationAdd("any.parquet", sink.getvalue())
    api.create_commit("xlt-hf/generated-questions", [operation], commit_message="seed", repo_type="dataset")


def write_study(path: Path, documents: Path, n: int, top_k: int) -> None:
    """The xquad study on `n` generated documents, with as many questions a split as leave a reserve."""
    size = max(10, min(300, n // (10 * top_k)))
    data = yaml.safe_load((ROOT / "recipes/studies/xquad.yaml").read_text(encoding="utf-8"))
    columns = {"source_text": "en", "target_text": "hi"}
    data |= {
        "name": "generated",
        "documents": {"source": "files", "files": {"files": [str(documents)], "columns": columns}},
        "questions": {
            "nq": {
                "source": "published",
                "published": {"repo_id": "xlt-hf/generated-questions", "files": {"any": "any.parquet"}},
            }
        },
        "tasks": {"nq": {"kind": "closed_book"}},
        "splits": {"unit": "questions", "test": size, "train": size, "control": size},
        "similarity": {"top_k": top_k},
        "corpora": {"validation_documents": 500, "shard_mib": 128},
        "tokenizer": {"vocab_size": 32000, "sample_mib": 128},
        "finetuning": {"nq": data["finetuning"]["closed"]},
    }
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")


def run(hub: RunningHub, folder: Path, recipe: str, study: Path) -> tuple[float, float]:
    """Seconds of one recipe, and the most GiB that it held of its own; mapped files, which the kernel can take back, apart.

    The usual `ru_maxrss` would not do: a child inherits that of the process that starts it.
    """
    command = [sys.executable, str(ROOT / "recipes" / f"{recipe}.py"), "--study", str(study)]
    environment = {**hub.environment(folder / "home"), "XLT_HF_CACHE": str(folder / "replies.sqlite3")}
    began = time.perf_counter()
    with open(folder / f"{recipe}.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        most = 0
        while process.poll() is None:
            most = max(most, _own_kib(process.pid))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit((folder / f"{recipe}.log").read_text(errors="replace")[-3000:])
    return time.perf_counter() - began, most / 2**20


def _own_kib(pid: int) -> int:
    """Anonymous resident memory of a process, 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")), "0"))


def build_all(folder: Path, documents: int, questions: int, top_k: int) -> dict[str, tuple[float, float]]:
    """Recipe -> (seconds, GiB) on so many documents; everything lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path, study = folder / "documents.parquet", folder / "generated.yaml"
    write_documents(path, documents)
    write_study(study, path, documents, top_k)
    with start_hub(folder / "hub") as hub:
        seed_questions(hub, path, questions)
        return {recipe: run(hub, folder, recipe, study) for recipe in RECIPES}


def projected(sizes: Sequence[int], values: Sequence[float], at: int) -> float:
    """By a line through the sizes; in proportion, which overstates it, where there is one size."""
    if len(sizes) < 2:
        return values[0] / sizes[0] * at
    slope, start = np.polyfit(sizes, values, 1)
    return float(slope * at + start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--questions", type=int, default=3_000)
    parser.add_argument("--top_k", type=int, default=20)
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = [build_all(Path(folder) / str(n), n, args.questions, args.top_k) for n in args.documents]
    rows = []
    for recipe in RECIPES:
        seconds, gib = ([measured[recipe][i] for measured in found] for i in (0, 1))
        note = "; ".join(
            f"{n:,} documents in {s:.0f} s with {g:.2f} GiB"
            for n, s, g in zip(args.documents, seconds, gib, strict=True)
        )
        hours = projected(args.documents, seconds, PAPER_DOCUMENTS) * cores / GOAL_CORES / 3600
        for unit, ours, goal in (
            ("h on 16 cores", hours, GOAL_HOURS),
            ("GiB", projected(args.documents, gib, PAPER_DOCUMENTS), GOAL_GIB),
        ):
            rows.append(
                report.Measurement(
                    metric=f"{recipe} at 5.7M documents, by a line through the sizes",
                    ours=round(ours, 2),
                    baseline=goal,
                    ratio=round(goal / ours, 2),
                    goal=f"<= {goal} {unit}",
                    unit=unit,
                    repeats=1,
                    spread={},
                    device=report.device(),
                    date=datetime.datetime.now(datetime.UTC).date().isoformat(),
                    command=report.command_line(),
                    note=f"{note}; load average {before:.1f} before",
                )
            )
    print(report.table(rows))
    report.write("build", rows)


if __name__ == "__main__":
    main()
