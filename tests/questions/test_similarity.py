# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import pickle
import socket
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.metrics.pairwise import linear_kernel

from xlt_hf.errors import UserError
from xlt_hf.questions import similarity
from xlt_hf.questions.similarity import WORDS, TfidfIndex, nearest

XQUAD = Path(__file__).parents[3] / "shared" / "data" / "xquad" / "xquad.en.json"


def sklearn_scores(texts, rows, words="letters_marks", sublinear_tf=False):
    """Every cosine, by sklearn."""
    options = {} if words == "sklearn" else {"tokenizer": WORDS[words], "token_pattern": None}
    vectoriser = TfidfVectorizer(sublinear_tf=sublinear_tf, **options)
    if not any(WORDS[words](t.lower()) for t in texts):
        return np.zeros((len(rows), len(texts)))
    matrix = vectoriser.fit_transform(texts)
    return linear_kernel(matrix[rows], matrix)


def check(texts, rows, top_k, ids, found, scores, all_scores):
    """`found` is the top k of `all_scores`: own page, then score, then id; -1 where nothing is shared."""
    for q, row in enumerate(rows):
        rounded = np.round(all_scores[q], 8)
        others = sorted(
            (d for d in range(len(texts)) if d != row and rounded[d] > 0), key=lambda d: (-rounded[d], ids[d])
        )
        expected = ([row, *others] + [-1] * top_k)[:top_k]
        assert found[q].tolist() == expected
        best = np.sort(all_scores[q])[::-1][:top_k]
        np.testing.assert_allclose(scores[q][: len(best)], best, atol=1e-6)
        assert not scores[q][len(best) :].any()


vocabulary = st.sampled_from(["ab", "cd", "ef", "the", "भारत", "दिल्ली", "हिंदी", "x", "Y9", "—"])
documents = st.lists(st.lists(vocabulary, max_size=12).map(" ".join), min_size=1, max_size=14)


@settings(deadline=None)
@given(
    texts=documents,
    data=st.data(),
    top_k=st.sampled_from([1, 2, 5, 100]),
    words=st.sampled_from(["letters_marks", "sklearn"]),
    sublinear_tf=st.booleans(),
    shard_docs=st.sampled_from([1, 3, 1000]),
    budget=st.sampled_from([1, 2**30]),
)
@example(["same words here"] * 10, None, 3, "letters_marks", False, 3, 2**30)
@example(["", "", "—"], None, 2, "letters_marks", False, 2, 1)
@example(["one"], None, 100, "letters_marks", True, 1, 1)
def test_equals_sklearn(texts, data, top_k, words, sublinear_tf, shard_docs, budget):
    n = len(texts)
    every = list(range(n))
    rows = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4)) if data else every
    ids = (
        data.draw(st.permutations([f"{i:02d}" for i in range(n)]))
        if data
        else [f"{i:02d}" for i in every][::-1]
    )
    index = TfidfIndex(
        iter(texts),
        ids=ids,
        words=words,
        sublinear_tf=sublinear_tf,
        shard_docs=shard_docs,
        memory_budget_bytes=budget,
    )
    found, scores = index.nearest(np.array(rows), top_k)
    index.close()
    check(texts, rows, top_k, ids, found, scores, sklearn_scores(texts, rows, words, sublinear_tf))


@pytest.fixture(scope="module")
def counts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])
        from tests.benchmarks.zipfian import count_matrix

    return count_matrix(3_000, vocabulary=20_000, seed=3)


@pytest.mark.parametrize("dense_share", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("n_jobs, shard_docs", [(1, 3_000), (2, 700)])
def test_result_does_not_depend_on_how_the_work_is_cut(monkeypatch, counts, dense_share, n_jobs, shard_docs):
    """Words by matrix product only, by postings only, or both; one shard or several; one thread or two."""
    monkeypatch.setattr(similarity, "_DENSE_SHARE", dense_share)
    monkeypatch.setattr(similarity, "_QUERY_BLOCK", 7)
    rows = np.arange(0, 3_000, 150)
    found, scores = TfidfIndex.from_counts(counts, shard_docs=shard_docs, n_jobs=n_jobs).nearest(rows, 50)
    monkeypatch.undo()
    expected = TfidfIndex.from_counts(counts).nearest(rows, 50)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


def test_equals_sklearn_on_zipfian_documents(counts):
    matrix = TfidfTransformer().fit_transform(counts)
    rows = np.arange(0, 3_000, 150)
    full = linear_kernel(matrix[rows], matrix)
    found, scores = TfidfIndex.from_counts(counts, shard_docs=700).nearest(rows, 1_000)
    best = np.argpartition(-full, 999, axis=1)[:, :1_000]
    np.testing.assert_allclose(scores, -np.sort(-np.take_along_axis(full, best, 1), axis=1), atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(full, found, 1), scores, atol=1e-6)


@pytest.mark.parametrize("sublinear_tf", [False, True])
@pytest.mark.parametrize("spread", [30, 100])
@pytest.mark.parametrize("top_k", [40, 300])
def test_scores_closer_than_single_precision(monkeypatch, top_k, spread, sublinear_tf):
    """Scores some 1e-9 apart, all from the matrix product, whose own roundings are larger than that."""
    monkeypatch.setattr(similarity, "_DENSE_SHARE", 0.0)
    rng = np.random.default_rng(5)
    counts = np.tile(rng.integers(1, 30, 64), (600, 1)) * 1_000 + rng.integers(0, spread, (600, 64))
    matrix = TfidfTransformer(sublinear_tf=sublinear_tf).fit_transform(counts)
    scores = (matrix[:1] @ matrix.T).toarray()[0]
    gaps = -np.diff(np.sort(scores)[::-1])
    assert np.median(gaps) < 1e-8
    index = TfidfIndex.from_counts(sp.csr_matrix(counts), sublinear_tf=sublinear_tf)
    found, reached = index.nearest(np.array([0]), top_k)
    np.testing.assert_allclose(reached[0], np.sort(scores)[::-1][:top_k], rtol=0, atol=1.1e-10)
    np.testing.assert_allclose(scores[found[0]], reached[0], rtol=0, atol=1.1e-10)


def test_best_documents_where_a_sample_looks_for_the_bound():
    """Every 16th document is a copy of the page: the sample promises a bound that too few documents reach."""
    texts = ["river delta mouth" if row % 16 == 0 else f"river w{row}" for row in range(800)]
    found, scores = nearest(texts, np.array([0]), 100)
    assert found[0].tolist() == [*range(0, 800, 16), *[row for row in range(100) if row % 16][:50]]
    np.testing.assert_allclose(scores[0], -np.sort(-sklearn_scores(texts, [0])[0])[:100], atol=1e-9)


def test_workers_and_files_give_the_same(tmp_path):
    texts = [f"page {i % 7} about {'राज्य ' * (i % 5)} and {i * 37 % 101}" for i in range(200)]
    events = []
    plain = nearest(texts, np.arange(20), 30)
    index = TfidfIndex(
        texts,
        n_jobs=2,
        shard_docs=60,
        memory_budget_bytes=1,
        spill_folder=tmp_path,
        progress=lambda *event: events.append(event),
    )
    assert len(list(tmp_path.glob("*/*.npy"))) == 4 * 4
    found, scores = index.nearest(np.arange(20), 30)
    index.close()
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(found, plain[0])
    np.testing.assert_array_equal(scores, plain[1])
    assert [e for e in events if e[0] == "count words"] == [
        ("count words", d, 200) for d in (60, 120, 180, 200)
    ]
    assert [e for e in events if e[0] == "search"] == [("search", i, 4) for i in (1, 2, 3, 4)]


@pytest.mark.parametrize("shard_docs", [7, 20, 1000])
def test_own_page_is_first_among_copies_and_ties_go_to_the_smaller_id(shard_docs):
    index = TfidfIndex(["word"] * 50, ids=[f"{49 - i:02d}" for i in range(50)], shard_docs=shard_docs)
    found, scores = index.nearest(np.array([10]), 3)
    assert found.tolist() == [[10, 49, 48]]  # the last shard's copies have the smallest ids
    assert scores.tolist() == [[1.0, 1.0, 1.0]]


def test_devanagari_words_stay_whole():
    texts = ["हिंदी", "हिंसा", "हिंदी भाषा"]
    assert nearest(texts, np.array([0]), 3)[0].tolist() == [[0, 2, -1]]


def test_counts_above_sixteen_bits():
    texts = ["a " * 70_000 + "b", "a b", "b"]
    _, scores = nearest(texts, np.array([0]), 3)
    np.testing.assert_allclose(scores, -np.sort(-sklearn_scores(texts, [0])), atol=1e-6)


def letters_marks_pattern():
    """Letters, marks and numbers as a class for `re`, made from the Unicode table, not by `regex`."""
    in_word = [unicodedata.category(chr(c))[0] in "LMN" for c in range(sys.maxunicode + 1)]
    edges = np.flatnonzero(np.diff(np.array([0, *in_word, 0], np.int8))).reshape(-1, 2)
    return "[" + "".join(f"\\U{a:08x}-\\U{b - 1:08x}" for a, b in edges.tolist()) + "]+"


@pytest.mark.skipif(not XQUAD.exists(), reason=f"no {XQUAD}")
@pytest.mark.parametrize("language", ["en", "hi"])
@pytest.mark.parametrize("words", ["letters_marks", "sklearn"])
def test_xquad_articles_equal_linear_kernel_and_argsort(words, language):
    """All 48 real articles against a vectoriser that shares no code with ours."""
    path = XQUAD.with_name(f"xquad.{language}.json")
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    texts = ["\n".join(p["context"] for p in article["paragraphs"]) for article in data]
    assert len(texts) == 48
    options = {} if words == "sklearn" else {"token_pattern": letters_marks_pattern()}
    counts = CountVectorizer(**options).fit_transform(texts)
    matrix = TfidfTransformer().fit_transform(counts)
    scores = linear_kernel(matrix, matrix)
    best = np.argsort(-scores, axis=1)[:, :10]
    found, reached = nearest(texts, np.arange(48), 10, words=words)
    np.testing.assert_array_equal(found, best)
    np.testing.assert_allclose(reached, np.take_along_axis(scores, best, 1), atol=1e-9)


def test_no_queries_and_bad_arguments():
    index = TfidfIndex(["a b", "c"])
    assert index.nearest(np.empty(0, int), 5)[0].shape == (0, 5)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        index.nearest(np.array([0]), 0)
    with pytest.raises(ValueError, match="from 0 to 2; D has 2 documents"):
        index.nearest(np.array([0, 2]), 1)
    with pytest.raises(ValueError, match="3 ids for 2 documents"):
        TfidfIndex(["a", "b"], ids=["x", "y", "z"])
    with pytest.raises(ValueError, match="letters_marks, sklearn"):
        TfidfIndex(["a"], words="words")
    with pytest.raises(UserError, match="expected 'local' or 'dask://host:port'"):
        TfidfIndex(["a"], executor="ray://x")


def test_dask_cluster(tmp_path):
    """Two workers count, measure and search; a shard in files goes to them by value."""
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    texts = [f"page {i % 7} and {i * 37 % 101}" for i in range(1_000)]
    rows = np.arange(0, 1_000, 3)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        client = cluster.get_client()

        def tasks_done():
            return np.array(list(client.run(lambda dask_worker: dask_worker.state.executed_count).values()))

        address = cluster.scheduler_address.removeprefix("tcp://")
        before = tasks_done()
        index = TfidfIndex(
            texts,
            executor=f"dask://{address}",
            shard_docs=100,
            memory_budget_bytes=1,
            spill_folder=tmp_path,
        )
        built = tasks_done()
        found, scores = index.nearest(rows, 20)
        searched = tasks_done()
    # joblib may put several shards in a task, and the scheduler may give a step's few tasks to one worker.
    assert sum(built - before) > 0
    assert sum(searched - built) > 0
    assert all(searched > before)
    expected = nearest(texts, rows, 20)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(scores, expected[1])

    sent = pickle.dumps(index.shards[3].open())
    docs = index.shards[3].open().docs.copy()
    index.close()
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(pickle.loads(sent).docs, docs)


def test_dask_scheduler_that_does_not_answer_or_has_no_workers(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")
    monkeypatch.setattr(similarity, "_CONNECT_SECONDS", 0.5)
    with socket.socket() as taken:  # bound but not listening, so that nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"dask://{address}.*no Dask scheduler answered within 0.5 s"):
            TfidfIndex(["a"], executor=f"dask://{address}")
    monkeypatch.undo()
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, protocol="tcp") as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")
        with pytest.raises(UserError, match=f"dask://{address}.*has no workers"):
            TfidfIndex(["a"], executor=f"dask://{address}")
    with pytest.raises(UserError, match="expected 'local' or 'dask://host:port'"):
        TfidfIndex(["a"], executor="dask://somewhere")
