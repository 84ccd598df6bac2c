# SPDX-License-Identifier: Apache-2.0
"""Figures are drawn without a display, the same at every run."""

import dataclasses
import xml.etree.ElementTree as ET

import pytest

from xlt_hf.evaluation.rows import ScoreRow
from xlt_hf.leaderboard.plots import DARK, LIGHT, plot_scores


def rows(seeds=(0, 1)):
    """Two filters, two languages, two groups."""
    return [
        ScoreRow(
            study="s", size="tiny", filter=level, seed=seed, task="facts", context="none", language=language,
            group=group, metric="em_xl", value=value, ci_low=value - 5, ci_high=value + 5, n=100, floor=12.0,
            chance=20.0, mde=8.0, model="ns/m", model_revision="c", data_revision="d", code_version="0.1.0",
        )
        for level in (0, 4)
        for seed in seeds
        for language in ("en", "hi")
        for group, value in (("held_out", 80.0 - 15 * level * (language == "hi")), ("retained", 78.0 + seed))
    ]  # fmt: skip


def test_svg_is_well_formed_and_the_same_every_time(tmp_path):
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    plot_scores(rows(), first, languages=["hi", "en"])
    plot_scores(rows(), second, languages=["hi", "en"])
    assert ET.parse(first).getroot().tag.endswith("svg")
    assert first.read_bytes() == second.read_bytes()


def test_the_theme_the_values_and_the_guess_level_are_drawn(tmp_path):
    path = tmp_path / "a.svg"
    plot_scores(rows(), path, languages=["hi", "en"], theme=DARK)
    dark = path.read_text(encoding="utf-8")
    assert DARK.held_out in dark
    assert DARK.retained in dark
    assert LIGHT.held_out not in dark
    without = [dataclasses.replace(row, floor=None, chance=None) for row in rows()]
    plot_scores(without, path, languages=["hi", "en"], theme=DARK)
    assert path.read_text(encoding="utf-8").count(DARK.guess) < dark.count(DARK.guess)
    moved = [dataclasses.replace(row, value=50.0, ci_low=40.0, ci_high=60.0) for row in rows()]
    plot_scores(moved, path, languages=["hi", "en"], theme=DARK)
    assert path.read_text(encoding="utf-8") != dark


def test_png(tmp_path):
    path = tmp_path / "a.png"
    plot_scores(rows(seeds=(0,)), path, languages=["hi"])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_several_metrics_in_one_figure_are_refused(tmp_path):
    mixed = [*rows(), dataclasses.replace(rows()[0], metric="f1_xl")]
    with pytest.raises(ValueError, match="one task and metric"):
        plot_scores(mixed, tmp_path / "a.svg", languages=["hi", "en"])
    with pytest.raises(ValueError, match="none"):
        plot_scores([], tmp_path / "a.svg", languages=["hi"])
