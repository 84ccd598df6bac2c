# SPDX-License-Identifier: Apache-2.0
"""Finetune a pretrained model on one task with TRL's `SFTTrainer` (paper §3.2.2).

Prompt-completion rows, loss on the completion only, both languages jointly.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainerState
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from xlt_hf.errors import UserError
from xlt_hf.evaluation.prompts import Example
from xlt_hf.study import FinetuningConfig
from xlt_hf.training.callbacks import PublishCheckpoints

logger = logging.getLogger(__name__)


class TooLong(UserError):
    """Too many examples would be cut."""


@dataclass(frozen=True)
class FinetuningRun:
    """Everything that one finetuning needs, already read."""

    settings: FinetuningConfig
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    examples: Sequence[Example]
    processes: int
    max_truncated: float
    seed: int
    output_dir: Path
    use_peft: bool


def count_truncated(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], max_length: int) -> int:
    """Examples whose prompt and completion together are longer than `max_length` tokens."""
    conversations: list[list[dict[str, str]]] = [
        row["prompt"] + row["completion"] for row in (example.messages() for example in examples)
    ]
    rendered = [tokenizer.apply_chat_template(conversation, tokenize=False) for conversation in conversations]
    return sum(len(ids) > max_length for ids in tokenizer(rendered, add_special_tokens=False)["input_ids"])


def finetune(
    run: FinetuningRun,
    enqueue: Callable[[int, dict[str, Any], Callable[[Path], None]], None],
    callbacks: Sequence[TrainerCallback] = (),
) -> dict[str, Any]:
    """Train for `settings.epochs`, or go on from the last checkpoint in `run.output_dir`.

    Args:
        enqueue: called on the first process after each epoch: its number from 1, what was measured, and a
            function that puts the model's files into a folder.

    Raises:
        TooLong: more than `max_truncated` of the examples would be cut.
    """
    settings = run.settings
    truncated = count_truncated(run.tokenizer, run.examples, settings.max_length)
    if truncated > run.max_truncated * len(run.examples):
        raise TooLong(
            f"{truncated} of {len(run.examples)} examples are longer than {settings.max_length} tokens, more than "
            f"{run.max_truncated:.1%} (evaluation.max_truncated). Raise finetuning.…max_length, or the threshold."
        )
    if settings.batch_size % run.processes:
        raise UserError(
            f"finetuning batch_size {settings.batch_size} cannot be shared by {run.processes} processes evenly."
        )
    trainable = sum(p.numel() for p in run.model.parameters())

    def on_checkpoint(state: TrainerState, fill: Callable[[Path], None]) -> None:
        counts = {
            "epoch": round(state.epoch or 0),
            "epochs": settings.epochs,
            "step": state.global_step,
            "examples": len(run.examples),
            "truncated": truncated,
            "parameters": trainable,
            "loss": next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), None),
        }
        enqueue(round(state.epoch or 0), counts, _merged(trainer) if run.use_peft else fill)

    trainer = SFTTrainer(
        model=run.model,
        args=_arguments(run),
        train_dataset=Dataset.from_list([example.messages() for example in run.examples]),
        processing_class=run.tokenizer,
        peft_config=_lora() if run.use_peft else None,
        callbacks=[PublishCheckpoints(on_checkpoint), *callbacks],
    )
    last = get_last_checkpoint(str(run.output_dir)) if run.output_dir.exists() else None
    if last is not None:
        logger.info("Going on from %s.", last)
    trainer.train(resume_from_checkpoint=last)
    return {"truncated": truncated, "examples": len(run.examples)}


def _arguments(run: FinetuningRun) -> SFTConfig:
    settings = run.settings
    steps = -(-len(run.examples) // settings.batch_size) * settings.epochs
    return SFTConfig(
        output_dir=str(run.output_dir),
        use_cpu=not torch.cuda.is_available(),
        seed=run.seed,
        data_seed=run.seed,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size // run.processes,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.lr_scheduler,
        warmup_steps=round(settings.warmup_ratio * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch_fused",
        max_length=settings.max_length,
        completion_only_loss=True,
        packing=False,
        bf16=settings.precision == "bf16",
        activation_checkpointing=False,
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
    )


def _lora() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def _merged(trainer: SFTTrainer) -> Callable[[Path], None]:
    """Publishes the adapted weights as a whole model, so that every branch loads without peft."""

    def fill(folder: Path) -> None:
        import copy

        merged = copy.deepcopy(trainer.accelerator.unwrap_model(trainer.model)).merge_and_unload()
        merged.save_pretrained(folder)

    return fill
