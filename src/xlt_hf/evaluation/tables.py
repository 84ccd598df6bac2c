# SPDX-License-Identifier: Apache-2.0
"""The results dataset's parquet schemas: the same for every task, so that all files load as one table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.evaluation.multiple_choice import LIKELIHOOD_METRICS
from xlt_hf.evaluation.normalization import RULES

TEXT_METRICS = tuple(f"{name}_{rule}" for rule in RULES for name in ("em", "f1"))
ITEM_METRICS = (*TEXT_METRICS, "accuracy_letter", *LIKELIHOOD_METRICS)

_IDENTITY = [
    ("study", pa.string()),
    ("size", pa.string()),
    ("filter", pa.int64()),
    ("seed", pa.int64()),
    ("task", pa.string()),
    ("context", pa.string()),
    ("language", pa.string()),
    ("group", pa.string()),
]
_MODEL = [("model", pa.string()), ("model_revision", pa.string()), ("epoch", pa.int64())]

SCORES_SCHEMA = pa.schema(
    [
        *_IDENTITY,
        ("metric", pa.string()),
        *((name, pa.float64()) for name in ("value", "ci_low", "ci_high")),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in ("floor", "chance", "mde")),
        *_MODEL,
        ("data_revision", pa.string()),
        ("code_version", pa.string()),
    ]
)
PREDICTIONS_SCHEMA = pa.schema(
    [
        *_IDENTITY,
        *((name, pa.string()) for name in ("id", "title", "relation", "prompt", "prediction")),
        ("golds", pa.list_(pa.string())),
        ("majority_answer", pa.string()),
        ("n_options", pa.int64()),
        ("copyable", pa.bool_()),
        *((name, pa.float64()) for name in ITEM_METRICS),
        *_MODEL,
    ]
)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write rows as parquet.

    Raises:
        ValueError: a row has a column that the schema lacks; it would be lost without a word.
    """
    unknown = sorted({name for row in rows for name in row} - set(schema.names))
    if unknown:
        raise ValueError(f"{path.name}: no column for {', '.join(unknown)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path)
