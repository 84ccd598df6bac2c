# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.hub.conftest import manifest
from xlt_hf.hub import publish
from xlt_hf.hub.inputs import MissingInput, find, resolve
from xlt_hf.hub.publish import (
    DifferentArtifact,
    IncompletePush,
    already_published,
    publish_folder,
    verify_pushed,
)


@pytest.fixture
def folder(tmp_path):
    """A small artefact: a card, a text file and a binary file that goes by LFS."""
    path = tmp_path / "artefact"
    (path / "data").mkdir(parents=True)
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# x\n")
    (path / "data" / "a.txt").write_text("नमस्ते\n", encoding="utf-8")
    (path / "data" / "b.parquet").write_bytes(bytes(range(256)) * 50)
    return path


def test_what_is_published_is_found_complete_and_not_published_twice(hub, dataset, folder):
    made = manifest(x=1)
    assert find(hub, dataset) is None
    sha = publish_folder(hub, dataset, folder, made, "first")
    found = resolve(hub, dataset)
    assert found.ref.revision == sha
    assert found.manifest == made
    assert already_published(hub, dataset, made, replace=False).ref.revision == sha
    commits = hub.api.list_repo_commits(dataset.repo_id, repo_type="dataset")
    publish_folder(hub, dataset, folder, made, "again")
    again = hub.api.list_repo_commits(dataset.repo_id, repo_type="dataset")
    assert len(again) == len(commits), "the same bytes make no new commit"


def test_a_different_artefact_is_not_overwritten_unless_asked(hub, dataset, folder):
    publish_folder(hub, dataset, folder, manifest(x=1), "first")
    with pytest.raises(DifferentArtifact, match=r"x was 1, is 2.*--replace"):
        already_published(hub, dataset, manifest(x=2), replace=False)
    assert already_published(hub, dataset, manifest(x=2), replace=True) is None
    (folder / "data" / "a.txt").unlink()
    publish_folder(hub, dataset, folder, manifest(x=2), "second")
    files = hub.api.list_repo_files(dataset.repo_id, repo_type="dataset")
    assert "data/a.txt" not in files, "files of the old artefact are gone"
    assert "data/b.parquet" in files


def test_an_input_without_a_manifest_is_refused_with_the_command(hub, dataset):
    with pytest.raises(MissingInput, match=r"no dataset xlt-hf/data.*python recipes/build_corpora\.py"):
        resolve(hub, dataset)
    hub.api.create_repo(dataset.repo_id, repo_type="dataset")
    with pytest.raises(MissingInput, match=r"has no manifest\.json: its publishing did not finish"):
        resolve(hub, dataset)
    with pytest.raises(MissingInput, match="no revision 'step-000000007'"):
        resolve(hub, dataset, "step-000000007")


def test_many_files_go_in_several_commits_with_the_manifest_in_the_last(hub, dataset, folder, monkeypatch):
    monkeypatch.setattr(publish, "FILES_PER_COMMIT", 4)
    for number in range(9):
        (folder / "data" / f"part-{number}.txt").write_text(str(number))
    publish_folder(hub, dataset, folder, manifest(x=1), "many")
    commits = [c.title for c in hub.api.list_repo_commits(dataset.repo_id, repo_type="dataset")]
    assert commits[:4] == ["many (4/4)", "many (3/4)", "many (2/4)", "many (1/4)"]
    second = hub.api.list_repo_commits(dataset.repo_id, repo_type="dataset")[1].commit_id
    with pytest.raises(MissingInput, match="did not finish"):
        resolve(hub, dataset, second)
    resolve(hub, dataset)


def test_replacing_in_several_commits_never_shows_a_mixture_as_complete(hub, dataset, folder, monkeypatch):
    publish_folder(hub, dataset, folder, manifest(x=1), "one")
    monkeypatch.setattr(publish, "FILES_PER_COMMIT", 2)
    (folder / "data" / "a.txt").write_text("new")
    publish_folder(hub, dataset, folder, manifest(x=2), "two")
    for commit in hub.api.list_repo_commits(dataset.repo_id, repo_type="dataset"):
        found = find(hub, dataset, commit.commit_id)
        if found is not None:
            path = hub.api.hf_hub_download(
                dataset.repo_id, "data/a.txt", repo_type="dataset", revision=commit.commit_id
            )
            expected = "new" if found.manifest.config["x"] == 2 else "नमस्ते\n"
            assert open(path, encoding="utf-8").read() == expected


def test_bytes_that_differ_or_are_missing_on_the_hub_are_noticed(hub, dataset, folder):
    sha = publish_folder(hub, dataset, folder, manifest(x=1), "first")
    verify_pushed(hub, dataset, folder, ["data/a.txt", "data/b.parquet"], sha)
    (folder / "data" / "a.txt").write_text("other")
    (folder / "data" / "b.parquet").write_bytes(b"other")
    (folder / "c.txt").write_text("never pushed")
    with pytest.raises(IncompletePush, match=r"a\.txt differs; data/b\.parquet differs; c\.txt is missing"):
        verify_pushed(hub, dataset, folder, ["data/a.txt", "data/b.parquet", "c.txt"], sha)
