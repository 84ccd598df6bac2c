# SPDX-License-Identifier: Apache-2.0
"""The reserve: documents that replace the removed ones, token for token (paper section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from xlt_hf.corpora.levels import LEVELS
from xlt_hf.corpora.order import hash_keys
from xlt_hf.errors import UserError

RELATIVE_TOLERANCE = 0.001


class ParityInfeasible(UserError, ValueError):
    """D cannot supply a reserve as large as what filter 4 removes."""


@dataclass(frozen=True)
class Feasibility:
    """Numbers that decide whether a reserve exists. Tokens are those of the target language."""

    documents: int
    tokens: int
    removed_documents: int
    removed_tokens: int
    control_documents: int
    control_tokens: int
    eligible_documents: int
    eligible_tokens: int

    @property
    def missing_tokens(self) -> int:
        """Tokens the reserve would lack; 0 where it exists."""
        return max(0, self.removed_tokens - self.eligible_tokens)

    @property
    def feasible(self) -> bool:
        return self.removed_tokens <= self.eligible_tokens

    def as_dict(self) -> dict[str, int | bool]:
        return {**asdict(self), "missing_tokens": self.missing_tokens, "feasible": self.feasible}

    def explain(self) -> str:
        """One paragraph: the numbers, and the remedies where there is no reserve."""
        share = self.removed_tokens / self.tokens if self.tokens else 0.0
        text = (
            f"filter 4 removes {self.removed_documents:,} of {self.documents:,} documents, "
            f"{self.removed_tokens:,} of {self.tokens:,} target-language tokens ({share:.1%}); "
            f"{self.control_documents:,} control documents ({self.control_tokens:,} tokens) stay; "
            f"{self.eligible_documents:,} documents with {self.eligible_tokens:,} tokens can serve as reserve"
        )
        if self.feasible:
            return text
        return (
            f"{text}: {self.missing_tokens:,} tokens are missing. "
            "Filter 4 may remove at most half of D less the control pages. "
            "Lower top_k, draw fewer test, train or control pages, or add documents."
        )


def feasibility(tok_hi: np.ndarray, level: np.ndarray, control_mask: np.ndarray) -> Feasibility:
    """Whether D can supply the reserve; costs a few sums, so call it before any long work.

    Args:
        tok_hi: Target-language tokens of each document, ``int[n]``.
        level: Removal levels, ``int8[n]`` (`removal_levels`).
        control_mask: ``bool[n]``, the control pages.
    """
    tok, level, control = _checked(tok_hi, level, control_mask)
    removed = level > 0
    eligible = ~(removed | control) & (tok > 0)
    return Feasibility(
        documents=len(tok),
        tokens=int(tok.sum()),
        removed_documents=int(removed.sum()),
        removed_tokens=int(tok[removed].sum()),
        control_documents=int(control.sum()),
        control_tokens=int(tok[control].sum()),
        eligible_documents=int(eligible.sum()),
        eligible_tokens=int(tok[eligible].sum()),
    )


def removal_bounds(n_docs: int, n_pages: int, n_control: int, top_k: int) -> dict[str, int]:
    """Bounds on the size of F_4 before any similarity is known, in documents (for `--dry_run`).

    Args:
        n_docs: Documents in D.
        n_pages: Test and train pages together.
        n_control: Control pages.
        top_k: Documents near each page, the page itself included.

    Returns:
        ``at_least`` and ``at_most``: documents that filter 4 can remove; ``room``: the largest F_4 for which
        a reserve of as many documents remains. ``at_least > room`` is certain to fail, ``at_most <= room``
        certain to do, where documents are of like length.
    """
    at_least = min(n_docs, max(n_pages, min(top_k, n_docs))) if n_pages else 0
    return {
        "at_least": at_least,
        "at_most": min(n_docs, n_pages * max(top_k, 1)),
        "room": max(0, (n_docs - n_control) // 2),
    }


def _checked(
    tok_hi: np.ndarray, level: np.ndarray, control_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tok = np.asarray(tok_hi)
    level = np.asarray(level)
    control = np.asarray(control_mask, dtype=bool)
    if not (tok.shape == level.shape == control.shape) or tok.ndim != 1:
        raise ValueError(
            f"tok_hi {tok.shape}, level {level.shape} and control_mask {control.shape} must be equal, flat"
        )
    if tok.size == 0:
        return tok.astype(np.int64), level.astype(np.int8), control
    if not np.issubdtype(tok.dtype, np.integer):
        raise TypeError(f"tok_hi must be integer token counts, got {tok.dtype}")
    if tok.min() < 0:
        raise ValueError(f"tok_hi has negative counts, the smallest {tok.min()}")
    if level.min() < 0 or level.max() > LEVELS[-1]:
        raise ValueError(f"levels must lie in 0..{LEVELS[-1]}, got {level.min()}..{level.max()}")
    return tok.astype(np.int64, copy=False), level, control


def parity_tolerance(tok_hi: np.ndarray, level: np.ndarray, control_mask: np.ndarray, k: int) -> int:
    """Largest allowed ``|tok(R_k) - tok(F_k)|``: 0.1% or one document, whichever is larger.

    "One document" is the longest that the reserve could have drawn; what `draw_reserve` reaches is far closer
    (exact, as a rule, once D has thousands of documents).
    """
    tok, level, control = _checked(tok_hi, level, control_mask)
    eligible = (level == 0) & ~control
    longest = int(tok[eligible].max()) if eligible.any() else 0
    removed = int(tok[(level > 0) & (level <= k)].sum())
    return max(int(RELATIVE_TOLERANCE * removed), longest)


def _nearest_index(sorted_values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the sorted value closest to each wanted one (the smaller where two are equally close)."""
    right = np.clip(np.searchsorted(sorted_values, wanted), 0, len(sorted_values) - 1)
    left = np.maximum(right - 1, 0)
    closer_left = np.abs(sorted_values[left] - wanted) <= np.abs(sorted_values[right] - wanted)
    return np.where(closer_left, left, right)


def _fill(tok: np.ndarray, target: int) -> np.ndarray:
    """Positions in `tok` (a random order) whose sum is as close to `target` as one exchange can bring it.

    The longest prefix that does not exceed the target, then the best of: as it is, one more document, one
    document exchanged. Only one document a level is chosen for its length; the others are random.
    """
    if target <= 0 or not len(tok):
        return np.empty(0, np.int64)
    n = int(np.searchsorted(np.cumsum(tok), target, side="right"))
    gap = target - int(tok[:n].sum())
    if gap == 0 or n == len(tok):
        return np.arange(n)
    rest = np.argsort(tok[n:], kind="stable") + n
    rest_tok = tok[rest]
    add = int(_nearest_index(rest_tok, np.asarray([gap]))[0])
    options = [(gap, 0), (abs(gap - int(rest_tok[add])), 1)]
    if n and options[1][0]:
        swap_in = _nearest_index(rest_tok, tok[:n] + gap)
        residual = np.abs(rest_tok[swap_in] - tok[:n] - gap)
        out = int(np.argmin(residual))
        options.append((int(residual[out]), 2))
    best = min(options)[1]
    if best == 0:
        return np.arange(n)
    if best == 1:
        return np.append(np.arange(n), rest[add])
    return np.append(np.delete(np.arange(n), out), rest[swap_in[out]])


def draw_reserve(
    tok_hi: np.ndarray,
    level: np.ndarray,
    control_mask: np.ndarray,
    seed: int,
    doc_ids: Sequence[str],
) -> np.ndarray:
    """Draw the reserve R and cut it into nested parts (paper section 2.1; DESIGN.md, "The corpora").

    R comes at random from D - F_4 - P_control; ``R_k``, the union of parts 1..k, has as many target-language
    tokens as ``F_k``, to within `parity_tolerance`. Documents without a target-language token are never
    drawn: they would take English text out of the corpora and replace nothing.

    Args:
        tok_hi: Target-language tokens of each document, ``int[n]``.
        level: Removal levels, ``int8[n]``.
        control_mask: ``bool[n]``, the control pages.
        seed: The study's seed.
        doc_ids: Ids, for the keyed hash that orders the draw.

    Returns:
        ``int8[n]``: 0, or the part 1..4 that the document belongs to.

    Raises:
        ParityInfeasible: D has too few tokens outside F_4 and the control pages.
        ValueError: Arrays of different lengths, or a control page with a removal level.
    """
    tok, level, control = _checked(tok_hi, level, control_mask)
    if len(doc_ids) != len(tok):
        raise ValueError(f"{len(doc_ids)} doc_ids for {len(tok)} documents")
    if np.any(control & (level > 0)):
        raise ValueError(f"{int((control & (level > 0)).sum())} control pages have a removal level")
    numbers = feasibility(tok, level, control)
    if not numbers.feasible:
        raise ParityInfeasible(f"no token parity: {numbers.explain()}")

    part = np.zeros(len(tok), np.int8)
    if not numbers.removed_tokens:
        return part
    eligible = np.flatnonzero((level == 0) & ~control & (tok > 0))
    keys = hash_keys(doc_ids, seed, "reserve")[eligible]
    eligible = eligible[np.argsort(keys, kind="stable")]  # equal hashes: one in a million at 6M documents
    drawn = 0
    for k in LEVELS:
        # The target counts from what was drawn, so that one part's residual does not add to the next's.
        removed = int(tok[(level > 0) & (level <= k)].sum())
        chosen = _fill(tok[eligible], removed - drawn)
        part[eligible[chosen]] = k
        drawn += int(tok[eligible[chosen]].sum())
        keep = np.ones(len(eligible), bool)
        keep[chosen] = False
        eligible = eligible[keep]
        tolerance = parity_tolerance(tok, level, control, k)
        assert abs(drawn - removed) <= tolerance, (k, drawn, removed, tolerance)
    return part
