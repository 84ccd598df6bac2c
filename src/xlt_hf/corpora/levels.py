# SPDX-License-Identifier: Apache-2.0
"""Removal levels: at which filter a document's target-language text leaves the corpus (paper Table 1)."""

from __future__ import annotations

import numpy as np

from xlt_hf.errors import UserError

LEVELS = (1, 2, 3, 4)


class ControlExposed(UserError, ValueError):
    """A control page has a removal level, so it would not be in the target language at every filter."""


def _rows(values: np.ndarray | None, n_docs: int, what: str) -> np.ndarray:
    """Flat, valid rows; ``-1`` (no such neighbour, or a page that is not in D) is left out."""
    if values is None:
        return np.empty(0, np.int64)
    rows = np.asarray(values).ravel()
    if rows.size == 0:
        return np.empty(0, np.int64)
    if not np.issubdtype(rows.dtype, np.integer):
        raise TypeError(f"{what} must be integer rows of D, got {rows.dtype}")
    rows = rows[rows != -1]
    if rows.size and (rows.min() < 0 or rows.max() >= n_docs):
        raise ValueError(f"{what} has rows from {rows.min()} to {rows.max()}; D has {n_docs} documents")
    return rows


def removal_levels(
    n_docs: int,
    test_pages: np.ndarray,
    train_pages: np.ndarray,
    nearest_test: np.ndarray | None,
    nearest_train: np.ndarray | None,
    exempt: np.ndarray | None = None,
) -> np.ndarray:
    """Level of each document: the first filter at which it is gone from the target language.

    1 where it is a test page; else 2 where it is near one; else 3 where it is a train page; else 4 where it
    is near one; else 0 (DESIGN.md, "The corpora"; paper Table 1). ``F_k`` is ``(level >= 1) & (level <= k)``.

    Args:
        n_docs: Documents in D.
        test_pages: Rows of the test questions' pages, any shape.
        train_pages: Rows of the train questions' pages.
        nearest_test: Rows ``int[P_test, top_k]`` of the documents nearest to each test page, ``-1`` where
            there are fewer than ``top_k``; ``None`` for none.
        nearest_train: The same for the train pages.
        exempt: Rows of the control pages, which must come out with level 0.

    Returns:
        ``int8[n_docs]``.

    Raises:
        ValueError: A row outside D.
        ControlExposed: A control page is a test or train page, or near one.
    """
    level = np.zeros(n_docs, np.int8)
    # Written from the last filter to the first, so that the smallest level wins.
    level[_rows(nearest_train, n_docs, "nearest_train")] = 4
    level[_rows(train_pages, n_docs, "train_pages")] = 3
    level[_rows(nearest_test, n_docs, "nearest_test")] = 2
    level[_rows(test_pages, n_docs, "test_pages")] = 1
    control = np.unique(_rows(exempt, n_docs, "exempt"))
    exposed = control[level[control] > 0]
    if exposed.size:
        counts = ", ".join(f"{int((level[exposed] == k).sum())} at level {k}" for k in LEVELS)
        raise ControlExposed(
            f"{exposed.size} of {control.size} control pages would be removed from the target language "
            f"({counts}); first rows: {exposed[:5].tolist()}. Control pages must be drawn outside F_4: "
            "draw the splits again with these nearest pages, or lower top_k."
        )
    return level
