# SPDX-License-Identifier: Apache-2.0
"""The processes of a training run, as `accelerate launch` started them."""

import os

import torch
from accelerate import PartialState

from xlt_hf.errors import UserError


def process_state() -> PartialState:
    """Join the run's processes; on the CPU where there is no accelerator.

    Raises:
        UserError: the launcher started more processes than found each other: each would train the whole run.
    """
    state = PartialState(cpu=not torch.cuda.is_available())
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != state.num_processes:
        raise UserError(
            f"The launcher started {launched} processes, but {state.num_processes} take part ({state.distributed_type}). "
            "Use a configuration of accelerate_configs/ with --config_file, or --num_processes 1."
        )
    return state
