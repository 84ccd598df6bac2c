# SPDX-License-Identifier: Apache-2.0
"""One figure per task: each language on held-out and on retained questions, filter by filter.

Drawn without a display into SVG or PNG, with the Okabe–Ito colours, which colour-blind readers can tell
apart, and with another marker and line style for each group, so that the figure also reads in grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xlt_hf.evaluation.rows import GROUPS, HELD_OUT, RETAINED, ScoreRow
from xlt_hf.leaderboard.table import GROUP_NAMES, METRIC_NAMES

LANGUAGE_NAMES = {"en": "English", "hi": "Hindi"}


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; its background is transparent."""

    text: str
    grid: str
    held_out: str
    retained: str
    guess: str


LIGHT = Theme(text="#1f2328", grid="#d8dee4", held_out="#d55e00", retained="#0072b2", guess="#57606a")
DARK = Theme(text="#e6edf3", grid="#3d444d", held_out="#e69f00", retained="#56b4e9", guess="#9da7b3")

_MARKERS = {HELD_OUT: "o", RETAINED: "s"}
_LINES = {HELD_OUT: "-", RETAINED: "--"}


def plot_scores(
    scores: Sequence[ScoreRow], path: Path, *, languages: Sequence[str], theme: Theme = LIGHT
) -> None:
    """Draw one task's scores into a file.

    Args:
        scores (`Sequence[ScoreRow]`): One study, size, task, context and metric; any filters, seeds and
            languages. Rows of other groups than held-out and retained, and of earlier epochs, are left out.
        path (`Path`): Where to write; the suffix (`.svg`, `.png`) says how.
        languages (`Sequence[str]`): A panel for each, in this order.
        theme (`Theme`, *optional*, defaults to `LIGHT`): Colours.

    Raises:
        ValueError: There is nothing to draw, or the rows are of several tasks or metrics.
    """
    rows = [row for row in scores if row.epoch is None and row.group in GROUPS and row.language in languages]
    kinds = {(row.study, row.size, row.task, row.context, row.metric) for row in rows}
    if len(kinds) != 1:
        raise ValueError(f"a figure shows one task and metric, the rows are of {sorted(kinds) or 'none'}")
    metric = rows[0].metric
    # The salt makes the ids in an SVG, and so its bytes, the same at every run.
    with matplotlib.rc_context({"svg.hashsalt": "xlt_hf", "font.size": 11, "text.color": theme.text}):
        figure = Figure(figsize=(4.2 * len(languages), 4.1), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(languages), sharey=True, squeeze=False)[0]
        for panel, language in zip(panels, languages, strict=True):
            of_language = [row for row in rows if row.language == language]
            _draw(panel, of_language, theme)
            panel.set_title(LANGUAGE_NAMES.get(language, language), color=theme.text)
        panels[0].set_ylabel(f"{METRIC_NAMES.get(metric, metric)}, per cent", color=theme.text)
        panels[0].set_ylim(0, 100)
        handles: dict[str, Artist] = {}
        for panel in panels:
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=2,
            frameon=False,
            labelcolor=theme.text,
        )
        figure.savefig(
            path, transparent=True, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None
        )


def _draw(panel, rows: Sequence[ScoreRow], theme: Theme) -> None:
    colours = {HELD_OUT: theme.held_out, RETAINED: theme.retained}
    filters = sorted({row.filter for row in rows})
    seeds = sorted({row.seed for row in rows})
    for group in GROUPS:
        of_group = [row for row in rows if row.group == group]
        if not of_group:
            continue
        side = -0.07 if group == HELD_OUT else 0.07
        for row in of_group:
            place = row.filter + side + 0.05 * (seeds.index(row.seed) - (len(seeds) - 1) / 2)
            panel.errorbar(
                place,
                row.value,
                yerr=[[row.value - row.ci_low], [row.ci_high - row.value]],
                fmt=_MARKERS[group],
                color=colours[group],
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
            )
        mean = _mean_by_filter(of_group, "value")
        label = f"{GROUP_NAMES[group]} (n = {max(row.n for row in of_group)})"
        panel.plot(
            [level + side for level in mean],
            list(mean.values()),
            _LINES[group],
            marker=_MARKERS[group],
            markersize=5,
            color=colours[group],
            linewidth=1.8,
            label=label,
        )
    held = [row for row in rows if row.group == HELD_OUT] or list(rows)
    for column, style, label in (
        ("chance", ":", "guess level, held-out: commonest answer or 1/options"),
        ("floor", "-.", "floor, held-out: shuffled answers"),
    ):
        level = _mean_by_filter([row for row in held if getattr(row, column) is not None], column)
        if level:
            panel.plot(
                list(level), list(level.values()), style, color=theme.guess, linewidth=1.5, label=label
            )
    panel.set_xticks(filters)
    panel.set_xlim(min(filters) - 0.4, max(filters) + 0.4)
    panel.set_xlabel("filter (0: nothing removed)", color=theme.text)
    panel.grid(axis="y", color=theme.grid, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(colors=theme.text)
    for edge, spine in panel.spines.items():
        spine.set_visible(edge in ("left", "bottom"))
        spine.set_color(theme.grid)


def _mean_by_filter(rows: Sequence[ScoreRow], column: str) -> dict[int, float]:
    return {
        level: float(np.mean([getattr(row, column) for row in rows if row.filter == level]))
        for level in sorted({row.filter for row in rows})
    }
