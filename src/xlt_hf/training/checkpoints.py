# SPDX-License-Identifier: Apache-2.0
"""From a training checkpoint to a branch on the Hub: weights, tokenizer, manifest and card in one commit."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from xlt_hf.artifacts import Artifact, epoch_branch, step_branch
from xlt_hf.hub.cards import model_card
from xlt_hf.hub.manifest import MANIFEST_NAME, Manifest
from xlt_hf.hub.outbox import Outbox, Push, receipts_lost
from xlt_hf.recipe import Recipe

logger = logging.getLogger(__name__)


class CheckpointPublisher:
    """Publishes the checkpoints of one training run; only the first process has an outbox.

    Args:
        recipe: the recipe that trains.
        artifact: the model repository.
        manifest: of the run, without counts.
        tokenizer: goes with every checkpoint.
        output_dir: folder of all runs; this one's is named after its manifest, so that another configuration
            never goes on from its checkpoints.
        afresh: train and push again what is published already, and forget this run's checkpoints; so it goes as well
            where the Hub no longer has what was pushed.
    """

    def __init__(
        self,
        recipe: Recipe,
        artifact: Artifact,
        manifest: Manifest,
        tokenizer: PreTrainedTokenizerBase,
        output_dir: Path,
        *,
        afresh: bool = False,
    ) -> None:
        self.recipe = recipe
        self.artifact = artifact
        self.manifest = manifest
        self.tokenizer = tokenizer
        name = f"{artifact.repo_id.split('/')[-1]}-{manifest.fingerprint[:12]}"
        self.run_folder = output_dir / "runs" / name
        outbox = output_dir / "outbox" / name
        if recipe.is_main and (afresh or receipts_lost(recipe.hub, artifact, outbox)):
            logger.info(
                "%s is trained from the beginning: nothing of an earlier run is used.", artifact.repo_id
            )
            shutil.rmtree(self.run_folder, ignore_errors=True)
            shutil.rmtree(outbox, ignore_errors=True)
        self._outbox = Outbox(recipe.hub, artifact, outbox) if recipe.is_main else None

    def check_card(self) -> None:
        """Have the Hub validate the card before training, not after.

        Raises:
            ValueError: the Hub refuses it.
        """
        if self._outbox is not None:
            model_card(self.recipe.study, self.artifact, self.manifest).validate()

    def publish_step(self, step: int, counts: dict[str, Any], fill: Callable[[Path], None]) -> None:
        """Queue a pretraining checkpoint; the last one becomes `main` too."""
        self._publish(step_branch(step), step == counts["steps"], counts, fill)

    def publish_epoch(self, epoch: int, counts: dict[str, Any], fill: Callable[[Path], None]) -> None:
        """Queue a finetuning epoch; the last one becomes `main` too."""
        self._publish(epoch_branch(epoch), epoch == counts["epochs"], counts, fill)

    def close(self) -> None:
        """Wait until every checkpoint is on the Hub, verified, and say where."""
        if self._outbox is None:
            return
        pushed = self._outbox.close()
        print(
            f"Published {self.recipe.hub.url(self.artifact.repo_id, 'model')}: {', '.join(pushed) or 'nothing new'}."
        )

    def _publish(self, branch: str, last: bool, counts: dict[str, Any], fill: Callable[[Path], None]) -> None:
        outbox = self._outbox
        if outbox is None:
            return
        if outbox.knows(branch):
            return
        manifest = self.manifest.with_counts(**counts, branch=branch)

        def write(folder: Path) -> None:
            fill(folder)
            self.tokenizer.save_pretrained(folder)
            model_card(self.recipe.study, self.artifact, manifest).save(folder / "README.md")
            (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")

        message = f"{self.artifact.repo_id.split('/')[-1]} {branch}"
        outbox.add(Push((branch, "main") if last else (branch,), message), write)
