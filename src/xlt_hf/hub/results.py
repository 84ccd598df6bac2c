# SPDX-License-Identifier: Apache-2.0
"""The results dataset: every evaluation adds its files; writers that meet retry on the new head."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, DatasetCard
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from xlt_hf.artifacts import Artifact
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.inputs import MissingInput, resolve
from xlt_hf.hub.manifest import MANIFEST_NAME, Manifest, ManifestError, new_manifest
from xlt_hf.hub.publish import verify_pushed

EVALUATION_COMMIT = "Evaluation card"


def published_run(hub: Hub, results: Artifact, run_name: str) -> str | None:
    """Fingerprint of a published evaluation, if there is one under this name."""
    try:
        # At a commit: for a branch the client would answer from its cache when the Hub is slow.
        head = hub.api.repo_info(results.repo_id, repo_type=results.repo_type).sha
        return _run(hub, results, run_name, head).fingerprint
    except (RepositoryNotFoundError, EntryNotFoundError):
        return None


def push_run(
    hub: Hub, results: Artifact, run_name: str, folder: Path, manifest: Manifest, card: DatasetCard
) -> str:
    """Add one evaluation's files, its manifest and the dataset's own, in one commit.

    Returns:
        The commit id, its files verified.
    """
    hub.api.create_repo(results.repo_id, repo_type=results.repo_type, private=hub.private, exist_ok=True)
    run_file = folder / "runs" / f"{run_name}.json"
    run_file.parent.mkdir(parents=True)
    run_file.write_text(manifest.to_json(), encoding="utf-8")
    card.save(folder / "README.md")
    sha = _commit(hub, results, run_name, folder, manifest)
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    verify_pushed(hub, results, folder, paths, sha)
    return sha


def weights_commit(hub: Hub, artifact: Artifact, revision: str) -> str:
    """The newest commit at or before `revision` that is not an eval card."""
    for commit in hub.api.list_repo_commits(artifact.repo_id, revision=revision):
        if commit.title != EVALUATION_COMMIT:
            return commit.commit_id
    raise AssertionError(f"{artifact.repo_id} at {revision} has no commit but eval cards")


def _is_conflict(error: BaseException) -> bool:
    return (
        isinstance(error, HfHubHTTPError)
        and error.response is not None
        and error.response.status_code in (409, 412)
    )


@retry(
    retry=retry_if_exception(_is_conflict),
    stop=stop_after_attempt(8),
    wait=wait_random_exponential(multiplier=0.2, max=10),
    reraise=True,
)
def _commit(hub: Hub, results: Artifact, run_name: str, folder: Path, manifest: Manifest) -> str:
    """Commit on top of the head that the list of runs was read from; another writer's commit makes it a 412."""
    head = hub.api.repo_info(results.repo_id, repo_type=results.repo_type).sha
    assert head is not None
    runs = {**_runs(hub, results, head), run_name: manifest.fingerprint}
    whole = new_manifest(manifest.stage, manifest.study, {"runs": runs}, {}, manifest.seed)
    (folder / MANIFEST_NAME).write_text(whole.to_json(), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    operations = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
    return hub.api.create_commit(
        results.repo_id,
        operations,
        commit_message=f"Results of {run_name}",
        repo_type=results.repo_type,
        parent_commit=head,
    ).oid


def _runs(hub: Hub, results: Artifact, head: str) -> dict[str, str]:
    """Name `{model}/{branch}` -> fingerprint of every evaluation at a commit.

    Where the dataset's manifest cannot be read, it is made again from those of the evaluations.
    """
    try:
        return resolve(hub, results, head).manifest.config["runs"]
    except MissingInput:
        return {}
    except ManifestError:
        files = hub.api.list_repo_files(results.repo_id, repo_type=results.repo_type, revision=head)
        names = [file[len("runs/") : -len(".json")] for file in files if file.startswith("runs/")]
        return {name: _run(hub, results, name, head).fingerprint for name in names}


def _run(hub: Hub, results: Artifact, run_name: str, revision: str | None) -> Manifest:
    path = hub.api.hf_hub_download(
        results.repo_id, f"runs/{run_name}.json", repo_type=results.repo_type, revision=revision
    )
    return Manifest.from_json(Path(path).read_text(encoding="utf-8"), path)
