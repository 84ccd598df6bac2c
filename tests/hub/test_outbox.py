# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from xlt_hf.hub.outbox import Outbox, OutboxError, Push, receipts_lost
from xlt_hf.localhub.app import Fault


def fill_with(text: str):
    def fill(folder):
        (folder / "model.safetensors").write_bytes(text.encode() * 1000)
        (folder / "config.json").write_text(text)

    return fill


def read(hub, repo, branch, name="config.json"):
    path = hub.api.hf_hub_download(repo.repo_id, name, revision=branch)
    return open(path, encoding="utf-8").read()


def test_each_checkpoint_becomes_its_branch_and_the_last_one_main(hub, model_repo, tmp_path):
    outbox = Outbox(hub, model_repo, tmp_path / "outbox")
    outbox.add(Push(("step-1",), "one"), fill_with("one"))
    outbox.add(Push(("step-2", "main"), "two"), fill_with("two"))
    pushed = outbox.close()
    assert list(pushed) == ["step-1", "step-2", "main"]
    assert read(hub, model_repo, "step-1") == "one"
    assert read(hub, model_repo, "step-2") == read(hub, model_repo, "main") == "two"
    assert not outbox.waiting()
    branches = {b.name: b.target_commit for b in hub.api.list_repo_refs(model_repo.repo_id).branches}
    assert branches == pushed


def test_training_does_not_wait_for_a_slow_hub(connect_to, model_repo, tmp_path):
    hub = connect_to([Fault("POST", "/api/repos/create", 503, delay_s=1.5, times=1)])
    outbox = Outbox(hub, model_repo, tmp_path / "outbox", backoff_s=0.01)
    began = time.monotonic()
    outbox.add(Push(("main",), "one"), fill_with("one"))
    assert time.monotonic() - began < 1.0
    assert outbox.close().keys() == {"main"}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("path", ["/api/repos/create", "/branch/", "/preupload/", "/commit/", "/paths-info/"])
def test_a_push_that_fails_once_is_tried_again_and_verified(connect_to, model_repo, tmp_path, path, late):
    hub = connect_to([Fault("POST", path, 500, times=1, late=late)])
    outbox = Outbox(hub, model_repo, tmp_path / "outbox", backoff_s=0.01)
    outbox.add(Push(("step-1", "main"), "one"), fill_with("one"))
    assert outbox.close().keys() == {"step-1", "main"}
    assert read(hub, model_repo, "main") == read(hub, model_repo, "step-1") == "one"


def test_what_cannot_be_pushed_is_kept_and_said_and_the_next_run_pushes_it(connect_to, model_repo, tmp_path):
    hub = connect_to([Fault("POST", "/commit/", 500, times=10**6)])
    outbox = Outbox(hub, model_repo, tmp_path / "outbox", attempts=2, backoff_s=0.01)
    outbox.add(Push(("step-1",), "one"), fill_with("one"))
    outbox.add(Push(("step-2", "main"), "two"), fill_with("two"))
    with pytest.raises(
        OutboxError, match=r"2 push\(es\) to xlt-hf/model .* failed .*Nothing is lost"
    ) as raised:
        outbox.close()
    assert hub.token not in str(raised.value)
    assert len(outbox.waiting()) == 2
    healthy = connect_to()
    again = Outbox(healthy, model_repo, tmp_path / "outbox")
    assert list(again.close()) == ["step-1", "step-2", "main"]
    assert read(healthy, model_repo, "step-1") == "one"


def test_a_refused_token_is_not_tried_again_and_again(hub, model_repo, tmp_path):
    from dataclasses import replace

    outbox = Outbox(
        replace(hub, token="hf_wrong"), model_repo, tmp_path / "outbox", attempts=50, backoff_s=30
    )
    began = time.monotonic()
    outbox.add(Push(("main",), "one"), fill_with("one"))
    with pytest.raises(OutboxError) as raised:
        outbox.close()
    assert time.monotonic() - began < 10
    assert "hf_wrong" not in str(raised.value)


def test_half_written_entries_of_a_killed_run_are_not_pushed(hub, model_repo, tmp_path):
    def dies(folder):
        (folder / "config.json").write_text("half")
        raise RuntimeError("killed")

    outbox = Outbox(hub, model_repo, tmp_path / "outbox")
    with pytest.raises(RuntimeError):
        outbox.add(Push(("main",), "one"), dies)
    assert not outbox.waiting()
    assert Outbox(hub, model_repo, tmp_path / "outbox").close() == {}
    assert not list((tmp_path / "outbox").glob("*.writing"))
    assert not hub.api.repo_exists(model_repo.repo_id)


def test_what_was_pushed_or_waits_is_known_without_asking_the_hub(hub, model_repo, tmp_path):
    outbox = Outbox(hub, model_repo, tmp_path / "outbox")
    assert not outbox.knows("step-1")
    outbox.add(Push(("step-1",), "one"), fill_with("one"))
    assert outbox.knows("step-1")
    outbox.close()
    assert Outbox(hub, model_repo, tmp_path / "outbox").knows("step-1")


def test_receipts_of_what_the_hub_no_longer_has_are_lost(hub, model_repo, tmp_path):
    folder = tmp_path / "box"
    assert not receipts_lost(hub, model_repo, folder), "nothing was pushed yet"
    outbox = Outbox(hub, model_repo, folder)
    outbox.add(Push(("step-000000001", "main"), "m"), lambda f: (f / "a.txt").write_text("x"))
    outbox.close()
    assert not receipts_lost(hub, model_repo, folder)
    hub.api.delete_branch(model_repo.repo_id, branch="step-000000001")
    assert receipts_lost(hub, model_repo, folder)
    hub.api.delete_repo(model_repo.repo_id)
    assert receipts_lost(hub, model_repo, folder)
