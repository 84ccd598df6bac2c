# SPDX-License-Identifier: Apache-2.0
"""Peak memory of every data stage, its growth with the documents, and what that makes at full size.

    python -m tests.benchmarks.bench_memory [--documents 50000 100000 200000] [--stages tfidf filters audit tokens]

Each stage runs in a process of its own for each size; its figure is that process's largest resident set. A line
through the sizes gives the growth per document and the projection. Documents are Zipfian (`zipfian.py`), written
once to a parquet file and read a row group at a time, so that no stage holds the texts for this benchmark's sake.

Results: `ours` is the projection, `baseline` the goal, `ratio` goal over projection.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GIB = 2**30
ROW_GROUP = 2_000
# The audit and the tokens hold one text, or one batch, at a time: short texts measure the same and take less time.
TARGET_CHARACTERS = 400
TFIDF_BUDGET = 128 * 2**20


class ParquetTexts(Sequence[str]):
    """The first `n` texts of a column, read a row group at a time; `len`, iteration, slices and single rows."""

    def __init__(self, path: Path, column: str, n: int) -> None:
        import pyarrow.parquet as pq

        self.file, self.column, self.n = pq.ParquetFile(path), column, n
        self.group, self.held = -1, []

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(self.n))

    def __getitem__(self, row):
        if isinstance(row, slice):
            return [self[r] for r in range(*row.indices(self.n))]
        if not 0 <= row < self.n:
            raise IndexError(row)
        group, place = divmod(row, ROW_GROUP)
        if group != self.group:
            self.held = self.file.read_row_group(group, [self.column])[self.column].to_pylist()
            self.group = group
        return self.held[place]


def write_documents(n: int, path: Path) -> None:
    """The documents that all stages read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.benchmarks.zipfian import streamed_documents

    schema = pa.schema([("doc_id", pa.string()), ("en", pa.string()), ("hi", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows: list[dict[str, str]] = []
        for document in streamed_documents(n, chunk=ROW_GROUP):
            rows.append(
                {
                    "doc_id": document["doc_id"],
                    "en": document["en"],
                    "hi": document["hi"][:TARGET_CHARACTERS],
                }
            )
            if len(rows) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=ROW_GROUP)
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=ROW_GROUP)


def _ids(n: int):
    """Document ids as one Arrow column, never as Python strings at once."""
    import pyarrow as pa

    size = 65_536
    chunks = [
        pa.array([f"z{row:08d}" for row in range(first, min(first + size, n))], pa.string())
        for first in range(0, n, size)
    ]
    return pa.chunked_array(chunks, pa.string())


def tfidf(n: int, path: Path) -> None:
    """Build the index and search 200 pages at top 1000, within `TFIDF_BUDGET`."""
    from xlt_hf.questions.similarity import TfidfIndex

    with tempfile.TemporaryDirectory() as folder:
        index = TfidfIndex(
            ParquetTexts(path, "en", n), ids=_ids(n), memory_budget_bytes=TFIDF_BUDGET, spill_folder=folder
        )
        index.nearest(np.linspace(0, n - 1, 200).astype(np.int64), 1_000)
        index.close()


def filters(n: int, path: Path | None = None) -> None:
    """Levels, feasibility, reserve, partition, invariants, counts and reading order; near a fifth of D removed."""
    from xlt_hf.corpora.levels import removal_levels
    from xlt_hf.corpora.order import paired_order
    from xlt_hf.corpora.parity import draw_reserve, feasibility
    from xlt_hf.corpora.partition import Partition, check_invariants

    rng = np.random.default_rng(0)
    ids = _ids(n)
    tokens = np.maximum(rng.lognormal(6.0, 1.0, n).astype(np.int32), 1)
    pages = rng.choice(n, 3 * max(n // 1_000, 1), replace=False).reshape(3, -1)
    control = np.zeros(n, bool)
    control[pages[2]] = True
    near = rng.choice(np.flatnonzero(~control), (2, pages.shape[1], 100))
    level = removal_levels(n, pages[0], pages[1], near[0], near[1], exempt=pages[2])
    feasibility(tokens, level, control)
    partition = Partition(level, draw_reserve(tokens, level, control, 0, ids))
    check_invariants(partition, tokens, control, ids)
    partition.summary(tokens, tokens)
    paired_order(ids, 0)


def audit(n: int, path: Path) -> None:
    """The leak audit of 2,000 questions over every target-language text."""
    from xlt_hf.corpora.audit import AuditQuestion, leak_audit
    from xlt_hf.corpora.partition import Partition

    first = ParquetTexts(path, "hi", 2_000)
    questions = [
        AuditQuestion(f"q{row}", [text.split()[len(text.split()) // 2]], [" ".join(text.split()[:2])])
        for row, text in enumerate(first)
    ]
    rng = np.random.default_rng(0)
    level = rng.choice(5, n, p=[0.8, 0.05, 0.05, 0.05, 0.05]).astype(np.int8)
    reserve = np.where(level == 0, rng.choice(5, n, p=[0.8, 0.05, 0.05, 0.05, 0.05]), 0).astype(np.int8)
    leak_audit(questions, ParquetTexts(path, "hi", n), Partition(level, reserve))


def tokens(n: int, path: Path) -> None:
    """One part tokenised into its store, which is opened again."""
    from xlt_hf.corpora.tokens import tokenise_part
    from xlt_hf.tokenization import train_bpe

    tokenizer = train_bpe(ParquetTexts(path, "en", 1_000), 8_000)
    with tempfile.TemporaryDirectory() as folder:
        ids = ParquetTexts(path, "doc_id", n)
        tokenise_part(tokenizer, ids, ParquetTexts(path, "en", n), "en", Path(folder) / "en")


@dataclass(frozen=True)
class Stage:
    """A stage and its goal: `goal_bytes` at `goal_documents`."""

    run: Callable[[int, Path], None]
    name: str
    goal: str
    goal_bytes: int
    goal_documents: int


STAGES = {
    "tfidf": Stage(tfidf, "TF-IDF build + search", "<= 8 GiB at 3M documents", 8 * GIB, 3_000_000),
    "filters": Stage(
        filters,
        "levels, reserve, parity, partition, order",
        "< 2 GiB at 6M documents",
        2 * GIB,
        6_000_000,
    ),
    "audit": Stage(audit, "leak audit", "<= 24 GiB at 6M documents", 24 * GIB, 6_000_000),
    "tokens": Stage(
        tokens, "tokenising a part to its store", "<= 24 GiB at 6M documents", 24 * GIB, 6_000_000
    ),
}


def _peak() -> int:
    """Largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(stage: str, n: int, path: Path) -> int:
    """Peak bytes of a stage over `n` documents, in a process of its own.

    The system lets a child start from its parent's peak, so that this process must stay smaller than any stage:
    it imports little and has the documents written by a child, too.
    """
    command = [sys.executable, "-m", "tests.benchmarks.bench_memory", "--child", stage]
    done = subprocess.run(
        [*command, "--documents", str(n), "--file", str(path)], check=True, stdout=subprocess.PIPE
    )
    return int(json.loads(done.stdout.splitlines()[-1])["peak"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[50_000, 100_000, 200_000])
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument(
        "--whole",
        type=int,
        default=6_000_000,
        help="documents that the stage without texts is also run at, as the check of its projection; 0: not",
    )
    parser.add_argument("--file", type=Path, help="parquet file of documents, written where it is missing")
    parser.add_argument("--child", choices=["write", *STAGES], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run = write_documents if args.child == "write" else STAGES[args.child].run
        run(args.documents[0], args.file)
        print(json.dumps({"peak": _peak()}))
        return

    from tests.benchmarks import report

    sizes = sorted(args.documents)
    own = _peak()
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or Path(folder) / "documents.parquet"
        if not path.exists() and set(args.stages) != {"filters"}:
            measure("write", sizes[-1], path)
        for key in args.stages:
            stage = STAGES[key]
            peaks = [measure(key, n, path) for n in sizes]
            assert min(peaks) > own, (peaks, own)
            whole = measure(key, args.whole, path) if key == "filters" and args.whole else 0
            measurements.append(row(stage, key, sizes, peaks, whole, args.whole))
            print(measurements[-1].note, flush=True)
    print(report.table(measurements))
    print(report.write("memory", measurements))


def row(stage: Stage, key: str, sizes: Sequence[int], peaks: Sequence[int], whole: int, whole_n: int):
    """The measurement of a stage: a line through its peaks, at the goal's number of documents and at 6M.

    Growth that the scatter of the peaks may hide is counted as growth.
    """
    from tests.benchmarks import report

    growth, fixed = np.polyfit(sizes, peaks, 1) if len(sizes) > 1 else (0.0, float(peaks[0]))
    off = max(abs(fixed + growth * n - peak) for n, peak in zip(sizes, peaks))
    hidden = off / max(sizes[-1] - sizes[0], 1)
    growth = max(growth, 0.0)
    more = growth + hidden
    projected = {n: max(peaks) + more * (n - sizes[-1]) for n in {stage.goal_documents, 6_000_000}}
    seen = ", ".join(f"{peak / 2**20:.0f} MiB at {n:,}" for n, peak in zip(sizes, peaks))
    ahead = ", ".join(f"{size / GIB:.2f} GiB at {n:,}" for n, size in sorted(projected.items()))
    parts = [
        f"{seen}; a line of {growth:.0f} bytes a document, off by at most {off / 2**20:.1f} MiB, which may hide "
        f"{hidden:.0f} more; with both {ahead}"
    ]
    if whole:
        parts.append(f"measured {whole / GIB:.2f} GiB at {whole_n:,}")
    if key == "tfidf":
        parts.append(
            f"budget {TFIDF_BUDGET / 2**20:.0f} MiB, so that every size is kept in files: a larger budget may be "
            "used up to its full size. The generator has 100,000 words: each distinct word of D takes 16 bytes, 32 "
            "while a shard is added"
        )
    if key == "audit":
        parts.append(f"texts cut to {TARGET_CHARACTERS} characters")
    parts.append(f"load average {os.getloadavg()[0]:.1f}")
    ours = projected[stage.goal_documents] / GIB
    return report.Measurement(
        metric=f"peak memory, {stage.name}, projected to {stage.goal_documents:,} documents",
        ours=round(ours, 3),
        baseline=stage.goal_bytes / GIB,
        ratio=round(stage.goal_bytes / GIB / ours, 2),
        goal=stage.goal,
        unit="GiB",
        repeats=len(sizes),
        spread={"ours": round(off / max(peaks), 3), "baseline": 0.0},
        device=report.device(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command=report.command_line(),
        note="; ".join(parts),
    )


if __name__ == "__main__":
    main()
