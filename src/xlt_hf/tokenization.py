# SPDX-License-Identifier: Apache-2.0
"""Train the tokenizer: NFC, words that keep Devanagari letters with their marks, BPE with byte fallback.

A space stays in front of its word, inside the token, so that decoding is concatenation. Characters outside the
learnt alphabet become their UTF-8 bytes, so nothing is unknown and any text round-trips, up to NFC.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from xlt_hf.sources.schema import Document
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


def train_bpe(texts: Iterable[str], vocab_size: int, *, words: str = WORDS_WITH_MARKS) -> Tokenizer:
    """Learn a BPE vocabulary.

    Args:
        texts: what to learn from; see `balanced_sample` for the budget.
        vocab_size: ids in all, special and byte tokens included.
        words: regular expression of a piece that no token crosses.

    Raises:
        ValueError: `vocab_size` leaves no room for characters beside the special and byte tokens.
    """
    reserved = len(SPECIAL_TOKENS) + len(_BYTE_TOKENS)
    learnt_size = vocab_size - reserved
    if learnt_size < 64:
        raise ValueError(
            f"vocab_size {vocab_size} leaves {learnt_size} ids beside {reserved} reserved ones; use more."
        )
    learner = _pipeline(models.BPE(), words)
    # A tenth of the room for characters: rarer ones are spelt in bytes rather than crowd out merges.
    trainer = trainers.BpeTrainer(
        vocab_size=learnt_size, show_progress=False, limit_alphabet=max(64, min(1000, learnt_size // 4))
    )
    learner.train_from_iterator(texts, trainer)
    learnt = json.loads(learner.to_str())["model"]
    ids: dict[str, int] = {}
    for token in (*SPECIAL_TOKENS, *_BYTE_TOKENS, *sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)):
        ids.setdefault(token, len(ids))
    merges = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = _pipeline(models.BPE(vocab=ids, merges=merges, byte_fallback=True, fuse_unk=False), words)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


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


def balanced_sample(texts: Mapping[str, Iterable[str]], budget_bytes: int) -> Iterator[str]:
    """Texts of each language in turn, until each has given its share of `budget_bytes` (UTF-8)."""
    share = budget_bytes // len(texts)
    for stream in texts.values():
        used = 0
        for text in stream:
            if used >= share:
                break
            used += len(text.encode())
            yield text


@dataclass(frozen=True)
class Fertility:
    """How finely a tokenizer cuts one language."""

    language: str
    splitting: str
    words: int
    tokens: int
    bytes: int

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
        }


_WORD = regex.compile(r"[\p{L}\p{M}\p{N}\u200C\u200D]+")


def fertility(
    tokenizer: Tokenizer, texts: Sequence[str], language: str, splitting: str = "ours"
) -> Fertility:
    """Count words, tokens and bytes of a text sample."""
    normal = [unicodedata.normalize("NFC", text) for text in texts]
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(normal, add_special_tokens=False))
    words = sum(len(_WORD.findall(text)) for text in normal)
    return Fertility(language, splitting, words, tokens, sum(len(text.encode()) for text in normal))


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str], batch: int = 1000) -> list[int]:
    """Tokens of each text, the end token not counted."""
    counts: list[int] = []
    tokenizer.encode_special_tokens = True
    for start in range(0, len(texts), batch):
        encodings = tokenizer.encode_batch_fast(list(texts[start : start + batch]), add_special_tokens=False)
        counts.extend(len(encoding.ids) for encoding in encodings)
    tokenizer.encode_special_tokens = False
    return counts


def train_with_fertility(
    documents: Sequence[Document], languages: Languages, settings: TokenizerConfig
) -> tuple[Tokenizer, list[dict[str, Any]]]:
    """Train on D, and set the splitting beside those of GPT-2 and Llama 3 on the same sample and vocabulary.

    Fertility is counted on every tenth document, which the compared tokenizers have seen too: the table compares
    splittings, it does not estimate fertility on other text.

    Returns:
        The tokenizer, and one row per language and splitting.
    """
    budget = settings.sample_mib << 20
    texts = {language: [document.text[language] for document in documents] for language in languages.both()}
    trained: dict[str, Tokenizer] = {}
    for splitting, words in (("ours", WORDS_WITH_MARKS), ("gpt2", GPT2_WORDS), ("llama3", LLAMA3_WORDS)):
        trained[splitting] = train_bpe(balanced_sample(texts, budget), settings.vocab_size, words=words)
    rows = [
        fertility(tokenizer, texts[language][::10], language, splitting).as_dict()
        for splitting, tokenizer in trained.items()
        for language in languages.both()
    ]
    return trained["ours"], rows
