# SPDX-License-Identifier: Apache-2.0
"""Five corpora from one copy: the partition of D into parts, its unions and its invariants (DESIGN.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlt_hf.corpora.levels import LEVELS
from xlt_hf.corpora.parity import parity_tolerance

FILTERS = (0, *LEVELS)
N_TARGET_PARTS = 1 + 2 * len(LEVELS)


class InvariantBroken(AssertionError):
    """The corpora break a rule that every result rests on; nothing may be published."""


@dataclass(frozen=True)
class Partition:
    """Where each document's two texts go.

    Attributes:
        level: Removal levels, ``int8[n]``.
        reserve: Reserve parts, ``int8[n]``.
        source: Code of the language that every filter holds whole, such as ``en``.
        target: Code of the language that documents are removed from, such as ``hi``.
    """

    level: np.ndarray
    reserve: np.ndarray
    source: str = "en"
    target: str = "hi"

    def __post_init__(self) -> None:
        if self.level.shape != self.reserve.shape or self.level.ndim != 1:
            raise ValueError(
                f"level {self.level.shape} and reserve {self.reserve.shape} must be equal and flat"
            )
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.source!r}")

    @property
    def source_part(self) -> str:
        return self.source

    @property
    def target_parts(self) -> tuple[str, ...]:
        """Names by part code: base, level-1..4, reserve-1..4."""
        return (
            f"{self.target}/base",
            *(f"{self.target}/level-{k}" for k in LEVELS),
            *(f"{self.target}/reserve-{k}" for k in LEVELS),
        )

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.source_part, *self.target_parts)

    def target_codes(self) -> np.ndarray:
        """``int8[n]``: index into `target_parts` of each document's target-language text."""
        codes = np.where(self.reserve > 0, self.reserve + np.int8(len(LEVELS)), self.level)
        return codes.astype(np.int8, copy=False)

    def source_mask(self) -> np.ndarray:
        """``bool[n]``: documents whose source-language text is in every corpus (C = D - R)."""
        return self.reserve == 0

    def target_mask(self, k: int) -> np.ndarray:
        """``bool[n]``: documents whose target-language text is in corpus k: ``(C - F_k) | R_k``."""
        _check_filter(k)
        kept = (self.reserve == 0) & ((self.level == 0) | (self.level > k))
        return kept | ((self.reserve > 0) & (self.reserve <= k))

    def part_rows(self, part: str) -> np.ndarray:
        """Rows of D in a part, ascending, ``int64``."""
        if part == self.source_part:
            return np.flatnonzero(self.source_mask())
        if part not in self.target_parts:
            raise ValueError(f"no part {part!r}; the parts are {', '.join(self.parts)}")
        return np.flatnonzero(self.target_codes() == self.target_parts.index(part))

    def target_codes_of_filter(self, k: int) -> tuple[int, ...]:
        """Part codes whose union is corpus k's target language."""
        _check_filter(k)
        n = len(LEVELS)
        return (0, *(j for j in LEVELS if j > k), *(n + j for j in LEVELS if j <= k))

    def parts_of_filter(self, k: int) -> list[str]:
        """Names of the parts whose union is corpus k, the source language's first.

        ``filter-k = en + hi/base + hi/level-j (j > k) + hi/reserve-j (j <= k)``.
        """
        return [self.source_part, *(self.target_parts[code] for code in self.target_codes_of_filter(k))]

    def summary(self, tok_source: np.ndarray, tok_target: np.ndarray) -> dict[str, Any]:
        """Documents and tokens of every part and every filter.

        Returns:
            ``{"parts": {name: {"documents", "tokens"}}, "filters": {"filter-k": {language: {"documents",
            "tokens"}}}}``; plain integers, ready for JSON.
        """
        codes = self.target_codes()
        n_docs = np.bincount(codes, minlength=N_TARGET_PARTS)
        # Weighted bincount adds in float64: exact up to 2**53 tokens.
        n_tokens = np.bincount(codes, weights=tok_target, minlength=N_TARGET_PARTS).astype(np.int64)
        held = self.source_mask()
        source = {
            "documents": int(held.sum()),
            "tokens": int(np.asarray(tok_source)[held].sum(dtype=np.int64)),
        }
        parts = {self.source_part: source}
        for code, name in enumerate(self.target_parts):
            parts[name] = {"documents": int(n_docs[code]), "tokens": int(n_tokens[code])}
        filters = {}
        for k in FILTERS:
            names = self.parts_of_filter(k)[1:]
            filters[f"filter-{k}"] = {
                self.source: dict(source),
                self.target: {
                    unit: sum(parts[name][unit] for name in names) for unit in ("documents", "tokens")
                },
            }
        return {"parts": parts, "filters": filters}


def _check_filter(k: int) -> None:
    if k not in FILTERS:
        raise ValueError(f"no filter {k!r}; the filters are {', '.join(map(str, FILTERS))}")


def _fail_where(bad: np.ndarray, what: str, doc_ids: Sequence[str] | None) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        first = [doc_ids[int(row)] if doc_ids is not None else int(row) for row in rows[:5]]
        raise InvariantBroken(f"{what}: {rows.size:,} documents, the first {first}")


def check_invariants(
    partition: Partition,
    tok_target: np.ndarray,
    control_mask: np.ndarray,
    doc_ids: Sequence[str] | None = None,
) -> None:
    """Check every rule that the comparison between filters rests on (DESIGN.md, "Invariants").

    Parts are disjoint and cover D less the reserve's source language; filters are nested; no document of F_k
    is in corpus k's target language; the reserve is in no corpus's source language; control pages are in the
    target language at every filter; the token counts of the filters agree; the source language is the same
    one part in all.

    Args:
        partition: What to check.
        tok_target: Target-language tokens of each document, ``int[n]``.
        control_mask: ``bool[n]``, the control pages.
        doc_ids: For the messages.

    Raises:
        InvariantBroken: With the rule, the number of documents that break it and the first of them.
    """
    level, reserve = partition.level, partition.reserve
    n = len(level)
    tok = np.asarray(tok_target)
    control = np.asarray(control_mask, dtype=bool)
    if tok.shape != (n,) or control.shape != (n,):
        raise ValueError(f"tok_target {tok.shape} and control_mask {control.shape} must have {n} documents")
    _fail_where((level < 0) | (level > LEVELS[-1]), "removal level out of 0..4", doc_ids)
    _fail_where((reserve < 0) | (reserve > LEVELS[-1]), "reserve part out of 0..4", doc_ids)
    _fail_where((level > 0) & (reserve > 0), "both removed and in the reserve", doc_ids)
    _fail_where(control & (level > 0), "control page with a removal level", doc_ids)
    _fail_where(control & (reserve > 0), "control page in the reserve", doc_ids)

    # Disjoint and covering, counted from the parts themselves, not from the codes that define them.
    seen = np.zeros(n, np.int16)
    for name in partition.target_parts:
        seen[partition.part_rows(name)] += 1
    _fail_where(seen != 1, "target-language text not in exactly one part", doc_ids)
    source = np.zeros(n, bool)
    source[partition.part_rows(partition.source_part)] = True
    _fail_where(source & (reserve > 0), "reserve document in the source language", doc_ids)
    _fail_where(~source & (reserve == 0), "document missing from the source language", doc_ids)

    codes = partition.target_codes()
    tokens = []
    removed_before = np.zeros(n, bool)
    for k in FILTERS:
        names = partition.parts_of_filter(k)
        if names.count(partition.source_part) != 1:
            raise InvariantBroken(
                f"filter {k} has {names.count(partition.source_part)} source parts, not one"
            )
        held = np.isin(codes, partition.target_codes_of_filter(k))
        _fail_where(
            held != partition.target_mask(k), f"filter {k}: parts differ from (C - F_k) | R_k", doc_ids
        )
        removed = (level > 0) & (level <= k)
        _fail_where(removed & held, f"filter {k}: removed document in the target language", doc_ids)
        _fail_where(removed_before & ~removed, f"filter {k}: filters not nested", doc_ids)
        _fail_where(control & ~held, f"filter {k}: control page not in the target language", doc_ids)
        removed_before = removed
        tokens.append(int(tok[held].sum(dtype=np.int64)))
        tolerance = parity_tolerance(tok, level, control, k)
        if abs(tokens[k] - tokens[0]) > tolerance:
            raise InvariantBroken(
                f"filter {k} has {tokens[k]:,} target-language tokens, filter 0 has {tokens[0]:,}: "
                f"a difference of {abs(tokens[k] - tokens[0]):,} where {tolerance:,} is allowed "
                "(0.1% or one document)"
            )
