# SPDX-License-Identifier: Apache-2.0
"""Two arms, interleaved in one run on one machine: timing, the table and `results/<name>.json`."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Measurement:
    """One row of PERFORMANCE.md's table: medians of two arms, and how far the repeats lie apart.

    `ratio` is ours over baseline in the sense of the goal (a speed-up: baseline time over our time). `spread`
    gives (max - min) / median for each arm.
    """

    metric: str
    ours: float
    baseline: float
    ratio: float
    goal: str
    unit: str
    repeats: int
    spread: Mapping[str, float]
    device: str
    date: str
    command: str
    note: str = ""


def device() -> str:
    """Processor and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def interleave(
    arms: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each arm, `repeats` times, the arms taking turns so that a busy machine hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, arm in arms.items():
            start = clock()
            arm()
            seconds[name].append(clock() - start)
    return seconds


def speedup(
    metric: str, ours: Sequence[float], baseline: Sequence[float], *, goal: str, note: str = ""
) -> Measurement:
    """A measurement from the times of both arms."""
    fast, slow = statistics.median(ours), statistics.median(baseline)
    return Measurement(
        metric=metric,
        ours=round(fast, 4),
        baseline=round(slow, 4),
        ratio=round(slow / fast, 3),
        goal=goal,
        unit="s",
        repeats=len(ours),
        spread={
            "ours": round((max(ours) - min(ours)) / fast, 3),
            "baseline": round((max(baseline) - min(baseline)) / slow, 3),
        },
        device=device(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command=command_line(),
        note=note,
    )


def command_line() -> str:
    """The command that was typed, as `python -m` where the module was run so."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = f"-m {spec.name}" if spec else sys.argv[0]
    return " ".join(["python", program, *sys.argv[1:]])


def write(name: str, measurements: Sequence[Measurement], folder: Path = RESULTS) -> Path:
    """Write `results/<name>.json`, a list of measurements."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps([asdict(m) for m in measurements], indent=2, ensure_ascii=False) + "\n")
    return path


def table(measurements: Sequence[Measurement]) -> str:
    """The measurements as a Markdown table."""
    lines = [
        "| metric | ours | baseline | ratio | goal | repeats | spread |",
        "|---|---|---|---|---|---|---|",
    ]
    for m in measurements:
        spread = ", ".join(f"{arm} {value:.0%}" for arm, value in m.spread.items())
        lines.append(
            f"| {m.metric} | {m.ours:g} {m.unit} | {m.baseline:g} {m.unit} | {m.ratio:.2f}x | {m.goal} | "
            f"{m.repeats} | {spread} |"
        )
    return "\n".join(lines)
