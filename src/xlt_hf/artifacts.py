# SPDX-License-Identifier: Apache-2.0
"""THE map: which stage writes which Hub repository, in which form, from which inputs.

This is the only module that knows repository names, branch names and row schemas.
``python -m xlt_hf.artifacts --study almanac`` prints the whole map as JSON.
"""

import dataclasses
import json
import shlex
import sys
from dataclasses import dataclass
from typing import Literal

import tyro

from xlt_hf.errors import UserError
from xlt_hf.study import FILTERS, Study, check_filter, load_study

RepoType = Literal["model", "dataset", "space"]
DEFAULT_LOCAL_NAMESPACE = "xlt-hf"

CORPUS_COLUMNS = ("doc_id", "title", "url", "text", "n_tokens", "part", "level")
AUDIT_COLUMNS = ("question_id", "filter", "answer_docs", "title_docs", "both_docs")
QUESTION_COLUMNS = (
    "id",
    "title",
    "url",
    "relation",
    "context",
    "question",
    "answer",
    "negatives",
    "nearest_pages",
    "hi_source",
)
QUESTION_SPLITS = ("train", "test", "control")


@dataclass(frozen=True)
class Artifact:
    """One Hub repository: what it is called, who writes it, what it is made from."""

    key: str
    """Name in this map, e.g. `corpora` or `base_model/tiny/4`."""
    repo_type: RepoType
    repo_id: str
    recipe: str
    """Command that publishes it, without `python` or `accelerate launch`."""
    inputs: tuple[str, ...] = ()
    """Keys of the artefacts that the recipe reads."""
    configs: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    branches: str = "main"

    @property
    def launcher(self) -> str:
        """The whole command that publishes this artefact."""
        trained = self.recipe.split()[0] in ("recipes/pretrain.py", "recipes/sft.py")
        return f"{'accelerate launch' if trained else 'python'} {self.recipe}"


@dataclass(frozen=True)
class ArtifactMap:
    """The repositories of one study under one namespace."""

    study: Study
    namespace: str
    flags: tuple[str, ...] = ()
    """What a command needs beside its own flags to work on this study: `--study`, `--namespace`, `--set` …"""

    def _id(self, suffix: str) -> str:
        return f"{self.namespace}/{self.study.name}-{suffix}"

    def _command(self, script: str, *flags: str) -> str:
        # `--set` takes all that follows, so the shared flags come last.
        return shlex.join((f"recipes/{script}.py", *flags, *self.flags))

    def tokenizer(self) -> Artifact:
        """The tokenizer, with its chat template and fertility table."""
        return Artifact("tokenizer", "model", self._id("tokenizer"), self._command("train_tokenizer"))

    def questions(self, task: str) -> Artifact:
        """The bilingual questions of one task, rows as the paper's Table 5."""
        return Artifact(
            f"questions/{self.study.task(task)}",
            "dataset",
            self._id(task),
            self._command("build_qa"),
            inputs=("tokenizer",) if self.study.tasks[task].kind == "in_context" else (),
            splits=QUESTION_SPLITS,
            columns=QUESTION_COLUMNS,
        )

    def corpora(self) -> Artifact:
        """The five filtered corpora as unions of parts, the validation documents, and the leak audit."""
        return Artifact(
            "corpora",
            "dataset",
            self._id("corpora"),
            self._command("build_corpora"),
            inputs=("tokenizer", f"questions/{self.study.default_task}"),
            configs=(*(f"filter-{level}" for level in FILTERS), "validation", "audit"),
            splits=self.study.languages.both(),
            columns=CORPUS_COLUMNS,
        )

    def base_model(self, size: str, filter_level: int, seed: int) -> Artifact:
        """A pretrained model; one branch per checkpoint, `main` the last."""
        check_filter(filter_level)
        flags = ["--filter", str(filter_level), *self._model_flags(size, seed)]
        return Artifact(
            f"base_model/{self.study.size(size)}/{filter_level}/{seed}",
            "model",
            self._id(f"{size}-filter-{filter_level}{self._seed(seed)}"),
            self._command("pretrain", *flags),
            inputs=("tokenizer", "corpora"),
            branches="main, " + step_branch(500) + ", …",
        )

    def finetuned_model(self, size: str, filter_level: int, task: str, seed: int) -> Artifact:
        """A finetuned model; one branch per epoch, `main` the last."""
        base = self.base_model(size, filter_level, seed)
        flags = [
            "--filter",
            str(filter_level),
            "--task",
            self.study.task(task),
            *self._model_flags(size, seed),
        ]
        epochs = self.study.finetuning[task].epochs
        return Artifact(
            f"finetuned_model/{size}/{filter_level}/{task}/{seed}",
            "model",
            f"{base.repo_id}-{task}",
            self._command("sft", *flags),
            inputs=("tokenizer", f"questions/{task}", base.key),
            branches=f"main, {epoch_branch(1)} … {epoch_branch(epochs)}",
        )

    def results(self) -> Artifact:
        """Scores and predictions of every evaluated model."""
        return Artifact(
            "results",
            "dataset",
            self._id("results"),
            self._command("run_eval", "--filter", "K", "--task", "T"),
            inputs=("finetuned_model/…", "questions/…"),
            configs=("scores", "predictions"),
            splits=("train",),
        )

    def leaderboard(self) -> Artifact:
        """The static Space with the results table."""
        return Artifact(
            "leaderboard", "space", self._id("leaderboard"), self._command("leaderboard"), inputs=("results",)
        )

    def metric(self) -> Artifact:
        """The scoring rules as an `evaluate` module."""
        return Artifact("metric", "space", f"{self.namespace}/xlt_qa", self._command("leaderboard"))

    def all(self, seeds: tuple[int, ...] = (0,)) -> list[Artifact]:
        """Every artefact of the study, in the order in which they are made."""
        study = self.study
        models = [(size, k, seed) for size in study.sizes for k in FILTERS for seed in seeds]
        return [
            self.tokenizer(),
            *(self.questions(task) for task in study.tasks),
            self.corpora(),
            *(self.base_model(size, k, seed) for size, k, seed in models),
            *(self.finetuned_model(size, k, task, seed) for size, k, seed in models for task in study.tasks),
            self.results(),
            self.leaderboard(),
            self.metric(),
        ]

    @staticmethod
    def _seed(seed: int) -> str:
        return f"-seed-{seed}" if seed else ""

    def _model_flags(self, size: str, seed: int) -> list[str]:
        flags = [] if size == self.study.default_size else ["--size", size]
        return flags + (["--seed", str(seed)] if seed else [])


def step_branch(step: int) -> str:
    """Branch of a pretraining checkpoint; nine digits, so that names sort as numbers."""
    return f"step-{step:09d}"


def epoch_branch(epoch: int) -> str:
    """Branch of a finetuning epoch, counted from 1."""
    return f"epoch-{epoch}"


@dataclass(frozen=True)
class _Arguments:
    """Print the artefact map of a study as JSON."""

    study: str = "almanac"
    """A shipped study's name, or the path of a YAML file."""
    namespace: str | None = None
    """Owner of the repositories (default: the study's, or xlt-hf)."""


def main() -> None:
    """Entry point of ``python -m xlt_hf.artifacts``."""
    arguments = tyro.cli(_Arguments, description=__doc__)
    try:
        study = load_study(arguments.study)
    except UserError as error:
        sys.exit(f"error: {error}")
    namespace = arguments.namespace or study.hub.namespace or DEFAULT_LOCAL_NAMESPACE
    flags = () if arguments.study == _Arguments().study else ("--study", arguments.study)
    artifacts = ArtifactMap(study, namespace, flags)
    rows = [{**dataclasses.asdict(artifact), "command": artifact.launcher} for artifact in artifacts.all()]
    json.dump(rows, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
