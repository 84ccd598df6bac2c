# SPDX-License-Identifier: Apache-2.0
"""Texts to flat token ids: fast encoders where they are proven equal, the `tokenizers` library otherwise.

Two things are faster than `tokenizers`. `WordsEncoder` looks each distinct word of a batch up instead of encoding
every occurrence. `fastokens` is another implementation of the regular expressions, the normalisation and the merges.
Each is used only after it has given the ids of `tokenizers` on every code point of the planes that hold characters, on
a fixed set of awkward strings, and on a sample of the texts at hand; any difference, and any installation without
`fastokens`, falls back to the next best with the reason in the log.
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
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

SPACES = r"[\t-\r \x{1C}-\x{1F}\x{85}\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"
"""Everything that any Unicode version calls a space; a few too many cost nothing but time."""
DOUBLE_SPACE = f" {SPACES}|{SPACES} "
"""A space beside another space, as RE2 reads it."""
WORTH_CHECKING = 16 << 20
"""Bytes of text from which on the check of the fast encoder costs less than it gains."""
_JOINED = 512
_BYTE = re.compile("<0x[0-9A-F]{2}>")
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


class WordsEncoder:
    """Encodes each word once, and remembers its ids.

    Exact where a piece that no token crosses holds a space at its beginning only: then what stands between two single
    spaces has the same ids wherever it stands. Texts with other spaces beside a space are encoded whole.

    Args:
        inner: encodes the words.
        token_bytes (`int64[V]`): UTF-8 bytes that each id stands for; see `token_bytes`.
        most: words remembered before it starts anew, about 150 bytes each.
    """

    def __init__(self, inner: Encoder, token_bytes: np.ndarray, most: int = 1 << 20) -> None:
        self.inner = inner
        self.token_bytes = token_bytes
        self.name = f"{inner.name} by words"
        self.most = most
        self._forget()

    def _forget(self) -> None:
        self._first: dict[str, int] = {}
        """Number of a word that a text begins with."""
        self._others: dict[str, int] = {}
        """Number of a word with the space before it."""
        self._ids = np.empty(1 << 16, dtype=np.uint32)
        self._starts = np.zeros(1 << 14, dtype=np.int64)
        self._known = 0

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        if len(self._first) + len(self._others) > self.most:
            self._forget()
        column = pa.array(texts, pa.large_string())
        uneven = np.asarray(pc.match_substring_regex(column, DOUBLE_SPACE), dtype=bool)
        words = pc.split_pattern(column.filter(pa.array(~uneven)), " ")
        ends = words.offsets.to_numpy()
        encoded = words.values.dictionary_encode()
        first = self._look_up(self._first, words.values.take(pa.array(ends[:-1])).to_pylist(), "")
        others = self._look_up(self._others, encoded.dictionary.to_pylist(), " ")
        known = self._known
        whole = self._append(column.filter(pa.array(uneven)).to_pylist())
        # Units of each text: its words, or itself.
        sizes = np.ones(len(texts), dtype=np.int64)
        sizes[~uneven] = np.diff(ends)
        units = np.empty(int(sizes.sum()), dtype=np.int64)
        even = np.repeat(~uneven, sizes)
        of_even = others[encoded.indices.to_numpy()] if len(others) else np.empty(0, np.int64)
        of_even[ends[:-1]] = first
        units[even], units[~even] = of_even, whole
        starts = self._starts[units]
        lengths = self._starts[units + 1] - starts
        offsets = np.zeros(len(units) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.repeat(starts - offsets[:-1], lengths)
        places += np.arange(len(places))
        ids = self._ids[places]
        # Whole texts are not remembered.
        self._known = known
        return ids, offsets[np.concatenate([[0], np.cumsum(sizes)])]

    def _look_up(self, numbers: dict[str, int], words: list[str], before: str) -> np.ndarray:
        """The words' numbers; new ones are encoded with `before` in front."""
        found: list[int | None] = list(map(numbers.get, words))
        if None in found:
            new = dict.fromkeys(word for word, number in zip(words, found, strict=True) if number is None)
            # What ends in a space ends a text: before another word its ids could be others.
            last = [word for word in new if not word or word[-1].isspace()]
            for some in (last, [word for word in new if word and not word[-1].isspace()]):
                numbers.update(
                    zip(some, self._append([before + word for word in some]).tolist(), strict=True)
                )
            found = list(map(numbers.get, words))
        return np.array(found, dtype=np.int64)

    def _append(self, texts: list[str]) -> np.ndarray:
        """Encode texts behind what is known: their numbers."""
        ids, offsets = self._joined(texts) or self.inner.encode(texts)
        begin = int(self._starts[self._known])
        self._ids = _room(self._ids, begin + len(ids))
        self._ids[begin : begin + len(ids)] = ids
        self._starts = _room(self._starts, self._known + len(texts) + 1)
        self._starts[self._known : self._known + len(texts) + 1] = begin + offsets
        numbers = np.arange(self._known, self._known + len(texts))
        self._known += len(texts)
        return numbers

    def _joined(self, words: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
        """Words encoded as few long texts, which costs a third of many short ones; None where that is not possible.

        The ids' bytes say where a word's ids end; where that is inside an id, nothing is said.
        """
        if any(word[:1] != " " or word[-1:].isspace() for word in words):
            return None
        normal = [unicodedata.normalize("NFC", word) for word in words]
        texts = ["".join(normal[start : start + _JOINED]) for start in range(0, len(normal), _JOINED)]
        ids, _ = self.inner.encode(texts)
        so_far = np.zeros(len(ids) + 1, dtype=np.int64)
        np.cumsum(self.token_bytes[ids], out=so_far[1:])
        ends = np.zeros(len(words) + 1, dtype=np.int64)
        np.cumsum([len(word.encode()) for word in normal], out=ends[1:])
        offsets = np.minimum(np.searchsorted(so_far, ends), len(ids))
        return (ids, offsets) if np.array_equal(so_far[offsets], ends) else None


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """`int64[V]`: UTF-8 bytes that each id stands for in a byte-fallback vocabulary, where `<0x..>` is one byte."""
    sizes = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for token, number in tokenizer.get_vocab().items():
        if number < len(sizes):
            sizes[number] = 1 if _BYTE.fullmatch(token) else len(token.encode())
    return sizes


def _room(array: np.ndarray, size: int) -> np.ndarray:
    """The array, or a copy twice as long as needed."""
    if size <= len(array):
        return array
    larger = np.empty(2 * size, dtype=array.dtype)
    larger[: len(array)] = array
    return larger


def choose_encoder(tokenizer: Tokenizer, sample: Sequence[str] = ()) -> Encoder:
    """The fastest encoder that gives the ids of `tokenizer`.

    Args:
        sample: some of the texts that are to be encoded; all backends encode them as a part of the check.
    """
    reference = TokenizersEncoder(tokenizer)
    fast, by_words = _proven(tokenizer.to_str())
    inner = _checked(reference, fast, sample)
    chosen = _checked(inner, by_words or WordsEncoder(inner, token_bytes(tokenizer)), sample)
    logger.info("Encoding with %s: the same ids as tokenizers on %d of the texts.", chosen.name, len(sample))
    return chosen


def _checked(reference: Encoder, other: "Encoder | str", sample: Sequence[str]) -> Encoder:
    """`other` where it gives the ids of `reference`, with the reason logged where not."""
    reason = other if isinstance(other, str) else difference(reference, other, sample)
    if reason:
        logger.info("Encoding with %s: %s", reference.name, reason)
        return reference
    assert not isinstance(other, str)
    return other


@functools.lru_cache(maxsize=4)
def _proven(tokenizer_json: str) -> "tuple[Encoder | str, str | None]":
    """Check of both ways on the probes, once a process for each tokenizer.

    Returns:
        `fastokens` or the reason against it, and the reason against remembering words, None where there is none.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    reference = _Recorded(TokenizersEncoder(tokenizer))
    texts = probes()
    fast: Encoder | str
    try:
        fast = FastokensEncoder(tokenizer_json)
    except ImportError:
        fast = "fastokens is not installed."
    except (ValueError, RuntimeError, TypeError) as error:
        fast = f"fastokens does not take this tokenizer ({error})."
    else:
        fast = difference(reference, fast, texts) or fast
    inner = reference.inner if isinstance(fast, str) else fast
    return fast, difference(reference, WordsEncoder(inner, token_bytes(tokenizer)), texts)


class _Recorded:
    """The ids of the last texts are kept, for the next comparison with the same texts."""

    def __init__(self, inner: Encoder) -> None:
        self.inner = inner
        self.name = inner.name
        self._texts: Sequence[str] | None = None
        self._encoded: tuple[np.ndarray, np.ndarray] | None = None

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        if self._encoded is None or texts is not self._texts:
            self._texts, self._encoded = texts, self.inner.encode(texts)
        return self._encoded


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
    """The fixed part of the check: about 3 MB: every code point that can be a character and many awkward strings."""
    points = [chr(c) for c in chain(range(0x40000), range(0xE0000, 0xE1000)) if not 0xD800 <= c < 0xE000]
    # Each beside a letter, a digit, punctuation and spaces: its class shows in where the pieces end.
    texts = [
        "".join(f"a{c} {c}1 " for c in points[start : start + 256]) for start in range(0, len(points), 256)
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
        "a" * 70_000, "क" * 22_000, " " * 70_000, "1" * 3_001, "-" * 3_000, "\n" * 3_000, "का" * 2_000, "漢" * 2_000,
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
