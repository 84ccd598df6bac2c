# SPDX-License-Identifier: Apache-2.0
import json
from collections import Counter

import pytest

from xlt_hf.sources.collect import REASONS, TooManyRejected, check_row, collect
from xlt_hf.sources.schema import SourceSize


def row(i, **changes):
    good = {
        "doc_id": f"d{i}",
        "title": f"Page {i}",
        "url": f"urn:{i}",
        "target_title": None,
        "source_text": f"text {i}".encode(),
        "target_text": f"पाठ {i}",
    }
    return {**good, **changes}


BAD = [
    ("wrong_type", {"target_text": ["a", "list"]}),
    ("wrong_type", {"title": 3}),
    ("wrong_type", {"doc_id": True}),
    ("not_utf8", {"target_text": b"\xff\xfe"}),
    ("not_utf8", {"source_text": "\ud800"}),
    ("no_id", {"doc_id": None}),
    ("no_title", {"title": "  "}),
    ("empty_source_text", {"source_text": b""}),
    ("empty_target_text", {"target_text": None}),
    ("empty_target_text", {"target_text": " \n"}),
    ("too_long", {"target_text": "आ" * 400}),
    ("duplicate_id", {"doc_id": "d0"}),
    ("duplicate_title", {"title": "Page 0"}),
]


class Rows:
    """A source of given rows, in pieces."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.reads: Counter = Counter()
        self.fail_in = None

    def refs(self):
        return []

    def content_key(self):
        return ""

    def shards(self):
        return [f"piece-{i}" for i in range(len(self.pieces))]

    def size(self):
        return SourceSize(sum(map(len, self.pieces)), None)

    def read(self, shard):
        self.reads[shard] += 1
        for number, values in enumerate(self.pieces[int(shard.removeprefix("piece-"))]):
            if self.fail_in == (shard, number):
                raise ConnectionError("gone")
            yield values


def run(source, folder, **settings):
    defaults = {"max_rejected": 0.9, "max_document_bytes": 1000}
    return collect(source, ("en", "hi"), folder, **{**defaults, **settings})


@pytest.mark.parametrize(("reason", "changes"), BAD)
def test_a_bad_row_is_counted_by_reason_and_kept_aside(tmp_path, reason, changes):
    collected = run(Rows([row(0), row(1, **changes), row(2)]), tmp_path)
    assert collected.table.doc_ids.to_pylist() == ["d0", "d2"]
    assert collected.rejected == {reason: 1}
    (line,) = (tmp_path / "00000.rejected.jsonl").read_text().splitlines()
    assert (json.loads(line)["row"], json.loads(line)["reason"]) == (1, reason)
    assert collected.counts() == {"documents_read": 3, "rejected": {reason: 1}}


def test_every_reason_has_a_row_here():
    assert {reason for reason, _ in BAD} == set(REASONS)


def test_a_whole_number_is_an_id():
    assert check_row(row(0, doc_id=17), 100)[0]["doc_id"] == "17"


def test_duplicates_are_found_across_pieces_and_after_a_restart(tmp_path):
    pieces = ([row(0), row(1)], [row(2), row(1)], [row(0, doc_id="new")])
    collected = run(Rows(*pieces), tmp_path)
    assert collected.rejected == {"duplicate_id": 1, "duplicate_title": 1}
    assert collected.table.doc_ids.to_pylist() == ["d0", "d1", "d2"]
    (tmp_path / "00002.json").unlink()
    again = run(Rows(*pieces), tmp_path)
    assert again.rejected == collected.rejected


def test_a_run_that_broke_off_goes_on_where_it_was_and_ends_the_same(tmp_path):
    pieces = [[row(10 * p + i) for i in range(5)] for p in range(3)]
    whole = run(Rows(*pieces), tmp_path / "whole")
    broken = Rows(*pieces)
    broken.fail_in = ("piece-1", 3)
    with pytest.raises(ConnectionError):
        run(broken, tmp_path / "broken")
    broken.fail_in = None
    resumed = run(broken, tmp_path / "broken")
    assert broken.reads == {"piece-0": 1, "piece-1": 2, "piece-2": 1}
    assert list(resumed.table) == list(whole.table)
    for path in (tmp_path / "whole").glob("*.arrow"):
        assert path.read_bytes() == (tmp_path / "broken" / path.name).read_bytes()
    untouched = Rows(*pieces)
    run(untouched, tmp_path / "broken")
    assert not untouched.reads, "what is collected is not read again"


def test_more_bad_rows_than_allowed_stop_the_build_with_the_numbers(tmp_path):
    source = Rows([row(0), row(1, target_text=""), row(2, title=None), row(3)])
    with pytest.raises(
        TooManyRejected, match=r"2 of 4 rows .*1 no_title, 1 empty_target_text.*max_rejected = 40"
    ):
        run(source, tmp_path, max_rejected=0.4)
    assert run(source, tmp_path, max_rejected=0.5).rejected


def test_max_samples_stops_reading(tmp_path):
    source = Rows([row(i) for i in range(4)], [row(i) for i in range(4, 8)], [row(9)])
    assert len(run(source, tmp_path, max_samples=6).table) == 6
    assert "piece-2" not in source.reads
