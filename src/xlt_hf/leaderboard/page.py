# SPDX-License-Identifier: Apache-2.0
"""The leaderboard as a static Space: one page that works from the file system, with no script and no outside
font.

`build_site` writes `README.md` (the Space's card, `sdk: static`), `index.html`, `style.css`, `scores.csv` and
the figures in `assets/`. All links within the site are relative; only the provenance points out, to the Hub.
"""

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from xlt_hf.evaluation.rows import HELD_OUT, ScoreRow
from xlt_hf.evaluation.verdict import Verdict, primary_metric
from xlt_hf.leaderboard.plots import DARK, LANGUAGE_NAMES, LIGHT, plot_scores
from xlt_hf.leaderboard.table import (
    GROUP_NAMES,
    LEGEND,
    METRIC_NAMES,
    TableLine,
    interval_text,
    optional_text,
    table_lines,
)

RERUN_COMMAND = (
    "python recipes/run_eval.py --study {study} --size {size} --filter {filter} --task {task} --seed {seed}"
)
_MARKS = {"transfer": "✓", "no transfer": "✗", "inconclusive": "?", "undefined": "∅", "baseline": "·"}


@dataclass(frozen=True)
class SiteMeta:
    """What the page says about where its numbers are from.

    Attributes:
        title (`str`): Heading of the page and title of the Space.
        study (`str`): Name of the study.
        study_title (`str`): What the study is, in a sentence.
        hub_url (`str`): Address of the Hub, without a slash at the end; models are linked as
            `{hub_url}/{model}/tree/{revision}`.
        results_repo, questions_repos (`str`, `Sequence[str]`): Dataset ids.
        license (`str`): Hub licence id of the Space.
        languages (`tuple[str, str]`): Source and target.
        rerun_command (`str`): Command that evaluates a row again; `{study}`, `{size}`, `{filter}`, `{task}`
            and `{seed}` are filled in from the row.
        limits (`Sequence[str]`): Sentences on what the numbers do not show.
    """

    title: str
    study: str
    study_title: str
    hub_url: str
    results_repo: str
    questions_repos: Sequence[str]
    license: str
    languages: tuple[str, str] = ("en", "hi")
    rerun_command: str = RERUN_COMMAND
    limits: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class _Model:
    """One evaluated model in the provenance table."""

    name: str
    revision: str
    url: str
    data_revision: str
    code_version: str
    command: str


def sample_predictions(
    predictions: Sequence[Mapping[str, Any]], *, pages: int = 6, seed: int = 0
) -> list[Mapping[str, Any]]:
    """Some held-out questions with every language's answer, at the highest filter of each task.

    Args:
        predictions (`Sequence[Mapping]`): Published `predictions` rows.
        pages (`int`, *optional*, defaults to `6`): Questions to draw per task, from different pages.
        seed (`int`, *optional*, defaults to `0`): Seed of the draw. The draw looks at no answer.

    Returns:
        `list[Mapping]`: Their rows, ordered by task, question and language.
    """
    chosen: list[Mapping[str, Any]] = []
    last = [row for row in predictions if row.get("epoch") is None and row["group"] == HELD_OUT]
    for task, context in sorted({(row["task"], row["context"]) for row in last}):
        rows = [row for row in last if (row["task"], row["context"]) == (task, context)]
        level = max(row["filter"] for row in rows)
        rows = [row for row in rows if row["filter"] == level]
        first_seed = min(row["seed"] for row in rows)
        size = min(row["size"] for row in rows)
        rows = [row for row in rows if row["seed"] == first_seed and row["size"] == size]
        generator = random.Random(seed)
        titles = sorted({row["title"] for row in rows})
        for title in generator.sample(titles, min(pages, len(titles))):
            item = generator.choice(sorted({row["id"] for row in rows if row["title"] == title}))
            chosen += sorted((row for row in rows if row["id"] == item), key=lambda row: row["language"])
    return chosen


def build_site(
    scores: Sequence[ScoreRow],
    predictions_sample: Sequence[Mapping[str, Any]],
    meta: SiteMeta,
    out_dir: Path,
    *,
    verdicts: Sequence[Verdict] = (),
) -> list[Path]:
    """Write the site.

    Args:
        scores (`Sequence[ScoreRow]`): Published scores.
        predictions_sample (`Sequence[Mapping]`): Rows to show as examples, from `sample_predictions`.
        meta (`SiteMeta`): Where the numbers are from.
        out_dir (`Path`): Folder to write into; made if it is not there.
        verdicts (`Sequence[Verdict]`, *optional*): From `verdict.verdicts_of`.

    Returns:
        `list[Path]`: The files written, sorted. The same arguments give the same bytes.

    Raises:
        ValueError: There are no scores to show.
    """
    lines = table_lines(scores, verdicts)
    if not lines:
        raise ValueError("no scores to show: evaluate a model first (recipes/run_eval.py)")
    assets = out_dir / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=PackageLoader("xlt_hf.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    figures = _figures(scores, lines, meta, assets)
    context = {
        "meta": meta,
        "lines": lines,
        "legend": LEGEND,
        "verdicts": [verdict for verdict in verdicts if verdict.kind != "baseline"],
        "baselines": [verdict for verdict in verdicts if verdict.kind == "baseline"],
        "marks": _MARKS,
        "figures": figures,
        "models": _models(lines, meta),
        "examples": [_example(row) for row in predictions_sample],
        "group_names": GROUP_NAMES,
        "language_names": LANGUAGE_NAMES,
        "metric_names": METRIC_NAMES,
        "interval": interval_text,
        "optional": optional_text,
        "sections": _sections(lines),
    }
    pages = {"index.html": "index.html.j2", "README.md": "README.md.j2", "style.css": "style.css.j2"}
    written = [figure["path"] for figure in figures] + [figure["dark_path"] for figure in figures]
    for name, template in pages.items():
        path = out_dir / name
        values = context | {"front_matter": _front_matter(meta)}
        path.write_text(environment.get_template(template).render(values), encoding="utf-8")
        written.append(path)
    written.append(_write_csv(scores, out_dir / "scores.csv"))
    return sorted(written)


def _sections(lines: Sequence[TableLine]) -> list[tuple[str, list[TableLine]]]:
    sections: dict[str, list[TableLine]] = {}
    for line in lines:
        sections.setdefault(f"{line.task}, {line.score.size}", []).append(line)
    return list(sections.items())


def _figures(
    scores: Sequence[ScoreRow], lines: Sequence[TableLine], meta: SiteMeta, assets: Path
) -> list[dict[str, Any]]:
    figures = []
    for name, members in _sections(lines):
        first = members[0].score
        rows = [
            row
            for row in scores
            if (row.study, row.size, row.task, row.context, row.metric)
            == (first.study, first.size, first.task, first.context, first.metric)
        ]
        languages = [
            language for language in reversed(meta.languages) if any(row.language == language for row in rows)
        ]
        stem = f"{first.size}-{first.task}-{first.context}"
        path, dark_path = assets / f"{stem}.svg", assets / f"{stem}-dark.svg"
        plot_scores(rows, path, languages=languages, theme=LIGHT)
        plot_scores(rows, dark_path, languages=languages, theme=DARK)
        figures.append({"name": name, "path": path, "dark_path": dark_path, "metric": first.metric})
    return figures


def _models(lines: Sequence[TableLine], meta: SiteMeta) -> list[_Model]:
    models: dict[tuple[str, str, str], _Model] = {}
    for line in lines:
        row = line.score
        models.setdefault(
            (row.model, row.model_revision, row.task),
            _Model(
                name=row.model,
                revision=row.model_revision,
                url=f"{meta.hub_url}/{row.model}/tree/{row.model_revision}",
                data_revision=row.data_revision,
                code_version=row.code_version,
                command=meta.rerun_command.format(
                    study=row.study, size=row.size, filter=row.filter, task=row.task, seed=row.seed
                ),
            ),
        )
    return list(models.values())


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": row["task"],
        "filter": row["filter"],
        "language": row["language"],
        "title": row["title"],
        "prompt": row["prompt"],
        "gold": " / ".join(row["golds"]),
        "prediction": row["prediction"],
        "right": row[primary_metric(row)] >= 0.5,
    }


def _front_matter(meta: SiteMeta) -> str:
    card = {
        "title": meta.title,
        "emoji": "🌉",
        "colorFrom": "blue",
        "colorTo": "yellow",
        "sdk": "static",
        "pinned": False,
        "license": meta.license,
        "datasets": [meta.results_repo, *meta.questions_repos],
        "tags": ["leaderboard", "cross-lingual-transfer", *meta.languages],
    }
    return yaml.safe_dump(card, allow_unicode=True, sort_keys=False)


def _write_csv(scores: Sequence[ScoreRow], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [name.name for name in fields(ScoreRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in scores)
    return path
