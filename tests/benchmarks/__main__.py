# SPDX-License-Identifier: Apache-2.0
"""Run the benchmarks, one after another, each in a process of its own.

    python -m tests.benchmarks [--only similarity --only tokenise] [--list]

Every `bench_*.py` beside this file is one; it prints its table and writes `results/<name>.json`. A benchmark that
fails does not keep the others from running, but the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def names(folder: Path = FOLDER) -> list[str]:
    """Benchmarks in `folder`, by name without `bench_`."""
    return sorted(path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py"))


def run(name: str) -> int:
    """Exit status of one benchmark in a child process that prints to where this one does."""
    print(f"== {name}", flush=True)
    start = time.monotonic()
    status = subprocess.run([sys.executable, "-m", f"{__package__}.bench_{name}"], check=False).returncode
    print(f"== {name} {'failed' if status else 'done'} after {time.monotonic() - start:.0f} s\n", flush=True)
    return status


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=names(), help="one of: %(choices)s"
    )
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    args = parser.parse_args()
    if args.list:
        print("\n".join(names()))
        return
    failed = [name for name in args.only or names() if run(name)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
