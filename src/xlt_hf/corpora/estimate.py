# SPDX-License-Identifier: Apache-2.0
"""What a build will need, before it reads a text: for `--dry_run`.

Sizes come from the source's listing. Rates and memory are measured here and now, on a few seconds of made-up text,
and scaled up: they are this machine's, to within a factor of about two, and no figure is typed in.
"""

import os
import tempfile
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.corpora.levels import removal_levels
from xlt_hf.corpora.order import paired_order
from xlt_hf.corpora.parity import draw_reserve, removal_bounds
from xlt_hf.corpora.partition import Partition, check_invariants
from xlt_hf.questions.similarity import TfidfIndex
from xlt_hf.study import Study
from xlt_hf.tokenization import count_tokens, train_bpe

_SAMPLE_DOCUMENTS = 1_500
_SAMPLE_QUERIES = 64
_ARRAY_DOCUMENTS = 50_000
_LARGEST_SAMPLE_TEXT = 4_000


def estimate(
    study: Study, expected: Mapping[str, Any], tokenizer_counts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Sources and size of D, whether it can supply the reserve, and what the build will take.

    Args:
        expected: `Documents.expected()`.
        tokenizer_counts: the published tokenizer's manifest counts; its fertility table gives the tokens.

    Returns:
        Plain data for the printed plan.
    """
    plan = {**expected, "reserve": reserve_rule(study, expected["documents"])}
    documents, text_bytes = expected["documents"], expected["text_bytes"]
    if not documents or not text_bytes:
        return plan
    plan["tokens"] = _tokens(text_bytes, tokenizer_counts)
    plan["disk_bytes"] = {
        "documents, uncompressed": text_bytes,
        "shards, until they are published": expected["download_bytes"],
    }
    return {**plan, **calibrated(study, documents, text_bytes)}


def reserve_rule(study: Study, documents: int | None) -> dict[str, Any] | str:
    """Bounds on what filter 4 removes, and what that means, in documents; texts decide within the bounds."""
    if documents is None:
        return "unknown: the source does not say how many documents it has"
    splits = study.splits
    bounds = removal_bounds(documents, splits.test + splits.train, splits.control, study.similarity.top_k)
    if bounds["at_least"] > bounds["room"]:
        verdict = (
            f"infeasible: filter 4 removes at least {bounds['at_least']:,} of {documents:,} documents, and a reserve "
            f"of as many remains for {bounds['room']:,} at most. Lower similarity.top_k, splits.test or splits.train."
        )
    elif bounds["at_most"] <= bounds["room"]:
        verdict = "feasible whatever the nearest pages are, where documents are of like length"
    else:
        verdict = "decided by how far the nearest pages overlap; checked before any document is written"
    return {**bounds, "verdict": verdict}


def calibrated(study: Study, documents: int, text_bytes: int) -> dict[str, Any]:
    """Time and memory of each stage at full size, from a sample that is worked through now.

    Args:
        documents: of D.
        text_bytes: of both languages together.
    """
    cores = len(os.sched_getaffinity(0))
    sample = _made_up_texts(min(_LARGEST_SAMPLE_TEXT, max(40, text_bytes // documents // 2)))
    sample_bytes = sum(len(text) for text in sample)
    queries = study.splits.test + study.splits.train + study.splits.control
    pages = text_bytes / 2 / sample_bytes  # how many samples D's source texts are

    tokenizer = train_bpe(sample[:200], 2_000)
    token_seconds, _ = _timed(lambda: count_tokens(tokenizer, sample))
    index_seconds, index = _timed(lambda: TfidfIndex(sample))
    rows = np.arange(_SAMPLE_QUERIES, dtype=np.int64)
    search_seconds, _ = _timed(lambda: index.nearest(rows, min(study.similarity.top_k, len(sample))))
    index.close()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.parquet"
        write_seconds, _ = _timed(lambda: pq.write_table(pa.table({"text": sample}), path))
    array_seconds, array_bytes = _arrays()
    scale = documents / _ARRAY_DOCUMENTS
    return {
        "hours": {
            # The tokenizers library already uses every core.
            "tokens, counted and again for training": _hours(2 * token_seconds * text_bytes / sample_bytes),
            "nearest pages": _hours(
                (index_seconds + search_seconds * queries / _SAMPLE_QUERIES) * pages / cores
            ),
            "filters, reserve and order": _hours(array_seconds * scale),
            "shards": _hours(write_seconds * text_bytes / sample_bytes),
        },
        "memory_gib": {
            "nearest pages": "what --memory_budget allows",
            "filters, reserve and order": round(array_bytes * scale / 2**30, 2),
        },
        "measured_on": f"{_SAMPLE_DOCUMENTS:,} made-up documents on this machine's {cores} cores",
    }


def _tokens(text_bytes: int, counts: Mapping[str, Any] | None) -> int | str:
    if counts is None:
        return "unknown until the tokenizer is published: its fertility table gives bytes per token"
    rates = [row["bytes_per_token"] for row in counts["fertility"] if row["splitting"] == "ours"]
    return round(sum(text_bytes / len(rates) / rate for rate in rates))


def _made_up_texts(length: int) -> list[str]:
    """Texts of about `length` characters in which few words are common and most are rare."""
    draw = np.random.default_rng(0)
    letters = np.array(list("aeinorst bcdfghlmpuvw".replace(" ", "")))
    vocabulary = np.array(["".join(draw.choice(letters, size)) for size in draw.integers(2, 11, 30_000)])
    shares = 1 / np.arange(1, len(vocabulary) + 1)
    words = max(8, length // 6)
    chosen = draw.choice(len(vocabulary), (_SAMPLE_DOCUMENTS, words), p=shares / shares.sum())
    return [" ".join(row) for row in vocabulary[chosen].tolist()]


def _arrays() -> tuple[float, int]:
    """Seconds and peak bytes of everything that is done to integer arrays, for `_ARRAY_DOCUMENTS` documents."""
    n = _ARRAY_DOCUMENTS
    draw = np.random.default_rng(0)
    ids = pa.array([f"document-{i:09d}" for i in range(n)])
    tokens = draw.lognormal(6, 1, n).astype(np.int64)
    near = draw.integers(0, n // 3, (20, 500))
    control = np.zeros(n, bool)
    control[-100:] = True

    def work() -> None:
        level = removal_levels(n, near[:10, 0], near[10:, 0], near[:10], near[10:])
        reserve = draw_reserve(tokens, level, control, 0, ids)
        check_invariants(Partition(level, reserve), tokens, control, ids)
        paired_order(ids, 0)

    tracemalloc.start()
    try:
        work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return _timed(work)[0], peak


def _timed(work: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _hours(seconds: float) -> float:
    return float(f"{seconds / 3600:.2g}")
