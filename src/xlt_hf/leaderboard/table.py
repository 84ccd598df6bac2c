# SPDX-License-Identifier: Apache-2.0
"""The results as one tidy table: a line per task, filter, seed, language and group, with its verdict.

A line holds the metric that the task is judged by and a second one, the number of questions, and what the
score would be without knowledge. Everything is per cent. The same lines are shown in the terminal, in
Markdown and on the page.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rich.console import Console
from rich.table import Table

from xlt_hf.evaluation.rows import GROUPS, HELD_OUT, ScoreRow
from xlt_hf.evaluation.verdict import Verdict

# (judged by, shown beside it) for each kind of task, the first pair that the scores have.
METRIC_PAIRS = (
    ("em_xl", "f1_xl"),
    ("accuracy_letter", "accuracy_loglikelihood_sum"),
    ("accuracy_loglikelihood_sum", "accuracy_loglikelihood_byte"),
)
METRIC_NAMES = {
    "em_xl": "EM",
    "f1_xl": "F1",
    "accuracy_letter": "Acc. (letter)",
    "accuracy_loglikelihood_sum": "Acc. (likelihood)",
    "accuracy_loglikelihood_byte": "Acc. (likelihood per byte)",
}
GROUP_NAMES = {HELD_OUT: "held-out", "retained": "retained"}
CONTEXT_NAMES = {
    "none": "no context",
    "source": "source-language context",
    "native": "native context",
    "shuffled": "shuffled context",
}
HEADINGS = (
    "task",
    "filter",
    "seed",
    "language",
    "group",
    "score",
    "second",
    "n",
    "floor",
    "second floor",
    "chance",
    "MDE",
    "verdict",
)


@dataclass(frozen=True)
class TableLine:
    """One line of the table.

    Attributes:
        score (`ScoreRow`): The metric that the task is judged by.
        second (`ScoreRow`, *optional*): The metric shown beside it.
        verdict (`Verdict`, *optional*): On the line of the target language's held-out questions at the first
            seed, since it is about all seeds together; else `None`.
        task (`str`): The task, with its context where it has several.
        first_of_filter (`bool`): Whether the line opens a new task, filter and seed.
    """

    score: ScoreRow
    second: ScoreRow | None
    verdict: Verdict | None
    task: str
    first_of_filter: bool

    def cells(self) -> tuple[str, ...]:
        """The line as text, in the order of `HEADINGS`."""
        row = self.score
        return (
            self.task,
            str(row.filter),
            str(row.seed),
            row.language,
            GROUP_NAMES.get(row.group, row.group),
            interval_text(row),
            "" if self.second is None else interval_text(self.second),
            str(row.n),
            optional_text(row.floor),
            "" if self.second is None else optional_text(self.second.floor),
            optional_text(row.chance),
            f"{row.mde:.1f}",
            "" if self.verdict is None else self.verdict.text,
        )


def read_score_rows(rows: Iterable[Mapping[str, Any]]) -> list[ScoreRow]:
    """`ScoreRow`s from the published `scores` config; columns that are not ours are left out."""
    names = {name.name for name in fields(ScoreRow)}
    return [ScoreRow(**{key: value for key, value in row.items() if key in names}) for row in rows]


def table_lines(scores: Sequence[ScoreRow], verdicts: Sequence[Verdict] = ()) -> list[TableLine]:
    """The lines of the table, sorted by size, task, context, filter, seed, language and group.

    Scores of earlier epochs, of both groups together and of parts of the questions are left out.

    Args:
        scores (`Sequence[ScoreRow]`): Published scores.
        verdicts (`Sequence[Verdict]`, *optional*): From `verdict.verdicts_of`.

    Raises:
        ValueError: Two models give the same line: a repository was evaluated at two revisions.
    """
    found: dict[tuple[Any, ...], dict[str, ScoreRow]] = {}
    for row in scores:
        if row.epoch is None and row.group in GROUPS:
            cell = found.setdefault(_key(row), {})
            if row.metric in cell:
                raise ValueError(
                    f"{row.metric} of {row.model} ({row.language}, {row.group}) stands twice, at revisions "
                    f"{cell[row.metric].model_revision} and {row.model_revision}: keep one"
                )
            cell[row.metric] = row
    said = {(v.study, v.size, v.task, v.context, v.filter): v for v in verdicts}
    contexts: dict[tuple[Any, ...], set[str]] = {}
    for key in found:
        contexts.setdefault(key[:3], set()).add(key[3])
    lines: list[TableLine] = []
    previous: tuple[Any, ...] | None = None
    for key in sorted(found, key=_order):
        judged, beside = _pair(found[key])
        if judged is None:
            continue
        verdict = said.get(key[:5])
        if verdict is not None and (judged.language, judged.group) == (verdict.effects.target, HELD_OUT):
            del said[key[:5]]
        else:
            verdict = None
        task = judged.task
        if judged.context != "none" or len(contexts[key[:3]]) > 1:
            task += f" ({CONTEXT_NAMES.get(judged.context, judged.context)})"
        lines.append(TableLine(judged, beside, verdict, task, key[:6] != previous))
        previous = key[:6]
    return lines


def render_text(lines: Sequence[TableLine], verdicts: Sequence[Verdict] = (), *, width: int = 160) -> str:
    """The table and the verdict lines for a terminal, without colours.

    Args:
        lines (`Sequence[TableLine]`): From `table_lines`.
        verdicts (`Sequence[Verdict]`, *optional*): Written out below, one line each.
        width (`int`, *optional*, defaults to `160`): Columns of the terminal.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    right = {"filter", "seed", "n", "floor", "second floor", "chance", "MDE"}
    for heading, name in zip(HEADINGS, _named_headings(lines), strict=True):
        table.add_column(
            name,
            justify="right" if heading in right else "left",
            no_wrap=heading not in ("verdict", "task"),
        )
    for position, line in enumerate(lines):
        if line.first_of_filter and position:
            table.add_section()
            table.add_row()
        table.add_row(*line.cells())
    output = io.StringIO()
    console = Console(
        file=output, width=width, color_system=None, force_terminal=False, highlight=False, markup=False
    )
    console.print(table)
    console.print(LEGEND)
    text = [line.rstrip() for line in output.getvalue().splitlines()]
    return "\n".join([*text, *(verdict.line() for verdict in verdicts)]) + "\n"


def render_markdown(lines: Sequence[TableLine], verdicts: Sequence[Verdict] = ()) -> str:
    """The table and the verdict lines in Markdown, for cards and READMEs."""
    right = {"filter", "seed", "n", "floor", "second floor", "chance", "MDE"}
    rows = [_named_headings(lines), ["---:" if name in right else "---" for name in HEADINGS]]
    rows += [[cell.replace("|", "\\|") for cell in line.cells()] for line in lines]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{LEGEND}\n"
    if verdicts:
        text += "\n" + "\n".join(f"- {verdict.line()}" for verdict in verdicts) + "\n"
    return text


LEGEND = (
    "Per cent, with 95% bootstrap intervals over pages. Held-out: test questions, whose pages the target "
    "language loses from filter 1 on; retained: control questions, in both languages at every filter. "
    "Floor: the same answers shuffled within their relation (choice: options scored without the question). "
    "Chance, of the first metric: always the relation's commonest training answer, or 1/options. "
    "MDE: minimum detectable difference of the first metric (5%, 80% power)."
)


def interval_text(row: ScoreRow) -> str:
    """Such as `70.1 [62.3, 77.0]`."""
    return f"{row.value:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]"


def optional_text(value: float | None) -> str:
    """The number with one decimal, or a dash where there is none."""
    return "–" if value is None else f"{value:.1f}"


def score_headings(lines: Sequence[TableLine]) -> tuple[str, str]:
    """What to call the two score columns: the metrics' names where all lines share them."""
    judged = {METRIC_NAMES.get(line.score.metric, line.score.metric) for line in lines}
    beside = {METRIC_NAMES.get(line.second.metric, line.second.metric) for line in lines if line.second}
    # Tables of several kinds of task name every metric that stands in the column.
    return " / ".join(sorted(judged)) or "score", " / ".join(sorted(beside)) or "second score"


def _named_headings(lines: Sequence[TableLine]) -> list[str]:
    judged, beside = score_headings(lines)
    names = {"score": judged, "second": beside, "floor": f"{judged} floor", "second floor": f"{beside} floor"}
    return [names.get(heading, heading) for heading in HEADINGS]


def _key(row: ScoreRow) -> tuple[Any, ...]:
    return (row.study, row.size, row.task, row.context, row.filter, row.seed, row.language, row.group)


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*key[:7], GROUPS.index(key[7]))


def _pair(cell: Mapping[str, ScoreRow]) -> tuple[ScoreRow | None, ScoreRow | None]:
    for judged, beside in METRIC_PAIRS:
        if judged in cell:
            return cell[judged], cell.get(beside)
    return None, None
