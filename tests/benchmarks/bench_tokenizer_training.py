# SPDX-License-Identifier: Apache-2.0
"""Train a BPE vocabulary: ours against `tokenizers`' `BpeTrainer` on the same sample, regex and alphabet.

    python -m tests.benchmarks.bench_tokenizer_training [--megabytes 96] [--vocab_size 32000] [--repeats 3]

One thread, CPU seconds of the process. The vocabularies must be 99.9% alike, or there is no result.
"""

from __future__ import annotations

import os

# Before any Rust library makes its thread pool.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time

import pyarrow as pa
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from tests.benchmarks import prose, report
from xlt_hf.bpe_training import count_pieces, learn
from xlt_hf.tokenization import WORDS_WITH_MARKS

_BYTES_PER_PAGE = 7_900
_ALPHABET = 1_000


def pipeline() -> Tokenizer:
    """What both arms normalise and split with."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS_WITH_MARKS), behavior="isolated")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=96)
    parser.add_argument("--vocab_size", type=int, default=32_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    pa.set_cpu_count(1)

    pages = list(prose.documents(int(args.megabytes * 1e6 / _BYTES_PER_PAGE)))
    texts = [page[language] for language in ("en", "hi") for page in pages]
    size = sum(len(text.encode()) for text in texts)
    vocabularies: dict[str, set[str]] = {}
    laps: dict[str, list[float]] = {"count": [], "learn": []}

    def baseline() -> None:
        learner = pipeline()
        trainer = trainers.BpeTrainer(
            vocab_size=args.vocab_size, show_progress=False, limit_alphabet=_ALPHABET
        )
        learner.train_from_iterator(texts, trainer)
        vocabularies["baseline"] = set(json.loads(learner.to_str())["model"]["vocab"])

    def ours() -> None:
        start = time.process_time()
        pieces = count_pieces(pipeline(), texts)
        counted = time.process_time()
        vocabularies["ours"] = set(learn(pieces, args.vocab_size, _ALPHABET).tokens)
        laps["count"].append(counted - start)
        laps["learn"].append(time.process_time() - counted)

    seconds = report.interleave({"ours": ours, "baseline": baseline}, args.repeats, time.process_time)
    alike = len(vocabularies["ours"] & vocabularies["baseline"]) / len(vocabularies["baseline"])
    if alike < 0.999:
        raise SystemExit(f"the vocabularies are only {alike:.2%} alike")
    middle = {name: sorted(times)[len(times) // 2] for name, times in laps.items()}
    note = (
        f"CPU seconds, one thread; vocabularies {alike:.2%} alike; ours: {middle['count']:.1f} s counting words (grows with "
        f"the sample), {middle['learn']:.1f} s merging (grows with the distinct words and the vocabulary); load average "
        f"{os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores at the end"
    )
    measurements = [
        report.speedup(
            f"tokenizer training, {size / 1e6:.0f} MB en+hi, vocabulary {args.vocab_size}",
            seconds["ours"],
            seconds["baseline"],
            goal=">= 2.5x",
            note=note,
        )
    ]
    print(report.table(measurements))
    print(note)
    print(report.write("tokenizer_training", measurements))


if __name__ == "__main__":
    main()
