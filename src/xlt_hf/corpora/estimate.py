# SPDX-License-Identifier: Apache-2.0
"""What a build will need, before it reads a text: for `--dry_run`."""

from collections.abc import Mapping
from typing import Any

from xlt_hf.corpora.parity import removal_bounds
from xlt_hf.study import Study


def estimate(study: Study, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Sources and size of D, and whether it can supply the reserve.

    Args:
        expected: `Documents.expected()`.

    Returns:
        Plain data for the printed plan.
    """
    return {**expected, "reserve": reserve_rule(study, expected["documents"])}


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
