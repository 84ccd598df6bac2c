# SPDX-License-Identifier: Apache-2.0
"""Files of Hub datasets and of this machine: pinned, listed, and explained where they are not there."""

import socket
import time
import types

import pytest

from tests.hub_server import hub_in_thread
from tests.seeding import parquet, seed
from xlt_hf.localhub.app import Fault
from xlt_hf.sources.columns import read_rows
from xlt_hf.sources.hub_files import HubFiles, LocalFiles, SourceError, content_hash

from huggingface_hub import HfApi  # isort: skip


def table(value: str) -> bytes:
    return parquet([{"a": value}])


def test_pinned_at_the_first_look(api):
    first = seed(api, "xlt-hf/pinned", {"data/0.parquet": table("old")})
    store = HubFiles(api, "xlt-hf/pinned", "main")
    assert store.refs()[0].revision == first
    second = seed(api, "xlt-hf/pinned", {"data/0.parquet": table("new"), "data/1.parquet": table("new")})
    entries = store.matching(["data/*.parquet"])
    assert [entry.path for entry in entries] == ["data/0.parquet"]
    assert list(read_rows(store, "data/0.parquet", {"a": "a"})) == [{"a": b"old"}]
    assert second != first
    for revision in ("main", second):
        fresh = HubFiles(api, "xlt-hf/pinned", revision)
        assert fresh.ref.revision == second
        assert list(read_rows(fresh, "data/0.parquet", {"a": "a"})) == [{"a": b"new"}]


def test_patterns_match_whole_paths(api):
    seed(
        api,
        "xlt-hf/patterns",
        {f"{path}.parquet": table(path) for path in ("b/2", "b/1", "b/deep/1", "c/1", "1")},
    )
    store = HubFiles(api, "xlt-hf/patterns", "main")

    def names(*patterns):
        return [entry.path.removesuffix(".parquet") for entry in store.matching(patterns)]

    assert names("b/*.parquet") == ["b/1", "b/2"]
    assert names("*/1.parquet") == ["b/1", "c/1"]
    assert names("b/*/*.parquet") == ["b/deep/1"]
    assert names("*.parquet") == ["1"]
    assert names("c/1.parquet", "b/2.parquet") == ["c/1", "b/2"]
    assert store.matching(["1.parquet"])[0].size == len(table("1"))


def test_private_datasets_are_read_with_the_token_only(api, source_hub):
    seed(api, "xlt-hf/secret", {"a.parquet": table("mine")}, private=True)
    assert list(read_rows(HubFiles(api, "xlt-hf/secret", "main"), "a.parquet", {"a": "a"}))
    with pytest.raises(SourceError, match="no dataset xlt-hf/secret at revision main .* HF_TOKEN"):
        HubFiles(source_hub.api(False), "xlt-hf/secret", "main").refs()


def test_a_gated_dataset_says_what_to_do(api, source_hub):
    seed(api, "xlt-hf/gated", {"a.parquet": table("mine")})
    api.update_repo_settings("xlt-hf/gated", gated="auto", repo_type="dataset")
    store = HubFiles(source_hub.api(source_hub.add_user("outsider")), "xlt-hf/gated", "main")
    with pytest.raises(SourceError, match="is gated: accept its conditions"):
        list(read_rows(store, "a.parquet", {"a": "a"}))


def test_what_is_not_there_is_named(api):
    sha = seed(api, "xlt-hf/there", {"data/0.parquet": table("x")})
    with pytest.raises(SourceError, match="no dataset xlt-hf/not-there at revision main"):
        HubFiles(api, "xlt-hf/not-there", "main").refs()
    with pytest.raises(SourceError, match="no revision 'v9' of dataset xlt-hf/there .*There are main"):
        HubFiles(api, "xlt-hf/there", "v9").refs()
    with pytest.raises(SourceError, match="'not an id' cannot be a dataset's id"):
        HubFiles(api, "not an id", "main").refs()
    for pattern in ("data/*.arrow", "nowhere/*.parquet", "nowhere/deep/*/x.parquet"):
        with pytest.raises(
            SourceError, match="No file of dataset xlt-hf/there at revision .*In it there are .*data"
        ):
            HubFiles(api, "xlt-hf/there", sha).matching([pattern])
    with pytest.raises(SourceError, match=r"no file gone\.parquet of dataset xlt-hf/there"):
        list(read_rows(HubFiles(api, "xlt-hf/there", "main"), "gone.parquet", {"a": "a"}))


def test_a_hub_that_is_down_is_explained():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        nobody = HfApi(endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}", token=False)
        with pytest.raises(SourceError, match=r"cannot be reached for dataset a/b .*\(ConnectError\)"):
            HubFiles(nobody, "a/b", "main").refs()


def test_reads_survive_a_hiccup_and_explain_a_failure(tmp_path, monkeypatch):
    impatient = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", impatient)
    hiccup = Fault("GET", r"/resolve/.*0\.parquet", status=503, times=2)
    broken = Fault("GET", r"/resolve/.*1\.parquet", status=500, times=1000)
    with hub_in_thread(tmp_path / "hub", [hiccup, broken]) as hub:
        client = hub.api()
        seed(client, "xlt-hf/data", {"0.parquet": table("x"), "1.parquet": table("x")})
        store = HubFiles(client, "xlt-hf/data", "main")
        assert list(read_rows(store, "0.parquet", {"a": "a"})) == [{"a": b"x"}]
        assert hiccup.times == 0
        with pytest.raises(SourceError, match=r"answered 500 for 1\.parquet of dataset xlt-hf/data"):
            list(read_rows(store, "1.parquet", {"a": "a"}))


def test_files_of_this_machine(tmp_path):
    for name in ("b", "a", "deep/c"):
        (tmp_path / f"{name}.parquet").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.parquet").write_bytes(table(name))
    store = LocalFiles()
    assert store.refs() == []
    found = store.matching([f"{tmp_path}/*.parquet"])
    assert [entry.path for entry in found] == [f"{tmp_path}/a.parquet", f"{tmp_path}/b.parquet"]
    assert len(store.matching([f"{tmp_path}/**/*.parquet"])) == 3
    with pytest.raises(
        SourceError, match=r"No file matches .*\*\.jsonl.* there are a\.parquet, b\.parquet, deep"
    ):
        store.matching([f"{tmp_path}/*.jsonl"])
    with pytest.raises(SourceError, match="There is no folder"):
        store.matching([f"{tmp_path}/nowhere/*.jsonl"])
    with pytest.raises(SourceError, match="Cannot read .*gone.parquet: No such file"):
        list(read_rows(store, f"{tmp_path}/gone.parquet", {"a": "a"}))


def test_the_content_hash_sees_every_change(tmp_path):
    def key():
        return content_hash(LocalFiles().matching([f"{tmp_path}/*"]))

    (tmp_path / "a").write_bytes(b"xy")
    (tmp_path / "b").write_bytes(b"z")
    first = key()
    assert first == key()
    (tmp_path / "b").write_bytes(b"Z")
    assert key() != first
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"yz")  # the same bytes, cut elsewhere
    assert key() != first
