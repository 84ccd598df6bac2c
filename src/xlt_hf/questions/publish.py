# SPDX-License-Identifier: Apache-2.0
"""The stage behind `build_qa.py`: which question datasets are due, built once per source, published once per task."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from xlt_hf.hub.benchmark import write_benchmark
from xlt_hf.hub.cards import questions_card
from xlt_hf.hub.load import load_tokenizer
from xlt_hf.hub.manifest import Manifest
from xlt_hf.hub.publish import already_published, publish_folder
from xlt_hf.progress import ProgressBars
from xlt_hf.questions.build import (
    BuiltQuestions,
    Machine,
    complete_questions,
    draw_questions,
    prescribed_questions,
    report,
    write_questions,
)
from xlt_hf.questions.cache import ReplyCache, default_cache_path
from xlt_hf.questions.quality import cut_contexts, prompt_encoder
from xlt_hf.questions.review import Correction, write_review
from xlt_hf.recipe import Recipe
from xlt_hf.sources import CandidateQuestions, Collected, Documents
from xlt_hf.study import as_dict


@dataclasses.dataclass(frozen=True)
class QuestionStage:
    """One run of `build_qa.py`.

    Attributes:
        recipe: the recipe that runs.
        documents: D.
        candidates: source's name in the study -> its questions.
        corrections: a reviewer's, by question id.
        machine: for the nearest pages.
    """

    recipe: Recipe
    documents: Documents
    candidates: Mapping[str, CandidateQuestions]
    corrections: Mapping[str, Correction]
    machine: Machine

    def tasks_by_source(self) -> dict[str, list[str]]:
        """Source of questions -> the tasks that ask them."""
        study = self.recipe.study
        return {
            name: tasks
            for name in study.questions
            if (tasks := [task for task in study.tasks if study.questions_of(task) == name])
        }

    def published(self) -> bool:
        """Whether every task's dataset is there as this run would make it.

        Raises:
            DifferentArtifact: one is there, made differently.
        """
        recipe = self.recipe
        found = [
            already_published(
                recipe.hub, recipe.map.questions(task), self.manifest(task), replace=recipe.arguments.replace
            )
            for task in recipe.study.tasks
        ]
        return all(found)

    def manifest(self, task: str) -> Manifest:
        """The manifest of one task's dataset, before anything is counted."""
        study = self.recipe.study
        name = study.questions_of(task)
        sections = ("languages", "documents", "splits", "similarity")
        config: dict[str, Any] = {section: as_dict(getattr(study, section)) for section in sections}
        config["questions"] = as_dict(study.questions[name])
        config["task"] = as_dict(study.tasks[task])
        config["local_files"] = self.documents.content_key + self.candidates[name].pinned.local
        if self.corrections:
            rows = {key: value.causes() for key, value in sorted(self.corrections.items())}
            config["review"] = rows
        refs = list(dict.fromkeys([*self.documents.refs, *self.candidates[name].refs]))
        inputs = {}
        if study.tasks[task].kind == "in_context":  # what the window cuts is counted with the tokenizer
            inputs["tokenizer"] = self.recipe.require(self.recipe.map.tokenizer())
        return self.recipe.manifest("build_qa", config, inputs, sources=refs)

    def build(self, name: str) -> tuple[BuiltQuestions, set[str]]:
        """Read, split and complete one source's questions; also the ids of all that were drawn, rejected ones too."""
        study = self.recipe.study
        settings = study.questions[name]
        table = self._collected.table
        with ProgressBars() as progress:
            batch = self.candidates[name].read(progress=progress)
            if settings.splits == "drawn":
                built = draw_questions(table, batch, study, self.machine, progress)
            else:
                built = prescribed_questions(batch)
        drawn = {question.id for rows in built.splits.values() for question in rows}
        with ReplyCache(default_cache_path()) as cache:
            complete = complete_questions(
                built,
                table,
                study.languages,
                settings.translation,
                settings.negatives,
                seed=study.seed,
                cache=cache,
                corrections=self.corrections,
            )
        return complete, drawn

    def publish(self, built: BuiltQuestions, task: str, folder: Path) -> str:
        """Publish one task's dataset; returns its commit."""
        recipe, study = self.recipe, self.recipe.study
        artifact, kind = recipe.map.questions(task), study.tasks[task].kind
        manifest, cut = self.manifest(task), None
        if kind == "in_context":
            tokenizer = load_tokenizer(recipe.hub, recipe.require(recipe.map.tokenizer()))
            window, room = study.pretraining.seq_len, study.evaluation.max_new_tokens
            cut = cut_contexts(built.splits, study.languages, prompt_encoder(tokenizer), window, room)
        sources = [
            {"repo_id": ref.repo_id, "revision": ref.revision}
            for key, ref in manifest.inputs.items()
            if key.startswith("source: ")
        ]
        manifest = manifest.with_counts(
            **built.counts(), **report(built, study.languages, study.seed, cut), sources=sources
        )
        write_questions(built, kind, study.languages, folder)
        write_review(folder / "review.csv", built.splits, study.languages, self.corrections)
        benchmark = write_benchmark(study, artifact, task, folder)
        questions_card(study, artifact, manifest, task, benchmark).save(folder / "README.md")
        return publish_folder(
            recipe.hub,
            artifact,
            folder,
            manifest,
            f"Questions of {study.name}: {task}",
            resend=recipe.arguments.replace,
        )

    @cached_property
    def _collected(self) -> Collected:
        return self.recipe.collect(self.documents)
