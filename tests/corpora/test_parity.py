# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from xlt_hf.corpora.parity import (
    ParityInfeasible,
    _fill,
    draw_reserve,
    feasibility,
    parity_tolerance,
    removal_bounds,
)
from xlt_hf.corpora.partition import Partition, check_invariants


@st.composite
def worlds(draw):
    """Token counts (empty Hindi and giants among them), levels and control pages."""
    n = draw(st.integers(0, 40))
    size = draw(
        st.sampled_from([st.integers(0, 3), st.just(7), st.integers(0, 1000), st.sampled_from([0, 1, 10**6])])
    )
    tok = np.array(draw(st.lists(size, min_size=n, max_size=n)), np.int64)
    level = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), np.int8)
    if draw(st.booleans()):  # mostly kept, so that many worlds are feasible
        level[np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)] = 0
    control = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool) & (level == 0)
    return tok, level, control


def ids_of(tok):
    return [f"d{i}" for i in range(len(tok))]


@given(world=worlds(), seed=st.integers(0, 3))
@example(world=(np.zeros(5, np.int64), np.array([1, 2, 3, 4, 0], np.int8), np.zeros(5, bool)), seed=0)
@example(world=(np.full(4, 9), np.array([1, 2, 3, 4], np.int8), np.zeros(4, bool)), seed=0)
def test_invariants_hold_or_the_error_says_why(world, seed):
    tok, level, control = world
    numbers = feasibility(tok, level, control)
    removed = int(tok[level > 0].sum())
    room = int(tok[(level == 0) & ~control].sum())
    assert numbers.feasible == (removed <= room)
    if removed > room:
        with pytest.raises(ParityInfeasible) as error:
            draw_reserve(tok, level, control, seed, ids_of(tok))
        assert f"{removed - room:,} tokens are missing" in str(error.value)
        assert "Lower top_k" in str(error.value)
        return
    part = draw_reserve(tok, level, control, seed, ids_of(tok))
    assert part.dtype == np.int8
    assert not np.any((part > 0) & ((level > 0) | control | (tok == 0)))
    check_invariants(Partition(level, part), tok, control)
    for k in range(1, 5):
        drawn = int(tok[(part > 0) & (part <= k)].sum())
        wanted = int(tok[(level > 0) & (level <= k)].sum())
        assert abs(drawn - wanted) <= parity_tolerance(tok, level, control, k)


@given(world=worlds(), data=st.data())
def test_draw_does_not_depend_on_the_order_of_documents(world, data):
    tok, level, control = world
    assume(feasibility(*world).feasible)
    shuffled = np.array(data.draw(st.permutations(range(len(tok)))), np.int64)
    ids = ids_of(tok)
    part = draw_reserve(tok, level, control, 0, ids)
    other = draw_reserve(tok[shuffled], level[shuffled], control[shuffled], 0, [ids[i] for i in shuffled])
    for k in range(1, 5):  # documents of one length may stand in for each other in an exchange
        assert sorted(tok[part == k]) == sorted(tok[shuffled][other == k])


@given(tok=st.lists(st.integers(1, 50), min_size=1, max_size=30), target=st.integers(0, 400))
def test_fill_is_as_good_as_any_one_exchange(tok, target):
    tok = np.array(tok)
    chosen = _fill(tok, target)
    assert len(set(chosen.tolist())) == len(chosen)
    reached = abs(int(tok[chosen].sum()) - target) if target else 0
    n = int((np.cumsum(tok) <= target).sum())
    start, rest = int(tok[:n].sum()), tok[n:]
    options = [start, *(start + b for b in rest), *(start - a + b for a in tok[:n] for b in rest)]
    assert reached == min(abs(o - target) for o in options)


def test_parity_is_exact_in_a_large_world():
    rng = np.random.default_rng(0)
    n = 20_000
    tok = rng.lognormal(6, 1, n).astype(np.int64)
    level = rng.choice(5, n, p=[0.7, 0.01, 0.1, 0.02, 0.17]).astype(np.int8)
    control = (level == 0) & (rng.random(n) < 0.01)
    part = draw_reserve(tok, level, control, 0, ids_of(tok))
    for k in range(1, 5):
        assert tok[(part > 0) & (part <= k)].sum() == tok[(level > 0) & (level <= k)].sum()
    # Random but for one document a level: the reserve's documents are as long as the others.
    kept = (level == 0) & ~control
    assert abs(tok[part > 0].mean() / tok[kept].mean() - 1) < 0.05


def test_reserve_changes_little_when_documents_are_added():
    tok = np.full(2_000, 10)
    level = np.zeros(2_000, np.int8)
    level[:100] = 2
    none = np.zeros(2_000, bool)
    before = draw_reserve(tok, level, none, 0, ids_of(tok))
    more = draw_reserve(
        np.append(tok, 10), np.append(level, np.int8(0)), np.append(none, False), 0, ids_of(range(2_001))
    )
    assert (before != more[:-1]).sum() <= 1


def test_infeasible_message_has_every_number():
    tok = np.array([100, 100, 30, 20])
    with pytest.raises(ParityInfeasible) as error:
        draw_reserve(tok, np.array([1, 4, 0, 0], np.int8), np.array([0, 0, 0, 1], bool), 0, ids_of(tok))
    text = str(error.value)
    for number in (
        "removes 2 of 4 documents",
        "200 of 250",
        "80.0%",
        "1 control",
        "1 documents with 30",
        "170 tokens",
    ):
        assert number in text


def test_bad_arrays():
    tok, level, none = np.array([1, 2]), np.zeros(2, np.int8), np.zeros(2, bool)
    with pytest.raises(ValueError, match="must be equal"):
        feasibility(tok, level[:1], none)
    with pytest.raises(ValueError, match="negative"):
        feasibility(-tok, level, none)
    with pytest.raises(TypeError, match="integer"):
        feasibility(tok * 1.5, level, none)
    with pytest.raises(ValueError, match=r"0\.\.4"):
        feasibility(tok, level + np.int8(5), none)
    with pytest.raises(ValueError, match="1 control pages"):
        draw_reserve(tok, np.array([1, 0], np.int8), np.array([True, False]), 0, ["a", "b"])
    with pytest.raises(ValueError, match="3 doc_ids"):
        draw_reserve(tok, level, none, 0, ["a", "b", "c"])


def test_removal_bounds():
    assert removal_bounds(1000, 30, 100, 10) == {"at_least": 30, "at_most": 300, "room": 450}
    assert removal_bounds(50, 3, 0, 1000) == {"at_least": 50, "at_most": 50, "room": 25}
    assert removal_bounds(50, 0, 0, 10)["at_least"] == 0
