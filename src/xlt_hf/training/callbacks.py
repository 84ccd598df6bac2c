# SPDX-License-Identifier: Apache-2.0
"""What happens beside the training step: throughput in the log, and checkpoints handed to the outbox."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_MODEL_FILES = ("model*.safetensors", "model.safetensors.index.json", "config.json", "generation_config.json")


class Throughput(TrainerCallback):
    """Adds `tokens_per_second`, and `mfu` where the device's peak is known, to each log entry.

    Args:
        tokens_per_step: tokens of one optimiser step over all processes.
        flops_per_token: training FLOPs per token.
        peak_flops: peak FLOPs per second of all devices together, or None where it is not known.
    """

    def __init__(self, tokens_per_step: int, flops_per_token: float, peak_flops: float | None) -> None:
        self.tokens_per_step = tokens_per_step
        self.flops_per_token = flops_per_token
        self.peak_flops = peak_flops
        self._mark: tuple[int, float] | None = None

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._mark is None:
            self._mark = (state.global_step, time.perf_counter())

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs is None or self._mark is None or "loss" not in logs:
            return
        now = time.perf_counter()
        steps, seconds = state.global_step - self._mark[0], now - self._mark[1]
        self._mark = (state.global_step, now)
        if steps > 0 and seconds > 0:
            rate = steps * self.tokens_per_step / seconds
            measured: dict[str, float] = {"tokens_per_second": round(rate)}
            if self.peak_flops:
                measured["mfu"] = round(rate * self.flops_per_token / self.peak_flops, 4)
            logs.update(measured)
            # The history is written before the callbacks are called.
            state.log_history[-1].update(measured)


class PublishCheckpoints(TrainerCallback):
    """On every save and on resuming, on the first process: hand the checkpoint's files to `enqueue`.

    Args:
        enqueue: called with (state, fill); `fill(folder)` hard-links or copies the model's files there.
    """

    def __init__(self, enqueue: Callable[[TrainerState, Callable[[Path], None]], None]) -> None:
        self.enqueue = enqueue

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # A run killed between saving and queueing left a checkpoint that nobody has been given.
        if state.global_step > 0:
            self._publish(args, state)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._publish(args, state)

    def _publish(self, args: TrainingArguments, state: TrainerState) -> None:
        if not state.is_world_process_zero:
            return
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"

        def fill(folder: Path) -> None:
            for pattern in _MODEL_FILES:
                for path in checkpoint.glob(pattern):
                    link_or_copy(path, folder / path.name)

        self.enqueue(state, fill)


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system has them: a checkpoint's weights are written once."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def peak_flops_per_device(device_name: str) -> float | None:
    """Dense bf16 peak of a device, from its vendor's data sheet; None where it is not known."""
    peaks = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
    return next((peak for name, peak in peaks.items() if name in device_name), None)
