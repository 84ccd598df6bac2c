# SPDX-License-Identifier: Apache-2.0
"""The experiment as typed dataclasses: one YAML file in, one validated, immutable `Study` out.

A study file is strict: an unknown key is an error that names the nearest known one, a value of a wrong
type or range is an error that says what is allowed. ``--set section.key=value`` overrides single values and
goes through the same validation, so the command line wins over the YAML, and the YAML over the defaults here.
"""

import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from xlt_hf.errors import UserError
from xlt_hf.questions.config import NegativesConfig, TranslationConfig
from xlt_hf.sources.almanac import AlmanacConfig
from xlt_hf.sources.files import FilesConfig
from xlt_hf.sources.natural_questions import NaturalQuestionsConfig
from xlt_hf.sources.nq_open import NqOpenConfig
from xlt_hf.sources.published import PublishedConfig
from xlt_hf.sources.sangraha import SangrahaConfig
from xlt_hf.sources.squad import SquadConfig
from xlt_hf.sources.wiki_translate import WikiTranslateConfig
from xlt_hf.sources.xquad import XquadConfig

STUDIES_FOLDER = Path(__file__).parents[2] / "recipes" / "studies"
_STRICT = ConfigDict(extra="forbid", strict=True)

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
RepoSegment = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$")]

FILTERS: tuple[int, ...] = (0, 1, 2, 3, 4)
"""The paper's five pretraining filters (Table 1)."""


class StudyError(UserError):
    """A study file, or an override of one of its values, is not valid."""


@dataclass(frozen=True, config=_STRICT)
class Languages:
    """The language that keeps every page, and the one that loses pages."""

    source: LanguageCode
    target: LanguageCode

    def both(self) -> tuple[str, str]:
        """(source, target)."""
        return (self.source, self.target)


@dataclass(frozen=True, config=_STRICT)
class HubConfig:
    """Where artefacts are published."""

    kind: Literal["local", "remote"]
    """`local`: the embedded Hub, started when needed. `remote`: whichever Hub `HF_ENDPOINT` names."""
    namespace: RepoSegment | None = None
    """Owner of the repositories; on a remote Hub `None` means that nothing is pushed."""
    visibility: Literal["private", "public"] = "private"


@dataclass(frozen=True, config=_STRICT)
class DocumentsConfig:
    """Where the aligned documents D come from; the section named like the source has its settings."""

    source: Literal["almanac", "wiki_translate", "sangraha", "xquad", "files"]
    almanac: AlmanacConfig | None = None
    wiki_translate: WikiTranslateConfig | None = None
    sangraha: SangrahaConfig | None = None
    xquad: XquadConfig | None = None
    files: FilesConfig | None = None
    max_rejected: Fraction = 0.05
    """Largest share of the source's rows that may be bad (empty, undecodable, duplicate, …) before a build stops."""
    max_document_mib: PositiveInt = 8
    """Rows with a longer text in either language, in MiB, are rejected: they are dumps, not pages."""


@dataclass(frozen=True, config=_STRICT)
class QuestionsConfig:
    """One source of questions; its name is the key in `questions`."""

    source: Literal["almanac", "natural_questions", "nq_open", "squad", "xquad", "published"]
    splits: Literal["drawn", "prescribed"] = "drawn"
    """`drawn`: test, train and control questions are drawn on pages of D, as `splits` says. `prescribed`: the source's
    own train and test questions, no control: for reading comprehension, where the passage is given."""
    natural_questions: NaturalQuestionsConfig | None = None
    nq_open: NqOpenConfig | None = None
    squad: SquadConfig | None = None
    xquad: XquadConfig | None = None
    published: PublishedConfig | None = None
    translation: TranslationConfig = dataclasses.field(default_factory=TranslationConfig)
    """What fills in the target language of questions that lack it."""
    negatives: NegativesConfig = dataclasses.field(default_factory=NegativesConfig)
    """What gives questions without negatives three wrong answers."""
    max_questions: PositiveInt | None = None
    """Most questions to read."""


@dataclass(frozen=True, config=_STRICT)
class TaskConfig:
    """One finetuning and evaluation task; its name is the key in `tasks`."""

    kind: Literal["closed_book", "multiple_choice", "in_context"]
    questions: RepoSegment | None = None
    """Name of its source of questions (default: the study's first)."""


@dataclass(frozen=True, config=_STRICT)
class SplitsConfig:
    """How many pages, or questions, make the test, train and control splits."""

    unit: Literal["pages", "questions"]
    """`pages` draws pages and takes all their questions; `questions` draws single questions (paper: 1000)."""
    test: PositiveInt
    train: PositiveInt
    control: PositiveInt


@dataclass(frozen=True, config=_STRICT)
class SimilarityConfig:
    """TF-IDF over the source-language texts (paper §3.2.1)."""

    top_k: PositiveInt
    """Documents counted as near to a page, the page itself included (paper: 1000)."""
    words: Literal["letters_marks", "sklearn"] = "letters_marks"
    sublinear_tf: bool = False


@dataclass(frozen=True, config=_STRICT)
class CorporaConfig:
    """The five corpora."""

    validation_documents: NonNegativeInt
    """Documents kept out of every corpus in both languages, on which bits per byte are measured."""
    shard_mib: PositiveInt = 256
    """Size of a published parquet file, in MiB of text."""


@dataclass(frozen=True, config=_STRICT)
class TokenizerConfig:
    """Byte-fallback BPE trained on D."""

    vocab_size: Annotated[int, Field(ge=400, le=65536)]
    sample_mib: Annotated[int, Field(gt=0, le=2048)]
    """Text that the merges are learnt from, in MiB, half of it from each language. At most 2 GiB: the
    libraries' trainers count pairs in 32 bits (tokenizers#2058) and lose the commonest merges beyond about 4 GB; ours counts
    in 64, but what it makes could no longer be compared with theirs."""


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """Shape of a `LlamaForCausalLM`; sizes are named by their non-embedding parameters."""

    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    tie_word_embeddings: bool
    rope_theta: PositiveFloat = 10000.0
    initializer_range: PositiveFloat = 0.02


@dataclass(frozen=True, config=_STRICT)
class PretrainingConfig:
    """Pretraining from scratch. The batch is fixed in tokens; accumulation follows from the processes."""

    epochs: PositiveInt
    unit: Literal["document", "paragraph"]
    """What is put in the keyed order and closed by an end token: whole documents, or their lines. Where a page says
    the same facts over and over, a model that sees its lines apart cannot copy them and has to remember."""
    seq_len: PositiveInt
    tokens_per_step: PositiveInt
    learning_rate: PositiveFloat
    min_lr_ratio: Fraction
    warmup_ratio: Fraction
    adam_beta1: Fraction
    adam_beta2: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: PositiveFloat
    precision: Literal["fp32", "bf16"]
    checkpoints: PositiveInt
    """Branches published in all, evenly spaced; the last one is the final model."""
    micro_batch_rows: PositiveInt
    """Most rows that one process puts through the model at once."""


@dataclass(frozen=True, config=_STRICT)
class FinetuningConfig:
    """Supervised finetuning on the train questions, both languages jointly (paper §3.2.2)."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    lr_scheduler: Literal["linear", "cosine", "constant"]
    warmup_ratio: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: PositiveFloat
    max_length: PositiveInt
    """Tokens of prompt and completion together; longer ones are counted and stop the run above the threshold
    `evaluation.max_truncated`."""
    precision: Literal["fp32", "bf16"]


@dataclass(frozen=True, config=_STRICT)
class EvaluationConfig:
    """Decoding, and the thresholds of the verdict, fixed before any result is seen."""

    batch_size: PositiveInt
    max_new_tokens: PositiveInt
    max_truncated: Fraction
    """Largest share of inputs that may be cut before the run stops."""
    bootstrap: PositiveInt
    source_recall_threshold: Fraction
    """Source-language exact match on the held-out items below which the verdict is `undefined`."""
    equivalence_margin: Fraction
    """δ: effects smaller than this count as none."""


@dataclass(frozen=True, config=_STRICT)
class Study:
    """Everything that decides the numbers of one experiment."""

    name: RepoSegment
    title: str
    license: str
    """Licence of the published texts, as a Hub licence id."""
    attribution: str
    seed: NonNegativeInt
    languages: Languages
    hub: HubConfig
    documents: DocumentsConfig
    questions: Annotated[dict[RepoSegment, QuestionsConfig], Field(min_length=1)]
    tasks: Annotated[dict[RepoSegment, TaskConfig], Field(min_length=1)]
    splits: SplitsConfig
    similarity: SimilarityConfig
    corpora: CorporaConfig
    tokenizer: TokenizerConfig
    sizes: Annotated[dict[RepoSegment, ModelConfig], Field(min_length=1)]
    pretraining: PretrainingConfig
    finetuning: dict[RepoSegment, FinetuningConfig]
    evaluation: EvaluationConfig

    @property
    def default_size(self) -> str:
        """The first size of the file."""
        return next(iter(self.sizes))

    @property
    def default_task(self) -> str:
        """The first task of the file."""
        return next(iter(self.tasks))

    def questions_of(self, task: str) -> str:
        """Name of the source of a task's questions."""
        return self.tasks[task].questions or next(iter(self.questions))

    def size(self, name: str | None) -> str:
        """`name`, or the default size; an unknown name is an error that lists the known ones."""
        return _known("size", self.default_size if name is None else name, list(self.sizes))

    def task(self, name: str | None) -> str:
        """`name`, or the default task; an unknown name is an error that lists the known ones."""
        return _known("task", self.default_task if name is None else name, list(self.tasks))


def check_filter(filter_level: int) -> int:
    """A filter of the paper's Table 1, or a `StudyError`."""
    if filter_level not in FILTERS:
        raise StudyError(
            f"There is no filter {filter_level}: filters are {FILTERS[0]} (nothing removed) to {FILTERS[-1]}."
        )
    return filter_level


def load_study(study: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read, override and validate a study.

    Args:
        study: a shipped study's name (`almanac`) or the path of a YAML file of the same form.
        overrides: ``section.key=value`` strings; the value is read as YAML.

    Raises:
        StudyError: with the file, the key and what is allowed there.
    """
    path = _study_path(study)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"Cannot read the study {path}: {error}.") from error
    try:
        raw = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise StudyError(f"{path} must hold a mapping of study keys, not {type(raw).__name__}.")
    for override in overrides:
        _override(raw, override)
    try:
        study_object = TypeAdapter(Study).validate_json(json.dumps(raw))
    except ValidationError as error:
        raise StudyError(f"{path} is not a valid study:\n" + _explain(error)) from error
    except TypeError as error:
        raise StudyError(f"{path} holds a value that is not plain YAML data: {error}.") from error
    _cross_check(study_object, path)
    return study_object


def as_dict(study: Any) -> dict[str, Any]:
    """The study, or one of its sections, as plain JSON data in field order."""
    return json.loads(TypeAdapter(type(study)).dump_json(study))


class _Loader(yaml.SafeLoader):
    """Safe YAML in which ``4e-3`` is a number (YAML 1.1 wants ``4.0e-3``) and a key may stand only once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.YAMLError(
                    f"the key {key!r} stands twice, again on line {key_node.start_mark.line + 1}"
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _study_path(study: str | Path) -> Path:
    text = str(study)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return Path(text)
    shipped = sorted(path.stem for path in STUDIES_FOLDER.glob("*.yaml"))
    return STUDIES_FOLDER / f"{_known('study', text, shipped, 'or the path of a .yaml file')}.yaml"


def _known(what: str, name: str, known: Sequence[str], extra: str = "") -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise StudyError(
        f"There is no {what} '{name}'.{hint} Known: {', '.join(known)}{', ' + extra if extra else ''}."
    )


def _override(raw: dict[str, Any], override: str) -> None:
    dotted, separator, value = override.partition("=")
    keys = dotted.strip().split(".")
    if not separator or not all(keys):
        raise StudyError(f"--set takes section.key=value, not '{override}'.")
    place = raw
    for key in keys[:-1]:
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise StudyError(f"--set {override}: '{key}' is a value, not a section.")
        place = inner
    try:
        place[keys[-1]] = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise StudyError(f"--set {override}: the value is not valid YAML: {error}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        place = [str(part) for part in problem["loc"]]
        dotted = ".".join(place)
        if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = _fields_at(place[:-1])
            near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.4)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            lines.append(f"  {dotted}: unknown key.{hint} Known here: {', '.join(known)}.")
        elif problem["type"] in ("missing", "missing_argument"):
            lines.append(f"  {dotted}: this key is required.")
        else:
            lines.append(f"  {dotted}: {problem['msg']}, got {problem['input']!r}.")
    return "\n".join(lines)


def _fields_at(place: Sequence[str]) -> list[str]:
    """Field names of the dataclass that stands at a dotted place of the study."""
    current: Any = Study
    for part in place:
        if dataclasses.is_dataclass(current):
            current = typing.get_type_hints(current).get(part)
        elif typing.get_origin(current) is dict:
            current = typing.get_args(current)[1]
        if isinstance(current, types.UnionType):
            current = next((a for a in typing.get_args(current) if dataclasses.is_dataclass(a)), None)
    return [field.name for field in dataclasses.fields(current)] if dataclasses.is_dataclass(current) else []


def _cross_check(study: Study, path: Path) -> None:
    problems = []
    if study.languages.source == study.languages.target:
        problems.append(f"languages: source and target are both '{study.languages.source}'.")
    if getattr(study.documents, study.documents.source) is None:
        problems.append(
            f"documents: the source is {study.documents.source}; add a section {study.documents.source}."
        )
    for name, questions in study.questions.items():
        if questions.source != "almanac" and getattr(questions, questions.source) is None:
            problems.append(
                f"questions.{name}: the source is {questions.source}; add a section {questions.source}."
            )
        if questions.source == "almanac" and study.documents.source != "almanac":
            problems.append(
                f"questions.{name}: the almanac's questions are about the almanac's documents alone."
            )
    for task, settings in study.tasks.items():
        if settings.questions is not None and settings.questions not in study.questions:
            known = ", ".join(study.questions)
            problems.append(
                f"tasks.{task}.questions: there are no '{settings.questions}'; questions are {known}."
            )
            continue
        drawn = study.questions[study.questions_of(task)].splits == "drawn"
        if drawn and study.questions_of(task) != study.questions_of(study.default_task):
            problems.append(
                f"tasks.{task}.questions: the corpora lose the pages of one source's questions, those of the first task "
                f"({study.default_task}); the questions of another source need splits: prescribed."
            )
    if study.questions[study.questions_of(study.default_task)].splits != "drawn":
        problems.append(
            f"tasks.{study.default_task}: the first task decides which pages are removed; its questions need splits: drawn."
        )
    for task in study.tasks:
        if task not in study.finetuning:
            problems.append(
                f"finetuning: the task '{task}' has no settings; add a section finetuning.{task}."
            )
    for task in study.finetuning:
        if task not in study.tasks:
            problems.append(f"finetuning.{task}: there is no such task; tasks are {', '.join(study.tasks)}.")
    training = study.pretraining
    if training.tokens_per_step % training.seq_len:
        problems.append(
            f"pretraining.tokens_per_step: {training.tokens_per_step} is not a multiple of seq_len {training.seq_len}."
        )
    for name, size in study.sizes.items():
        if size.hidden_size % size.num_attention_heads:
            problems.append(
                f"sizes.{name}: hidden_size {size.hidden_size} is not a multiple of {size.num_attention_heads} heads."
            )
        if size.num_attention_heads % size.num_key_value_heads:
            problems.append(
                f"sizes.{name}: {size.num_attention_heads} heads do not share "
                f"{size.num_key_value_heads} key-value heads evenly."
            )
    if problems:
        raise StudyError(
            f"{path} is not a valid study:\n" + "\n".join(f"  {problem}" for problem in problems)
        )
