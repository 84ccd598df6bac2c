# SPDX-License-Identifier: Apache-2.0
"""Read training rows: `PackedRows` in a `DataLoader` without workers against what the model consumes.

    python -m tests.benchmarks.bench_loader [--steps 12] [--repeats 3]

The baseline is the almanac's own model in its training step (forward, backward, clip, AdamW) on rows of its length
and batch, on this machine. Ours reads the same kind of rows, and rows of 2048 tokens, from memory-mapped token shards.
Both are seconds for a million tokens. The first epoch's order is made before the timing, as a run makes it once.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from tests.benchmarks import prose, report
from xlt_hf.corpora.stream import PackedRows
from xlt_hf.corpora.tokens import tokenise_part
from xlt_hf.study import load_study
from xlt_hf.tokenization import train_bpe, wrap
from xlt_hf.training.model import build_model
from xlt_hf.training.pretraining import _stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=3_000)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    study = load_study("almanac")
    settings = study.pretraining
    pages = list(prose.documents(args.pages))
    bpe = train_bpe(
        (page[lang] for lang in study.languages.both() for page in pages[:500]), study.tokenizer.vocab_size
    )
    tokenizer = wrap(bpe, settings.seq_len)
    model = build_model(next(iter(study.sizes.values())), tokenizer, settings.seq_len, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, fused=True)

    with tempfile.TemporaryDirectory() as name:
        stores = [
            tokenise_part(
                bpe,
                [page["doc_id"] for page in pages],
                [page[language] for page in pages],
                language,
                Path(name) / language,
                unit=settings.unit,
            )
            for language in study.languages.both()
        ]

        def rows_of(seq_len: int) -> PackedRows:
            rows = PackedRows(stores, seq_len=seq_len, end_token=tokenizer.eos_token_id)
            rows.order(0)
            return rows

        def batches(rows: PackedRows) -> DataLoader:
            return DataLoader(rows, batch_size=settings.micro_batch_rows, collate_fn=_stack, num_workers=0)

        def read(rows: PackedRows) -> float:
            """Seconds for a million tokens."""
            start = time.process_time()
            tokens = sum(batch["input_ids"].numel() for batch in batches(rows))
            return (time.process_time() - start) / tokens * 1e6

        almanac, long = rows_of(settings.seq_len), rows_of(2048)
        waiting = iter(batches(almanac))
        accumulation = settings.tokens_per_step // (settings.micro_batch_rows * settings.seq_len)

        def step() -> int:
            tokens = 0
            for _ in range(accumulation):
                batch = next(waiting)
                (model(**batch).loss / accumulation).backward()
                tokens += batch["input_ids"].numel()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            return tokens

        def train() -> float:
            start = time.process_time()
            tokens = sum(step() for _ in range(args.steps))
            return (time.process_time() - start) / tokens * 1e6

        step()
        seconds: dict[str, list[float]] = {"almanac": [], "long": [], "model": []}
        for _ in range(args.repeats):
            seconds["almanac"].append(read(almanac))
            seconds["long"].append(read(long))
            seconds["model"].append(train())

    busy = f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores at the end"
    measurements = [
        report.speedup(
            f"data loader, rows of {length}, seconds for a million tokens",
            seconds[name],
            seconds["model"],
            goal=goal,
            note=(
                f"CPU seconds, one thread, no workers; {len(stores[0]) + len(stores[1]):,} documents; the loader gives "
                f"{1 / min(seconds[name]):.1f} M tokens/s; baseline: the almanac's model in training at rows of "
                f"{settings.seq_len}; {busy}"
            ),
        )
        for name, length, goal in (("almanac", settings.seq_len, ">= 20x"), ("long", 2048, "none"))
    ]
    print(report.table(measurements))
    for measurement in measurements:
        print(measurement.note)
    print(report.write("loader", measurements))


if __name__ == "__main__":
    main()
