# SPDX-License-Identifier: Apache-2.0
"""Texts to flat token ids: the fast backend where it is proven equal, the `tokenizers` library otherwise.

`fastokens` encodes several times faster than `tokenizers`, but it is another implementation of the regular
expressions, the normalisation and the merges. It is used only after it has given the ids of `tokenizers` on every
code point of the planes that hold characters, on a fixed set of awkward strings, and on a sample of the texts at
hand; any difference, and any installation without it, falls back to `tokenizers` with the reason in the log.
"""

import functools
import json
import logging
import os
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

WORTH_CHECKING = 16 << 20
"""Bytes of text from which on the check of the fast encoder costs less than it gains."""
_OFF = {"false", "off", "no", "n", "f", "0"}
"""What `tokenizers` takes for a no in TOKENIZERS_PARALLELISM."""


class Encoder(Protocol):
    """Turns texts into ids; special tokens that a text spells are text."""

    name: str

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(ids `uint32[T]` of all texts, offsets `int64[n + 1]`); text i is `ids[offsets[i]:offsets[i + 1]]`."""
        ...


@contextmanager
def special_tokens_as_text(tokenizer: Tokenizer) -> Iterator[None]:
    """Text that spells a special token is text, not an end of document."""
    before = tokenizer.encode_special_tokens
    tokenizer.encode_special_tokens = True
    try:
        yield
    finally:
        tokenizer.encode_special_tokens = before


class TokenizersEncoder:
    """The reference: Hugging Face `tokenizers`."""

    name = "tokenizers"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        with special_tokens_as_text(self.tokenizer):
            rows = [
                encoding.ids
                for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
            ]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return np.fromiter(chain.from_iterable(rows), np.uint32, int(offsets[-1])), offsets


class FastokensEncoder:
    """`fastokens`, from the same `tokenizer.json`.

    Raises:
        ImportError: it is not installed.
        ValueError: it does not know a part of this tokenizer, or is too old.
    """

    name = "fastokens"

    def __init__(self, tokenizer_json: str) -> None:
        if os.environ.get("TOKENIZERS_PARALLELISM", "").lower() in _OFF:
            # Its thread pool reads this variable alone, when it is first used.
            os.environ.setdefault("RAYON_NUM_THREADS", "1")
        import fastokens

        if not hasattr(fastokens.Tokenizer, "encode_batch_flat"):
            raise ValueError("this fastokens has no encode_batch_flat; version 0.3.5 has")
        self._fast = fastokens.Tokenizer.from_json_str(json.dumps(_for_pcre2(json.loads(tokenizer_json))))

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = self._fast.encode_batch_flat(list(texts), False, True)
        return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<u8").astype(np.int64)


def choose_encoder(tokenizer: Tokenizer, sample: Sequence[str] = ()) -> Encoder:
    """The fastest encoder that gives the ids of `tokenizer`.

    Args:
        sample: some of the texts that are to be encoded; both backends encode them as a part of the check.
    """
    reference = TokenizersEncoder(tokenizer)
    fast = _proven(tokenizer.to_str())
    reason = fast if isinstance(fast, str) else difference(reference, fast, sample)
    if reason:
        logger.info("Encoding with tokenizers: %s", reason)
        return reference
    assert not isinstance(fast, str)
    logger.info("Encoding with fastokens: the same ids on all probes and on %d of the texts.", len(sample))
    return fast


@functools.lru_cache(maxsize=4)
def _proven(tokenizer_json: str) -> "FastokensEncoder | str":
    """The fast encoder after its check, or the reason against it; once a process for each tokenizer."""
    try:
        fast = FastokensEncoder(tokenizer_json)
    except ImportError:
        return "fastokens is not installed."
    except (ValueError, RuntimeError, TypeError) as error:
        return f"fastokens does not take this tokenizer ({error})."
    return difference(TokenizersEncoder(Tokenizer.from_str(tokenizer_json)), fast, probes()) or fast


def difference(reference: Encoder, other: Encoder, texts: Sequence[str]) -> str | None:
    """Where two encoders differ on `texts`, in words; None where nowhere."""
    ids, offsets = reference.encode(texts)
    other_ids, other_offsets = other.encode(texts)
    if np.array_equal(offsets, other_offsets) and np.array_equal(ids, other_ids):
        return None
    for i, text in enumerate(texts):
        expected = ids[offsets[i] : offsets[i + 1]]
        got = other_ids[other_offsets[i] : other_offsets[i + 1]]
        if not np.array_equal(expected, got):
            at = next((n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), None)
            where = (
                f"{len(got)} ids for {len(expected)}"
                if at is None
                else f"id {at} is {got[at]}, not {expected[at]}"
            )
            return f"{other.name} differs from {reference.name} on {text[:60]!r}: {where}."
    return f"{other.name} gives {len(other_offsets) - 1} texts for {len(texts)}."


def probes() -> list[str]:
    """The fixed part of the check: about 3 MB, every code point that can be a character and many awkward strings."""
    points = [chr(c) for c in chain(range(0x40000), range(0xE0000, 0xE1000)) if not 0xD800 <= c < 0xE000]
    # Each beside a letter, a digit, punctuation and spaces: its class shows in where the pieces end.
    texts = [
        "".join(f"a{c}1{c} {c}. " for c in points[start : start + 256])
        for start in range(0, len(points), 256)
    ]
    # Compositions, and marks out of canonical order.
    decomposed = [d for c in points if (d := unicodedata.normalize("NFD", c)) != c]
    texts += ["|".join(decomposed[start : start + 256]) for start in range(0, len(decomposed), 256)]
    marks = [c for c in points if unicodedata.combining(c)]
    texts += ["".join(f"a{c}\u0323\u0301{c}" for c in marks)]
    texts += [
        "", " ", "\n", "\r\n", " \n ", "a  b", "\t\ta", " \u00a0 x", "x \u2028\u2029 y", "\u0085", "\ufeff",
        "don't I'LL we've", "3.14159 १२३४५ 12345678", "<|endoftext|>", "x<|pad|>y", "<0x41><0xE6>", "▁a Ġb",
        "क्‍ष श्री‌मान् हिन्दी", "👩‍👩‍👧‍👦🏳️‍🌈", "漢字かな交じり文", "é́́ é", "\u0f73\u0f71", "؀؁ ",
        "a" * 70_000, "क" * 30_000, "漢" * 30_000, " " * 70_000, "\n" * 70_000, "1" * 70_001, "-" * 70_000,
        "का" * 20_000, "a\u0301" * 20_000,
    ]  # fmt: skip
    rng = random.Random(0)
    pools: list[Sequence[str]] = [
        "abcdefghijklmnopqrstuvwxyz ",
        " \r\n\t\u200c\u200d\u00a0\u2028\u0085ab1१'<|>.,",
        [chr(c) for c in range(0x0900, 0x0980)],
        [*(chr(c) for c in range(0x0300, 0x0370)), *"aeiouAEIOU"],
        [*(chr(c) for c in range(0xAC00, 0xAC80)), *(chr(c) for c in range(0x1100, 0x1200))],
        ["<|endoftext|>", "<|pad|>", "<0x41>", " ", "a", "\n", "é", "कि"],
        points,
    ]
    for pool in pools:
        for length in (1, 2, 3, 5, 8, 20, 60, 200, 1000):
            for _ in range(8):
                mixed = (rng.choice(pool if rng.random() < 0.9 else rng.choice(pools)) for _ in range(length))
                texts.append("".join(mixed))
    return texts


def _for_pcre2(tokenizer: dict[str, Any]) -> dict[str, Any]:
    r"""Spell `\uXXXX` in the splitting pattern as `\x{XXXX}`.

    Both mean the same, but only the second compiles in PCRE2, without which fastokens falls back to a backtracking
    engine at half the speed. The equality check covers the rewriting too.
    """
    pattern = (tokenizer.get("pre_tokenizer") or {}).get("pattern")
    if isinstance(pattern, dict) and "Regex" in pattern:
        pattern["Regex"] = re.sub(r"\\u([0-9A-Fa-f]{4})", r"\\x{\1}", pattern["Regex"])
    return {**tokenizer, "truncation": None, "padding": None}
