# SPDX-License-Identifier: Apache-2.0
"""Tokenise and pack English and Hindi, ready to train: ours against the two `map`s of transformers' `run_clm.py`.

    python -m tests.benchmarks.bench_tokenise [--megabytes 48] [--repeats 3]

Both arms start from the same memory-mapped data set and end with training rows on disk. The baseline is what
`run_clm.py` does, without a cache: `map` the tokenizer over batches, `map` a grouping into blocks over its output.
Ours is `tokenise_part` and `PackedRows` with its first epoch's order. One thread, CPU seconds of the process. Each
repeat has a new encoder that has seen no text; making and checking one happens once in a run, is not timed with the
repeats, and is stated. The ids must be the same, or there is no result.
"""

from __future__ import annotations

import os

# Before any Rust library makes its thread pool.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import tempfile
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, disable_progress_bars

from tests.benchmarks import prose, report
from xlt_hf.corpora.stream import PackedRows
from xlt_hf.corpora.tokens import TokenStore, tokenise_part
from xlt_hf.encoding import FastokensEncoder, TokenizersEncoder, WordsEncoder, choose_encoder, token_bytes
from xlt_hf.tokenization import train_bpe, wrap

_BYTES_PER_PAGE = 7_900


def two_maps(dataset: Dataset, tokenizer, block: int) -> tuple[Dataset, Dataset]:
    """The baseline: (tokenised texts, blocks of `block` tokens with labels)."""
    tokenised = dataset.map(
        lambda rows: tokenizer(rows["text"]),
        batched=True,
        remove_columns=dataset.column_names,
        load_from_cache_file=False,
    )

    def group(rows):
        joined = {name: list(chain.from_iterable(column)) for name, column in rows.items()}
        whole = len(joined["input_ids"]) // block * block
        blocks = {
            name: [values[i : i + block] for i in range(0, whole, block)] for name, values in joined.items()
        }
        return {**blocks, "labels": [list(ids) for ids in blocks["input_ids"]]}

    return tokenised, tokenised.map(group, batched=True, load_from_cache_file=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=48)
    parser.add_argument("--vocab_size", type=int, default=32_000)
    parser.add_argument("--block", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    disable_progress_bars()
    pa.set_cpu_count(1)

    pages = list(prose.documents(int(args.megabytes * 1e6 / _BYTES_PER_PAGE)))
    texts = [page[language] for language in ("en", "hi") for page in pages]
    size = sum(len(text.encode()) for text in texts)
    # Trained on other pages: a corpus is larger than the tokenizer's sample.
    sample = list(prose.documents(2_000, seed=100))
    bpe = train_bpe((page[lang] for lang in ("en", "hi") for page in sample), args.vocab_size)
    tokenizer = wrap(bpe, 10**9)
    start = time.process_time()
    chosen = choose_encoder(bpe, texts[:: max(1, len(texts) // 64)])
    check = time.process_time() - start
    if chosen.name != "fastokens by words":
        raise SystemExit("fastokens is not used here: install it, or see the log for why it is refused.")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {"doc_id": [f"{i}" for i in range(len(texts))], "text": texts}
        Dataset.from_dict(rows).save_to_disk(folder / "dataset")
        dataset = Dataset.load_from_disk(folder / "dataset")
        stores: dict[str, TokenStore] = {}
        maps: dict[str, Dataset] = {}
        runs = iter(range(10_000))

        def ours(encoder) -> None:
            store = tokenise_part(
                bpe, dataset["doc_id"], dataset["text"], "en", folder / f"part-{next(runs)}", encoder=encoder
            )
            PackedRows([store], seq_len=args.block, end_token=0).tokens(0)
            stores[encoder.name] = store

        def run_clm() -> None:
            maps["tokenised"], _ = two_maps(dataset.remove_columns("doc_id"), tokenizer, args.block)

        fresh = {
            "fastokens": [
                WordsEncoder(FastokensEncoder(bpe.to_str()), token_bytes(bpe)) for _ in range(args.repeats)
            ],
            "tokenizers": [
                WordsEncoder(TokenizersEncoder(bpe), token_bytes(bpe)) for _ in range(args.repeats)
            ],
        }
        seconds = report.interleave(
            {
                "baseline": run_clm,
                "fastokens": lambda: ours(fresh["fastokens"].pop()),
                "tokenizers": lambda: ours(fresh["tokenizers"].pop()),
            },
            args.repeats,
            time.process_time,
        )
        expected = np.concatenate(
            [np.asarray(ids) for ids in maps["tokenised"].with_format("numpy")["input_ids"]]
        )
        for encoder, store in stores.items():
            if not np.array_equal(np.concatenate([shard.values for shard in store.shards]), expected):
                raise SystemExit(f"{encoder} gives other ids than the baseline")

    busy = f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores at the end"
    note = (
        f"CPU seconds, one thread; {len(expected):,} ids, the same; ours at "
        f"{size / 1e6 / np.median(seconds['fastokens']):.0f} MB/s; the encoder's check once before, "
        f"{check:.1f} s; {busy}"
    )
    what = f"{size / 1e6:.1f} MB en+hi, vocabulary {args.vocab_size}, "
    measurements = [
        report.speedup(
            f"tokenise and pack, {what}with fastokens",
            seconds["fastokens"],
            seconds["baseline"],
            goal=">= 15x",
            note=note,
        ),
        report.speedup(
            f"tokenise and pack, {what}without fastokens",
            seconds["tokenizers"],
            seconds["baseline"],
            goal="none",
            note=f"CPU seconds, one thread; {busy}",
        ),
    ]
    print(report.table(measurements))
    print(note)
    print(report.write("tokenise", measurements))


if __name__ == "__main__":
    main()
