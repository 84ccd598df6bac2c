# SPDX-License-Identifier: Apache-2.0
"""Pretrain one model on one filter's corpus with `transformers.Trainer` (paper §3.2.1)."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from xlt_hf.corpora.stream import PackedRows
from xlt_hf.study import ModelConfig, PretrainingConfig
from xlt_hf.training.batching import BatchPlan
from xlt_hf.training.bits_per_byte import bits_per_byte
from xlt_hf.training.callbacks import PublishCheckpoints, Throughput, peak_flops_per_device
from xlt_hf.training.model import build_model, flops_per_token, parameter_counts

logger = logging.getLogger(__name__)

EnqueueCheckpoint = Callable[[int, dict[str, Any], Callable[[Path], None]], None]
"""(step, measured counts, fill) of one checkpoint."""


@dataclass(frozen=True)
class PretrainingRun:
    """Everything that one pretraining needs, already read."""

    size: ModelConfig
    settings: PretrainingConfig
    tokenizer: PreTrainedTokenizerBase
    rows: PackedRows
    plan: BatchPlan
    validation_texts: Mapping[str, Sequence[str]]
    """Language -> held-out texts for bits per byte."""
    seed: int
    output_dir: Path
    logging_steps: int


def pretrain(
    run: PretrainingRun, enqueue: EnqueueCheckpoint, callbacks: Sequence[TrainerCallback] = ()
) -> dict[str, Any]:
    """Train from scratch, or go on from the last checkpoint in `run.output_dir`.

    Args:
        enqueue: called on the first process with every checkpoint: its step, what was measured on it, and a
            function that puts its weights and configuration into a folder.
        callbacks: further `Trainer` callbacks.

    Returns:
        What was measured at the end: steps, tokens, loss, bits per byte per language, parameters.
    """
    settings, plan = run.settings, run.plan
    model = build_model(run.size, run.tokenizer, settings.seq_len, run.seed)
    counts = parameter_counts(model)
    measured: dict[str, Any] = {}

    def on_checkpoint(state: TrainerState, fill: Callable[[Path], None]) -> None:
        measured.clear()
        measured.update(
            step=state.global_step,
            steps=plan.steps,
            tokens=state.global_step * settings.tokens_per_step,
            loss=_last_loss(state),
            parameters=counts,
            batch=plan.describe(),
            bits_per_byte={
                language: round(bits_per_byte(model, run.tokenizer, texts, window=settings.seq_len), 4)
                for language, texts in run.validation_texts.items()
                if texts
            },
        )
        logger.info("Checkpoint %d: %s", state.global_step, measured)
        enqueue(state.global_step, dict(measured), fill)

    devices = plan.processes if torch.cuda.is_available() else 0
    peak = peak_flops_per_device(torch.cuda.get_device_name()) if devices else None
    trainer = Trainer(
        model=model,
        args=_arguments(run),
        train_dataset=run.rows,
        data_collator=_stack,
        callbacks=[
            Throughput(
                settings.tokens_per_step, flops_per_token(model, settings.seq_len), peak and peak * devices
            ),
            PublishCheckpoints(on_checkpoint),
            *callbacks,
        ],
    )
    assert trainer.args.world_size == plan.processes, "the batch was planned for other processes"
    last = get_last_checkpoint(str(run.output_dir)) if run.output_dir.exists() else None
    if last is not None:
        logger.info("Going on from %s.", last)
    trainer.train(resume_from_checkpoint=last)
    return measured


def save_steps(settings: PretrainingConfig, plan: BatchPlan) -> int:
    """Steps between published checkpoints: `settings.checkpoints` of them, the last one at the end."""
    return -(-plan.steps // min(settings.checkpoints, plan.steps))


def _arguments(run: PretrainingRun) -> TrainingArguments:
    settings, plan = run.settings, run.plan
    return TrainingArguments(
        output_dir=str(run.output_dir),
        use_cpu=not torch.cuda.is_available(),
        seed=run.seed,
        data_seed=run.seed,
        max_steps=plan.steps,
        per_device_train_batch_size=plan.micro_batch_rows,
        gradient_accumulation_steps=plan.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": settings.min_lr_ratio},
        warmup_steps=round(settings.warmup_ratio * plan.steps),
        optim="adamw_torch_fused",
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.precision == "bf16",
        # The stream is already in its keyed order; the sampler must not undo the pairing of the filters.
        train_sampling_strategy="sequential",
        dataloader_drop_last=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        save_strategy="steps",
        save_steps=save_steps(settings, plan),
        save_total_limit=2,
        logging_steps=run.logging_steps,
        # Checking the loss for NaN makes the host wait for the device at every step.
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        report_to=[],
        # A single pass over the virtual stream: its epochs are inside it.
        num_train_epochs=1,
        ddp_find_unused_parameters=False,
    )


def _stack(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """`int64[B, T]`; no attention mask, since packed rows have no padding."""
    return {key: torch.stack([torch.from_numpy(row[key]) for row in rows]) for key in rows[0]}


def _last_loss(state: TrainerState) -> float | None:
    return next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), None)
