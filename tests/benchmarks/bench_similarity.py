# SPDX-License-Identifier: Apache-2.0
"""TF-IDF top-1000, exact: ours against sklearn's `linear_kernel` + argpartition.

    python -m tests.benchmarks.bench_similarity [--documents 200000] [--queries 200] [--repeats 3]

Both arms start from what their library keeps: sklearn from the normalised TF-IDF matrix (`TfidfTransformer`),
ours from the index (`TfidfIndex`). Both are made from one count matrix outside the timing; one row adds that
making to both arms. The row in CPU time compares one thread with one thread, and says more than the others where
other work shares the machine. Scores must agree to 1e-6, or there is no result.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics.pairwise import linear_kernel
from threadpoolctl import threadpool_info

from tests.benchmarks import report
from tests.benchmarks.zipfian import count_matrix
from xlt_hf.questions.similarity import TfidfIndex


def sklearn_top(matrix: sp.csr_matrix, rows: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """The baseline: rows and scores ``[Q, top_k]``, best first."""
    scores = linear_kernel(matrix[rows], matrix)
    best = np.argpartition(-scores, top_k - 1, axis=1)[:, :top_k]
    best_scores = np.take_along_axis(scores, best, 1)
    order = np.argsort(-best_scores, axis=1)
    return np.take_along_axis(best, order, 1), np.take_along_axis(best_scores, order, 1)


def in_cpu_seconds(arm: Callable[[], None], seconds: list[float]) -> Callable[[], None]:
    """The arm, which also notes the CPU time that this process has spent in it."""

    def noted() -> None:
        start = time.process_time()
        arm()
        seconds.append(time.process_time() - start)

    return noted


def kernels() -> str:
    """Which kernels the matrix library runs: the setting slows a current numpy where it names an old processor."""
    setting = os.environ.get("OPENBLAS_CORETYPE", "not set")
    found = {
        f"{p['internal_api']} {p.get('architecture', '')}"
        for p in threadpool_info()
        if p["user_api"] == "blas"
    }
    return f"OPENBLAS_CORETYPE {setting}, {', '.join(sorted(found))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--top_k", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    counts = count_matrix(args.documents)
    rows = np.sort(np.random.default_rng(1).choice(args.documents, args.queries, replace=False))
    cores = len(os.sched_getaffinity(0))
    made: dict[str, sp.csr_matrix] = {}
    indexes: dict[str, TfidfIndex] = {}
    found: dict[str, np.ndarray] = {}

    def make_sklearn() -> None:
        made["matrix"] = TfidfTransformer().fit_transform(counts)

    def make_ours() -> None:
        indexes["all"] = TfidfIndex.from_counts(counts, n_jobs=cores)

    def search_sklearn() -> None:
        found["sklearn"] = sklearn_top(made["matrix"], rows, args.top_k)[1]

    def search_ours(n_jobs: int) -> None:
        indexes["all"].n_jobs = n_jobs
        found[f"ours-{n_jobs}"] = indexes["all"].nearest(rows, args.top_k)[1]

    arms = {"make sklearn": make_sklearn, "make ours": make_ours, "sklearn": search_sklearn}
    for n_jobs in sorted({1, cores}):
        arms[f"ours {n_jobs}"] = lambda n_jobs=n_jobs: search_ours(n_jobs)
    cpu: dict[str, list[float]] = {name: [] for name in arms}
    load = os.getloadavg()[0]
    seconds = report.interleave(
        {name: in_cpu_seconds(arm, cpu[name]) for name, arm in arms.items()}, args.repeats
    )

    for name, scores in found.items():
        worst = float(np.abs(scores - found["sklearn"]).max())
        if worst > 1e-6:
            raise SystemExit(f"{name} differs from sklearn by {worst}")
    size = f"{args.documents:,} documents x {args.queries} queries, top {args.top_k}"
    busy = f"load average {load:.1f} before and {os.getloadavg()[0]:.1f} after on {cores} cores; {kernels()}"
    measurements = [
        report.speedup(
            f"TF-IDF search, {size}, {n_jobs} thread{'s' * (n_jobs > 1)}",
            seconds[f"ours {n_jobs}"],
            seconds["sklearn"],
            goal=">= 4x (7x)",
            note=busy,
        )
        for n_jobs in sorted({1, cores})
    ]
    measurements.append(
        report.speedup(
            f"TF-IDF search, {size}, 1 thread, CPU time",
            cpu["ours 1"],
            cpu["sklearn"],
            goal=">= 4x (7x)",
            note=busy,
        )
    )
    both = [
        [a + b for a, b in zip(seconds[f"make {x}"], seconds[y])]
        for x, y in (("ours", f"ours {cores}"), ("sklearn", "sklearn"))
    ]
    measurements.append(
        report.speedup(f"the same with weighting and index, {cores} threads", *both, goal="none", note=busy)
    )
    print(report.table(measurements))
    print(busy)
    print(report.write("similarity", measurements))


if __name__ == "__main__":
    main()
