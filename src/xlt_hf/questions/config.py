# SPDX-License-Identifier: Apache-2.0
"""Settings of translating questions and of drawing wrong answers, sections of the study."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid", strict=True)

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
CommitId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


@dataclass(frozen=True, config=_STRICT)
class ChatConfig:
    """A chat model behind `huggingface_hub.InferenceClient`.

    Attributes:
        model: the model's name as the endpoint knows it, such as `gpt-4o` or `Qwen/Qwen3-32B`.
        provider: an inference provider that huggingface_hub knows, such as `openai` or `together`; `auto`
            lets huggingface.co choose. Must be left out where `base_url` is given.
        base_url: address of any server that speaks OpenAI's protocol, up to and including its `/v1`.
        api_key_env: environment variable that holds the key; `""` for a server that asks for none. It is not
            `HF_TOKEN` by default: a study on the embedded Hub puts that Hub's own token there.
        reply_format: how the JSON schema goes out. `json_schema`: as OpenAI documents it. `tgi`: as Text
            Generation Inference takes it. `none`: in the prompt only. Replies are checked here in any case.
        temperature: 0 for the likeliest reply; None is not sent, for models that refuse it.
        max_reply_tokens: longest reply, in tokens, sent as `max_tokens`; None is not sent.
        timeout_s: seconds without a byte from the server until a request counts as failed.
        attempts: requests for one reply until a busy (429), failing (5xx), silent or unreachable server is
            given up.
        backoff_s: first pause between these, in seconds, doubled each time; a server's `Retry-After` wins.
        max_wait_s: longest pause, in seconds; a server that asks for more ends the run.
        repairs: times that a reply which does not pass the checks is sent back with the reason.
        concurrency: requests under way at once.
        max_requests: budget of a run, in requests, failed ones included.
        max_tokens: budget of a run, in tokens of prompts and replies as the server counts them; checked before
            each request, so it is overshot by at most the replies then under way.
        retry_failed: whether to ask again for what an earlier run gave up after all repairs.
    """

    model: Annotated[str, Field(min_length=1)]
    provider: str | None = None
    base_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    api_key_env: str = "CHAT_API_KEY"
    reply_format: Literal["json_schema", "tgi", "none"] = "json_schema"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    max_reply_tokens: PositiveInt | None = 4096
    timeout_s: PositiveFloat = 120.0
    attempts: PositiveInt = 6
    backoff_s: PositiveFloat = 1.0
    max_wait_s: PositiveFloat = 120.0
    repairs: NonNegativeInt = 3
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    max_requests: PositiveInt = 20_000
    max_tokens: PositiveInt = 20_000_000
    retry_failed: bool = False

    @model_validator(mode="after")
    def _one_endpoint(self) -> "ChatConfig":
        if (self.provider is None) == (self.base_url is None):
            raise ValueError("give either provider (such as `auto`) or base_url")
        return self

    @property
    def address(self) -> str:
        """Where requests go, for messages."""
        return self.base_url or f"provider '{self.provider}'"


@dataclass(frozen=True, config=_STRICT)
class Seq2SeqConfig:
    """A translation model of the Hub, run here through transformers.

    Attributes:
        model: a repository id, such as `Helsinki-NLP/opus-mt-en-hi` or `facebook/nllb-200-distilled-600M`, or a
            folder.
        revision: commit of the repository; without it the newest one is looked up.
        source_code: the model's own name of the source language, such as `eng_Latn` (NLLB), `en_XX` (mBART) or
            `en` (M2M100); None for models of one pair of languages.
        target_code: the same for the target language; generation starts with its token.
        prefix: put before every text, where a model takes its languages there: `"eng_Latn hin_Deva "`
            (IndicTrans2), `">>hin<< "` (opus-mt of many languages), `"translate English to German: "` (T5).
        trust_remote_code: run the code that the repository brings along, as IndicTrans2 needs; it can do
            anything that you can.
        by_sentence: translate sentence by sentence, as such models were trained, and join the sentences.
        batch_size: texts that are translated, and stored, at a time.
        num_beams: width of the beam search; 1 is greedy.
        max_source_tokens: a sentence longer than this is not translated, and counted.
        max_new_tokens: a translation that has not ended by then is not used, and counted.
        precision: of the weights.
    """

    model: Annotated[str, Field(min_length=1)]
    revision: CommitId | None = None
    source_code: str | None = None
    target_code: str | None = None
    prefix: str = ""
    trust_remote_code: bool = False
    by_sentence: bool = True
    batch_size: PositiveInt = 32
    num_beams: PositiveInt = 5
    max_source_tokens: PositiveInt = 256
    max_new_tokens: PositiveInt = 256
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"


@dataclass(frozen=True, config=_STRICT)
class TranslationConfig:
    """What fills in the target language of questions that lack it.

    Attributes:
        kind: `none`: questions without a target side are dropped, and counted. `seq2seq`: a translation model.
            `chat`: a chat model.
        seq2seq: its settings.
        chat: its settings.
        texts_per_request: most texts in one request to a chat model.
        request_chars: most characters of texts in one request, unless a single text is longer.
    """

    kind: Literal["none", "seq2seq", "chat"] = "none"
    seq2seq: Seq2SeqConfig | None = None
    chat: ChatConfig | None = None
    texts_per_request: PositiveInt = 20
    request_chars: PositiveInt = 3000

    @model_validator(mode="after")
    def _has_settings(self) -> "TranslationConfig":
        if self.kind != "none" and getattr(self, self.kind) is None:
            raise ValueError(f"kind is {self.kind}: add a section {self.kind} with its model")
        return self


@dataclass(frozen=True, config=_STRICT)
class NegativesConfig:
    """Three wrong answers per question.

    Attributes:
        kind: `offline`: other questions' answers of the same type, in blocks in which each is right once.
            `chat`: a chat model makes them up (paper §4.1: GPT-4o).
        chat: settings of the chat model.
    """

    kind: Literal["offline", "chat"] = "offline"
    chat: ChatConfig | None = None

    @model_validator(mode="after")
    def _has_settings(self) -> "NegativesConfig":
        if self.kind == "chat" and self.chat is None:
            raise ValueError("kind is chat: add a section chat with its model")
        return self
