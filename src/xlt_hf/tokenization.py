# SPDX-License-Identifier: Apache-2.0
"""Train the tokenizer: NFC, words that keep Devanagari letters with their marks, BPE with byte fallback.

A space stays in front of its word, inside the token, so that decoding is concatenation. Characters outside the
learnt alphabet become their UTF-8 bytes, so nothing is unknown and any text round-trips, up to NFC.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
import regex
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from xlt_hf.bpe_training import Learnt, count_pieces, learn, text_batches
from xlt_hf.encoding import WORTH_CHECKING, Encoder, TokenizersEncoder, choose_encoder
from xlt_hf.errors import UserError
from xlt_hf.study import Languages, TokenizerConfig

END_OF_TEXT = "<|endoftext|>"
PAD = "<|pad|>"
SPECIAL_TOKENS = (END_OF_TEXT, PAD)
_BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

WORDS_WITH_MARKS = (
    r" ?[\p{L}\p{M}\u200C\u200D]+| ?\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}\u200C\u200D]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Ours: a vowel sign or virama (category M) never starts a new piece; joiners stay inside words."""
GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The splitting of GPT-2, which cuts a Hindi word at each mark; only compared with."""
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The splitting of cl100k and Llama 3; only compared with."""

MAX_SAMPLE_BYTES = 2 << 30
"""More is refused. Trainers that count pairs in 32 bits lose their commonest merges without a word somewhere above
(tokenizers#2058), and a vocabulary has long converged."""
_COMPARED_BYTES = 256 << 20
"""Of the sample of the splittings that are only compared with."""
_MEASURED_BYTES = 16 << 20
"""Of the text of each language that fertility is counted on."""
_HELD_OUT = 10
"""Every tenth document is kept out of a sample that does not hold all documents."""

"""Texts are encoded so many characters at a time."""

# A question follows an end token, as a document does, and its answer follows it after a space: markers of their own
# would be tokens that pretraining never sees, and the little finetuning here cannot teach a small model what they mean
# (measured on the almanac: English exact match 10% with such markers, over 60% without, the same base model).
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}" + END_OF_TEXT + "{{ message['content'] }}"
    "{%- elif message['role'] == 'assistant' -%}{{ ' ' + message['content'] }}" + END_OF_TEXT + ""
    "{%- else -%}{{ raise_exception('only user and assistant messages are known, not ' + message['role']) }}"
    "{%- endif -%}"
    "{%- endfor -%}"
)


class TokenizerError(UserError):
    """A tokenizer cannot be trained as asked."""


def train_bpe(texts: Iterable[str], vocab_size: int, *, words: str = WORDS_WITH_MARKS) -> Tokenizer:
    """Learn a BPE vocabulary.

    Args:
        texts: what to learn from; see `Sample` for the budget.
        vocab_size: ids in all, special and byte tokens included.
        words: regular expression of a piece that no token crosses.

    Raises:
        ValueError: `vocab_size` leaves no room for characters beside the special and byte tokens.
        TokenizerError: the commonest pair of the sample is not among the merges.
    """
    reserved = len(SPECIAL_TOKENS) + len(_BYTE_TOKENS)
    learnt_size = vocab_size - reserved
    if learnt_size < 64:
        raise ValueError(
            f"vocab_size {vocab_size} leaves {learnt_size} ids beside {reserved} reserved ones; use more."
        )
    pieces = count_pieces(_pipeline(models.BPE(), words), texts)
    # A quarter of the room for characters: rarer ones are spelt in bytes rather than crowd out merges.
    learnt = learn(pieces, learnt_size, max(64, min(1000, learnt_size // 4)))
    check_commonest_merge(learnt)
    ids: dict[str, int] = {}
    for token in (*SPECIAL_TOKENS, *_BYTE_TOKENS, *learnt.tokens):
        ids.setdefault(token, len(ids))
    merges = learnt.merges
    tokenizer = _pipeline(models.BPE(vocab=ids, merges=merges, byte_fallback=True, fuse_unk=False), words)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def check_commonest_merge(learnt: Learnt) -> None:
    """Refuse merges without the commonest pair of neighbours: the sign of counts that ran over (tokenizers#2058).

    Raises:
        TokenizerError: it is missing.
    """
    if learnt.merges and not set(learnt.commonest) & set(learnt.merges):
        raise TokenizerError(
            f"The commonest pair of the sample, {learnt.commonest[0]}, is none of the {len(learnt.merges)} merges, the "
            f"first of which is {learnt.merges[0]}: counts ran over. Lower tokenizer.sample_mib."
        )


def _pipeline(model: models.BPE, words: str) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(words), behavior="isolated")
    return tokenizer


def wrap(tokenizer: Tokenizer, model_max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers publishes it, with the chat template that finetuning and evaluation use."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        bos_token=END_OF_TEXT,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        model_max_length=model_max_length,
        padding_side="left",
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


class HasTexts(Protocol):
    """Aligned documents whose texts can be streamed, more than once."""

    def texts(self, language: str) -> Iterable[str]:
        """The text of each document, in the documents' order."""
        ...


@dataclass(frozen=True)
class Sample:
    """What the tokenizer is trained on: all documents, or as many bytes of each language as its share.

    Where the documents are more than the budget, every tenth is held out to measure fertility on, and the share of
    each language is taken evenly from all of the rest, so that neither the order of the documents nor the longer
    language decides what the tokenizer sees.

    Attributes:
        documents: where the texts come from.
        budget_bytes: UTF-8 bytes in all, the same share for each language.
        sizes: language -> UTF-8 bytes of all its texts.
    """

    documents: HasTexts
    budget_bytes: int
    sizes: Mapping[str, int]

    @classmethod
    def of(cls, documents: HasTexts, languages: Sequence[str], budget_bytes: int) -> "Sample":
        """Measure the documents, in one pass over their texts.

        Raises:
            TokenizerError: the budget is over `MAX_SAMPLE_BYTES`.
        """
        if budget_bytes > MAX_SAMPLE_BYTES:
            raise TokenizerError(
                f"A tokenizer sample of {budget_bytes / 2**20:,.0f} MiB is too much, {MAX_SAMPLE_BYTES >> 20:,} MiB is "
                "the most: pair counts of 32 bits run over beyond it. Lower tokenizer.sample_mib."
            )
        sizes = {language: sum(len(t.encode()) for t in documents.texts(language)) for language in languages}
        return cls(documents, budget_bytes, sizes)

    @property
    def share(self) -> int:
        """Bytes of each language at most."""
        return self.budget_bytes // len(self.sizes)

    @property
    def holds_all(self) -> bool:
        """Whether every document is in the sample, and none is held out."""
        return max(self.sizes.values()) <= self.share

    def texts(self, budget_bytes: int | None = None) -> Iterator[str]:
        """The sample, or an even part of it of so many bytes; one language after another."""
        share = self.share if budget_bytes is None else min(self.share, budget_bytes // len(self.sizes))
        for language, size in self.sizes.items():
            rows: Iterable[str] = self.documents.texts(language)
            if not self.holds_all:
                rows = (text for row, text in enumerate(rows) if row % _HELD_OUT)
                size = size * (_HELD_OUT - 1) // _HELD_OUT
            yield from _evenly(rows, size, share)

    def measured(self, language: str) -> Iterator[str]:
        """Every tenth document, up to `_MEASURED_BYTES`: held out, or seen where the sample holds all."""
        rows = islice(self.documents.texts(language), 0, None, _HELD_OUT)
        return _evenly(rows, self.sizes[language] // _HELD_OUT, _MEASURED_BYTES)


def _evenly(texts: Iterable[str], size: int, share: int) -> Iterator[str]:
    """Texts from beginning to end of a stream of about `size` bytes, so that they come to `share` bytes at most."""
    if size <= share:
        yield from texts
        return
    due, used = 0.0, 0
    for text in texts:
        length = len(text.encode())
        due = min(due + length * share / size, share)
        if used + length <= due:
            used += length
            yield text


@dataclass(frozen=True)
class Fertility:
    """How finely a tokenizer cuts one language."""

    language: str
    splitting: str
    words: int
    tokens: int
    bytes: int
    seen: bool = True
    """Whether the tokenizer was trained on this text."""
    sample_bytes: int = 0
    """UTF-8 bytes that the tokenizer was trained on, about; 0 where that is not known."""

    @property
    def tokens_per_word(self) -> float:
        """Tokens per white-space-separated run of letters, marks and digits."""
        return self.tokens / max(self.words, 1)

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of NFC text per token."""
        return self.bytes / max(self.tokens, 1)

    def as_dict(self) -> dict[str, Any]:
        """Row of the published table."""
        return {
            "language": self.language,
            "splitting": self.splitting,
            "words": self.words,
            "tokens": self.tokens,
            "tokens_per_word": round(self.tokens_per_word, 4),
            "bytes_per_token": round(self.bytes_per_token, 4),
            "seen": self.seen,
            "sample_bytes": self.sample_bytes,
        }


_WORD = regex.compile(r"[\p{L}\p{M}\p{N}\u200C\u200D]+")


def fertility(
    tokenizer: Tokenizer,
    texts: Iterable[str],
    language: str,
    splitting: str = "ours",
    *,
    seen: bool = True,
    sample_bytes: int = 0,
) -> Fertility:
    """Count words, tokens and bytes of a text sample."""
    encoder = TokenizersEncoder(tokenizer)
    words = tokens = size = 0
    for batch in text_batches(texts):
        normal = [unicodedata.normalize("NFC", text) for text in batch]
        tokens += len(encoder.encode(normal)[0])
        words += sum(len(_WORD.findall(text)) for text in normal)
        size += sum(len(text.encode()) for text in normal)
    return Fertility(language, splitting, words, tokens, size, seen, sample_bytes)


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str], encoder: Encoder | None = None) -> np.ndarray:
    """`int64[n]`: tokens of each text, the end token not counted.

    Args:
        texts: read once, a few megabytes at a time.
        encoder: use this one; otherwise `choose_encoder` decides, where there is enough text to be worth it.
    """
    stream = iter(texts)
    begin: list[str] = []
    if encoder is None:
        chars = 0
        for text in stream:
            begin.append(text)
            chars += len(text)
            if chars >= WORTH_CHECKING:
                encoder = choose_encoder(tokenizer, [t[:20_000] for t in begin[:: max(1, len(begin) // 64)]])
                break
        encoder = encoder or TokenizersEncoder(tokenizer)
    counts = [np.diff(encoder.encode(batch)[1]) for batch in text_batches(chain(begin, stream))]
    return np.concatenate([np.empty(0, dtype=np.int64), *counts])


def train_with_fertility(
    documents: HasTexts, languages: Languages, settings: TokenizerConfig
) -> tuple[Tokenizer, list[dict[str, Any]]]:
    """Train on D, and set the splitting beside those of GPT-2 and Llama 3 with the same vocabulary size.

    Fertility is counted on every tenth document. Where the sample is smaller than D they are held out of it;
    otherwise the compared tokenizers have seen them too, and the table compares splittings on seen text, as its
    column `seen` says.

    Returns:
        The tokenizer, and one row per language and splitting.

    Raises:
        TokenizerError: the sample is too large, or its commonest pair was not merged.
    """
    sample = Sample.of(documents, languages.both(), settings.sample_mib << 20)
    in_all = sum(min(size, sample.share) for size in sample.sizes.values())
    trained: dict[str, tuple[Tokenizer, int]] = {}
    for splitting, words, most in (
        ("ours", WORDS_WITH_MARKS, in_all),
        ("gpt2", GPT2_WORDS, _COMPARED_BYTES),
        ("llama3", LLAMA3_WORDS, _COMPARED_BYTES),
    ):
        # The published one is trained on the whole sample; `in_all` may be odd, and must not cut it.
        part = None if most >= in_all else most
        trained[splitting] = (
            train_bpe(sample.texts(part), settings.vocab_size, words=words),
            min(most, in_all),
        )
    rows = [
        fertility(
            tokenizer,
            sample.measured(language),
            language,
            splitting,
            seen=sample.holds_all,
            sample_bytes=sample_bytes,
        ).as_dict()
        for splitting, (tokenizer, sample_bytes) in trained.items()
        for language in languages.both()
    ]
    return trained["ours"][0], rows
