# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.errors import UserError
from xlt_hf.training.batching import plan_batches


@given(
    processes=st.sampled_from([1, 2, 4, 8]),
    rows_per_step=st.sampled_from([8, 16, 24, 64, 512]),
    micro=st.integers(1, 64),
    steps=st.integers(1, 50),
)
def test_every_number_of_processes_makes_the_same_steps(processes, rows_per_step, micro, steps):
    plan = plan_batches(
        rows=rows_per_step * steps + rows_per_step - 1,
        tokens_per_step=rows_per_step * 32,
        seq_len=32,
        processes=processes,
        micro_batch_rows=micro,
    )
    assert plan.micro_batch_rows * plan.accumulation * processes == rows_per_step
    assert plan.micro_batch_rows <= micro
    assert plan.steps == steps


def test_the_largest_micro_batch_that_divides_is_taken():
    plan = plan_batches(rows=120, tokens_per_step=12 * 8, seq_len=8, processes=1, micro_batch_rows=5)
    assert (plan.micro_batch_rows, plan.accumulation) == (4, 3)


def test_a_batch_that_the_processes_cannot_share_is_refused():
    with pytest.raises(UserError, match="8 rows of 32, which 3 processes"):
        plan_batches(rows=100, tokens_per_step=256, seq_len=32, processes=3, micro_batch_rows=8)


def test_too_little_data_for_one_step_is_refused():
    with pytest.raises(UserError, match="7 rows of 32 tokens do not fill one step of 8"):
        plan_batches(rows=7, tokens_per_step=256, seq_len=32, processes=1, micro_batch_rows=8)
