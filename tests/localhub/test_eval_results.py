# SPDX-License-Identifier: Apache-2.0
"""`.eval_results` of models, and the leaderboards made of them."""

from collections.abc import Callable

import yaml
from huggingface_hub import EvalResultEntry, HfApi, eval_result_entries_to_yaml


def publish(api: HfApi, repo: str, *entries: EvalResultEntry) -> None:
    api.upload_file(
        path_or_fileobj=yaml.safe_dump(eval_result_entries_to_yaml(list(entries))).encode(),
        path_in_repo=".eval_results/facts.yaml",
        repo_id=repo,
    )


def test_leaderboard(api: HfApi, stranger: HfApi, new_repo: Callable[..., str]) -> None:
    dataset, good, better, hidden = new_repo("dataset"), new_repo(), new_repo(), new_repo(private=True)
    publish(api, good, EvalResultEntry(dataset, "hi", 61.0), EvalResultEntry("other/dataset", "hi", 99.0))
    publish(api, better, EvalResultEntry(dataset, "hi", 71.5, source_url="https://x.test", notes="seed 0"))
    publish(api, hidden, EvalResultEntry(dataset, "hi", 61.0))
    board = api.get_dataset_leaderboard(dataset)
    assert [(entry.rank, entry.value) for entry in board] == [(1, 71.5), (2, 61.0), (2, 61.0)]
    assert board[0].model_id == better
    assert (board[0].notes, board[0].source["url"]) == ("seed 0", "https://x.test")
    assert board[0].filename == ".eval_results/facts.yaml"
    assert board[0].author.username == "xlt-hf"
    assert [entry.model_id for entry in stranger.get_dataset_leaderboard(dataset)] == [better, good]


def test_info_gives_the_results(api: HfApi, repo: str) -> None:
    publish(api, repo, EvalResultEntry("xlt-hf/almanac-facts", "en", 70.25, dataset_revision="abc"))
    (entry,) = api.model_info(repo, expand=["evalResults"]).eval_results
    assert (entry.dataset_id, entry.task_id, entry.value) == ("xlt-hf/almanac-facts", "en", 70.25)
    assert entry.dataset_revision == "abc"


def test_a_result_file_that_is_wrong_hides_no_other(api: HfApi, repo: str) -> None:
    publish(api, repo, EvalResultEntry("a/b", "t", 1.0))
    for name, content in {
        "bad": b"[",
        "text": b"- hello",
        "none": b"- dataset: {id: a/b}\n  value: 1",
    }.items():
        api.upload_file(path_or_fileobj=content, path_in_repo=f".eval_results/{name}.yaml", repo_id=repo)
    assert [entry.value for entry in api.model_info(repo, expand=["evalResults"]).eval_results] == [1.0]
