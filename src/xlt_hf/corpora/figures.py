# SPDX-License-Identifier: Apache-2.0
"""Pictures of the dataset card: how the corpora are cut, and what the leak audit found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter

from xlt_hf.corpora.audit import BUCKETS
from xlt_hf.corpora.levels import LEVELS
from xlt_hf.study import Languages

PARTITION, AUDIT = "partition.png", "audit.png"
_BASE, _LEVEL, _RESERVE, _SOURCE, _GONE = "#4c78a8", "#f58518", "#54a24b", "#9aa5b1", "#ffffff"
_SHADES = {"0": "#d9e6d5", "1-9": "#f2c78f", "10+": "#c8553d"}
_MENTIONS = (("answer", "an answer"), ("title", "the title"), ("both", "both"))


def write_figures(counts: Mapping[str, Any], languages: Languages, folder: Path) -> list[Path]:
    """Draw both pictures from a manifest's counts.

    Args:
        counts: `parts`, `filters` and `audit` of `Corpora.counts`.
        folder: made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in ((PARTITION, partition_figure(counts, languages)), (AUDIT, audit_figure(counts))):
        path = folder / name
        # Without the writing library's version and date, the same counts give the same bytes.
        figure.savefig(path, dpi=120, metadata={"Software": None})
        paths.append(path)
    return paths


def partition_figure(counts: Mapping[str, Any], languages: Languages) -> Figure:
    """One bar a filter: the target language's tokens by part; removed parts stay as outlines."""
    parts = counts["parts"]
    target = languages.target
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    rows = [f"filter {k}" for k in range(len(LEVELS) + 1)]
    for row in range(len(rows)):
        left = 0
        pieces = [(f"{target}/base", _BASE, True)]
        pieces += [(f"{target}/level-{j}", _LEVEL, j > row) for j in LEVELS]
        pieces += [(f"{target}/reserve-{j}", _RESERVE, j <= row) for j in LEVELS]
        for name, colour, held in pieces:
            width = parts[name]["tokens"]
            axes.barh(
                row,
                width,
                left=left,
                color=colour if held else _GONE,
                edgecolor=colour,
                linewidth=0.8,
                linestyle="-" if held else ":",
            )
            if width > 0.04 * sum(parts[n]["tokens"] for n, _, _ in pieces):
                axes.text(
                    left + width / 2, row, name.split("/")[1], ha="center", va="center", fontsize=7,
                    color="white" if held else colour,
                )  # fmt: skip
            left += width
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.set_xlabel(f"tokens of {target}; {languages.source} is one part, the same at every filter")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        handles=[
            Patch(color=_BASE, label="always there"),
            Patch(color=_LEVEL, label="removed from its level on"),
            Patch(color=_RESERVE, label="put in their place"),
            Patch(facecolor=_GONE, edgecolor="black", linestyle=":", label="not in the corpus"),
        ],
        ncols=4,
        loc="upper center",
        bbox_to_anchor=(0.5, 1.18),
        frameon=False,
        fontsize=8,
    )
    return figure


def audit_figure(counts: Mapping[str, Any]) -> Figure:
    """Three panels (answer, title, both): test questions by documents left that mention it, a bar a filter."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, len(_MENTIONS), sharey=True)
    for axes, (mention, label) in zip(panels, _MENTIONS, strict=True):
        rows = sorted((r for r in counts["audit"] if r["mention"] == mention), key=lambda r: r["filter"])
        bottom = [0] * len(rows)
        for bucket in BUCKETS:
            heights = [row[bucket] for row in rows]
            axes.bar(
                [row["filter"] for row in rows], heights, bottom=bottom, color=_SHADES[bucket], label=bucket
            )
            bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
        axes.set_title(f"documents that mention {label}", fontsize=9)
        axes.set_xlabel("filter")
        axes.set_xticks([row["filter"] for row in rows])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("test questions")
    panels[-1].legend(
        title="documents", frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    return figure
