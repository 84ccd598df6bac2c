# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.corpora.levels import ControlExposed, removal_levels
from xlt_hf.errors import UserError

N = 12
pages = st.lists(st.integers(-1, N - 1), max_size=6)


@given(test=pages, near_test=pages, train=pages, near_train=pages)
def test_level_is_the_first_filter_that_removes(test, near_test, train, near_train):
    arrays = [np.array(a, np.int64) for a in (test, train, near_test, near_train)]
    level = removal_levels(N, *arrays)
    assert level.dtype == np.int8
    for doc in range(N):
        groups = [doc in test, doc in near_test, doc in train, doc in near_train]
        assert level[doc] == (groups.index(True) + 1 if any(groups) else 0)


def test_padding_is_nobody():
    level = removal_levels(3, np.array([0]), np.array([], np.int64), np.array([[0, -1]]), None)
    assert level.tolist() == [1, 0, 0]


def test_exposed_control_page_is_refused_with_numbers():
    with pytest.raises(ControlExposed, match=r"2 of 3 control pages .*1 at level 2.*1 at level 4") as error:
        removal_levels(
            6, np.array([0]), np.array([1]), np.array([[0, 2]]), np.array([[1, 3]]), np.array([2, 3, 5])
        )
    assert isinstance(error.value, UserError)


def test_rows_outside_the_documents():
    with pytest.raises(ValueError, match="nearest_test has rows from 0 to 9; D has 3 documents"):
        removal_levels(3, np.array([0]), np.array([1]), np.array([[0, 9]]), None)
    with pytest.raises(ValueError, match="train_pages has rows from -2"):
        removal_levels(3, np.array([0]), np.array([-2]), None, None)
    with pytest.raises(TypeError, match="integer rows"):
        removal_levels(3, np.array([True, False, True]), np.array([1]), None, None)
