# SPDX-License-Identifier: Apache-2.0
"""What translates: a sequence-to-sequence model of the Hub run here, or a chat model behind an address.

Both give one translation per text, and `""` for a text that they have none for. Neither loads or asks anything before the
first text.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import regex
from pydantic import BaseModel, ConfigDict

from xlt_hf.errors import UserError
from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.chat import ChatClient, ChatRequest
from xlt_hf.questions.config import ChatConfig, Seq2SeqConfig, TranslationConfig
from xlt_hf.questions.scripts import (
    in_script,
    language_name,
    script_name,
)
from xlt_hf.questions.spans import RULE, span_of

logger = logging.getLogger(__name__)

# Where the text of a sentence model is cut: after a stop that ends a word of three letters or more ("U.S." and "Dr."
# do not), a number, a bracket or a quotation, before what may begin a sentence; and after a danda.
_SENTENCE_END = regex.compile(
    r"(?<=[\p{L}\p{M}]{3}[.!?]|[\p{N}\p{Pe}\p{Pf}\"'][.!?]|[.!?][\p{Pe}\p{Pf}\"'])"
    r"(?<!\b(?:Mrs|Gen|Col|Capt|Prof|Rev|Hon|Sgt|Gov|Sen|Rep|Vol|Nos)\.)"
    r"\s+(?=[\p{Lu}\p{Lo}\p{N}\p{Ps}\p{Pi}\"'])"
    r"|(?<=[।॥。！？])\s*"
)


class TranslationError(UserError):
    """The translation model cannot be used."""


class Translator(Protocol):
    """What turns texts of the source language into texts of the target language."""

    @property
    def name(self) -> str:
        """The model, as rows name it: `machine:<name>`."""
        ...

    @property
    def settings(self) -> Any:
        """JSON data: what decides a translation beside the model's name and the text."""
        ...

    @property
    def batch_texts(self) -> int:
        """Texts that are translated, and stored, at a time."""
        ...

    def translate(self, texts: Sequence[str]) -> list[str]:
        """One translation per text; `""` where the model has none that can be used."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Search:
    """An answer to be found in a context that was translated apart from it."""

    context: str
    """In the target language."""
    question: str
    """In the source language."""
    answer: str
    """In the source language."""


@runtime_checkable
class SpanFinder(Protocol):
    """A translator that can also find an answer where a context words it in another way."""

    def find_spans(self, searches: Sequence[Search]) -> list[str]:
        """For each one a piece of its context, letter by letter; `""` where there is none."""
        ...


def build_translator(
    config: TranslationConfig, source: str, target: str, cache: ReplyCache
) -> Translator | None:
    """The translator that a study names; None for `kind: none`. Loads no model and asks no network yet."""
    if config.kind == "seq2seq":
        assert config.seq2seq is not None
        return Seq2SeqTranslator(config.seq2seq)
    if config.kind == "chat":
        assert config.chat is not None
        return ChatTranslator(
            config.chat, source, target, cache, config.texts_per_request, config.request_chars
        )
    return None


class _Translations(BaseModel):
    """The reply of a chat model."""

    model_config = ConfigDict(extra="forbid", title="translations")
    translations: list[str]


class _Span(BaseModel):
    """The reply of a chat model."""

    model_config = ConfigDict(extra="forbid", title="span")
    span: str


class ChatTranslator:
    """Translates with a chat model, several texts per request.

    Texts of a request whose replies never pass the checks are asked for again in two halves, down to single ones.
    """

    def __init__(
        self,
        config: ChatConfig,
        source: str,
        target: str,
        cache: ReplyCache,
        texts_per_request: int = 20,
        request_chars: int = 3000,
    ) -> None:
        self.client = ChatClient(config, cache)
        self.source, self.target = source, target
        self.texts_per_request, self.request_chars = texts_per_request, request_chars
        self.system = (
            f"You translate from {language_name(source)} to {language_name(target)}, written in the "
            f"{script_name(target)} script. Translate every text fully and faithfully, and write names as "
            f"{language_name(target)} encyclopedias and newspapers do. Translate questions as questions: do not "
            "answer them. The same word is translated the same way wherever it stands. The prompt is a JSON list of "
            'texts; reply with JSON: {"translations": [one translation per text, in the same order]}.'
        )

    @property
    def name(self) -> str:
        """The chat model."""
        return self.client.config.model

    @property
    def settings(self) -> Any:
        """What the model is told, and how it draws."""
        return [self.system, self.client.config.temperature]

    @property
    def batch_texts(self) -> int:
        """Enough for every thread to have work."""
        return 4 * self.client.config.concurrency * self.texts_per_request

    def translate(self, texts: Sequence[str]) -> list[str]:
        """See `Translator`."""
        done = [""] * len(texts)
        groups = list(self._groups(texts))
        while groups:
            replies = self.client.ask_all(
                [self._request([texts[i] for i in group]) for group in groups], "Translations"
            )
            again: list[list[int]] = []
            for group, reply in zip(groups, replies, strict=True):
                if reply.value is not None:
                    for i, text in zip(group, reply.value.translations, strict=True):
                        done[i] = text.strip()
                elif len(group) > 1:
                    half = len(group) // 2
                    again += [group[:half], group[half:]]
            groups = again
        return done

    def _groups(self, texts: Sequence[str]) -> Iterator[list[int]]:
        group: list[int] = []
        chars = 0
        for i, text in enumerate(texts):
            if group and (len(group) == self.texts_per_request or chars + len(text) > self.request_chars):
                yield group
                group, chars = [], 0
            group.append(i)
            chars += len(text)
        if group:
            yield group

    def _request(self, texts: Sequence[str]) -> ChatRequest:
        def check(reply: _Translations) -> list[str]:
            if len(reply.translations) != len(texts):
                return [f"there are {len(reply.translations)} translations of {len(texts)} texts"]
            problems = []
            for number, text in enumerate(reply.translations, 1):
                if not text.strip():
                    problems.append(f"translation {number} is empty")
                elif not in_script(text, self.target):
                    problems.append(
                        f"translation {number}, {text[:80]!r}, is not in the {script_name(self.target)} script"
                    )
            return problems

        return ChatRequest(self.system, json.dumps(list(texts), ensure_ascii=False), _Translations, check)

    def find_spans(self, searches: Sequence[Search]) -> list[str]:
        """See `SpanFinder`."""
        replies = self.client.ask_all([self._search_request(search) for search in searches], "Spans")
        return [reply.value.span if reply.value is not None else "" for reply in replies]

    def _search_request(self, search: Search) -> ChatRequest:
        language = language_name(self.target)
        system = (
            f"You are given a passage in {language}, and a question with its answer in {language_name(self.source)}. "
            "The passage answers the question. Copy the shortest piece of the passage that is the answer, letter by "
            'letter, without the words and signs around it. Reply with JSON: {"span": "…"}.'
        )

        def check(reply: _Span) -> list[str]:
            if not normalize(reply.span, RULE, self.target):
                return ["the piece is empty"]
            if span_of(reply.span, search.context, self.target) != reply.span:
                return [f"{reply.span!r} does not stand in the passage, letter by letter and in whole words"]
            if len(reply.span) > len(search.context) / 2:
                return ["the piece is most of the passage: give the answer only"]
            return []

        case = {"passage": search.context, "question": search.question, "answer": search.answer}
        return ChatRequest(system, json.dumps(case, ensure_ascii=False), _Span, check)


class Seq2SeqTranslator:
    """Translates with a Hub model of transformers' seq2seq kind, loaded when the first text needs it."""

    def __init__(self, config: Seq2SeqConfig) -> None:
        self.config = config
        self._revision: str | None = None
        self._loaded: tuple[Any, Any, int | None] | None = None

    @property
    def name(self) -> str:
        """The repository, or the folder's name."""
        return Path(self.config.model).name if Path(self.config.model).is_dir() else self.config.model

    @property
    def settings(self) -> Any:
        """The weights and how they are decoded; the size of a batch does not matter."""
        config = dataclasses.asdict(self.config)
        for key in ("model", "revision", "batch_size", "trust_remote_code"):
            del config[key]
        return [self.revision, config]

    @property
    def batch_texts(self) -> int:
        """`batch_size`."""
        return self.config.batch_size

    @property
    def revision(self) -> str:
        """The commit that is used; for a folder the hash of its files.

        Raises:
            TranslationError: no such repository, or no network to ask.
        """
        if self._revision is None:
            folder = Path(self.config.model)
            if folder.is_dir():
                self._revision = _hash_folder(folder)
            else:
                self._revision = self.config.revision or self._newest()
        return self._revision

    def _newest(self) -> str:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import httpx

        try:
            commit = HfApi().model_info(self.config.model).sha
        except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
            raise TranslationError(
                f"The commit of the translation model {self.config.model} cannot be looked up "
                f"({type(error).__name__}). Is the name right, and the Hub reachable? With a revision in the study it "
                "need not be asked."
            ) from error
        assert commit is not None
        return commit

    def translate(self, texts: Sequence[str]) -> list[str]:
        """See `Translator`."""
        pieces = [_sentences(text) if self.config.by_sentence else [text] for text in texts]
        flat = sorted({piece for parts in pieces for piece in parts}, key=lambda piece: (-len(piece), piece))
        done: dict[str, str] = {}
        for start in range(0, len(flat), self.config.batch_size):
            batch = flat[start : start + self.config.batch_size]
            done.update(zip(batch, self._generate(batch), strict=True))
        return [
            " ".join(done[piece] for piece in parts) if all(done[piece] for piece in parts) else ""
            for parts in pieces
        ]

    def _generate(self, texts: Sequence[str]) -> list[str]:
        import torch

        tokenizer, model, first_token = self._load()
        prompts = [self.config.prefix + text for text in texts]
        lengths = [len(ids) for ids in tokenizer(prompts)["input_ids"]]
        fits = [i for i, length in enumerate(lengths) if length <= self.config.max_source_tokens]
        done = [""] * len(texts)
        if not fits:
            return done
        inputs = tokenizer([prompts[i] for i in fits], return_tensors="pt", padding=True).to(model.device)
        forced = {} if first_token is None else {"forced_bos_token_id": first_token}
        with torch.inference_mode():
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                num_beams=self.config.num_beams,
                do_sample=False,
                max_new_tokens=self.config.max_new_tokens,
                **forced,
            )  # (B, T), one sequence per text
        end = model.generation_config.eos_token_id
        ends = set(end if isinstance(end, list) else [end])
        texts_out = tokenizer.batch_decode(output, skip_special_tokens=True)
        for i, ids, text in zip(fits, output.tolist(), texts_out, strict=True):
            # The first id starts the decoder; some models start with their end token.
            if ends & set(ids[1:]):
                done[i] = text.strip()
        return done

    def _load(self) -> tuple[Any, Any, int | None]:
        if self._loaded is not None:
            return self._loaded
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        config = self.config
        revision = None if Path(config.model).is_dir() else self.revision
        languages = {
            key: code
            for key, code in (("src_lang", config.source_code), ("tgt_lang", config.target_code))
            if code is not None
        }
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(
                config.model, revision=revision, trust_remote_code=config.trust_remote_code, **languages
            )
            model: Any = AutoModelForSeq2SeqLM.from_pretrained(
                config.model,
                revision=revision,
                trust_remote_code=config.trust_remote_code,
                dtype={"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
                    config.precision
                ],
            )
        except (OSError, ValueError, ImportError) as error:
            message = " ".join(str(error).split())[:500]
            raise TranslationError(
                f"The translation model {config.model} cannot be loaded: {message}"
            ) from error
        # Marian and mBART put their end token where a translation is cut, which would hide that it was.
        model.generation_config.forced_eos_token_id = None
        model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        first_token = None if config.target_code is None else self._language_token(tokenizer)
        logger.info("Translating with %s at %s on %s.", config.model, self.revision[:12], model.device)
        self._loaded = tokenizer, model, first_token
        return self._loaded

    def _language_token(self, tokenizer: Any) -> int:
        """Id of the token that starts a translation into the target language."""
        code = self.config.target_code
        assert code is not None
        token = tokenizer.get_lang_token(code) if hasattr(tokenizer, "get_lang_token") else code
        first = tokenizer.convert_tokens_to_ids(token)
        if first is None or first == tokenizer.unk_token_id:
            raise TranslationError(
                f"{self.config.model} has no token '{token}' for target_code '{code}': use its own name of the "
                "language, or leave target_code out for a model of one pair of languages."
            )
        return int(first)


def _sentences(text: str) -> list[str]:
    """A text cut after its sentences."""
    return [piece for piece in _SENTENCE_END.split(text) if piece.strip()] or [text]


def _hash_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
