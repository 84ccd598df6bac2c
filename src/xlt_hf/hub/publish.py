# SPDX-License-Identifier: Apache-2.0
"""Publish an artefact: data first, manifest last, nothing twice, and never over something different."""

from collections.abc import Sequence
from pathlib import Path

from xlt_hf.artifacts import Artifact
from xlt_hf.errors import UserError
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.inputs import Input, find
from xlt_hf.hub.manifest import MANIFEST_NAME, Manifest

FILES_PER_COMMIT = 100


class DifferentArtifact(UserError):
    """The repository already holds an artefact that was made differently."""


class IncompletePush(UserError):
    """The Hub does not hold what was pushed."""


def already_published(
    hub: Hub, artifact: Artifact, manifest: Manifest, *, replace: bool, revision: str | None = None
) -> Input | None:
    """The published artefact if it is the one that `manifest` describes; `None` if there is nothing to keep.

    Raises:
        DifferentArtifact: something else is published there and `replace` is false.
    """
    found = find(hub, artifact, revision)
    if found is None:
        return None
    if found.manifest.fingerprint == manifest.fingerprint:
        return found
    if replace:
        return None
    raise DifferentArtifact(
        f"{artifact.repo_id} on {hub.endpoint} was made differently: {difference(found.manifest, manifest)}. "
        "Publish under another name (--namespace, or --set name=…), or add --replace to overwrite it."
    )


def difference(old: Manifest, new: Manifest, limit: int = 4) -> str:
    """The first few places where two manifests differ, for a person."""
    differences: list[str] = []

    def walk(place: str, a: object, b: object) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted(a.keys() | b.keys()):
                walk(f"{place}.{key}" if place else str(key), a.get(key), b.get(key))
        elif a != b:
            differences.append(f"{place} was {a!r}, is {b!r}")

    for name in ("stage", "study", "config", "inputs", "seed"):
        a, b = getattr(old, name), getattr(new, name)
        if name == "inputs":
            a, b = ({key: ref.revision for key, ref in refs.items()} for refs in (a, b))
        walk("" if name == "config" else name, a, b)
    more = f" and {len(differences) - limit} more" if len(differences) > limit else ""
    return "; ".join(differences[:limit]) + more if differences else "no field differs"


def publish_folder(
    hub: Hub,
    artifact: Artifact,
    folder: Path,
    manifest: Manifest,
    message: str,
    *,
    space_sdk: str | None = None,
    resend: bool = False,
) -> str:
    """Push a folder as the repository's whole content, `manifest.json` in the last commit.

    Files that are there already, by their hashes, are not sent again, so that a killed push goes on where it was;
    files that were there and are not in the folder are deleted. Up to `FILES_PER_COMMIT` files go in one commit.

    Args:
        resend: send everything, also what the Hub lists as the same: it heals files that are damaged there.

    Returns:
        The commit id that `main` points to, after its files' hashes have been compared with the folder's.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    api, repo_id, repo_type = hub.api, artifact.repo_id, artifact.repo_type
    api.create_repo(repo_id, repo_type=repo_type, private=hub.private, exist_ok=True, space_sdk=space_sdk)
    remote = _remote_hashes(hub, artifact)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    paths.remove(MANIFEST_NAME)
    last = [path for path in paths if path == "README.md"] + [MANIFEST_NAME]
    first = [
        path for path in paths if path not in last and (resend or not _same(folder / path, remote.get(path)))
    ]
    if len(first) + len(last) <= FILES_PER_COMMIT:
        batches = [first + last]
    else:
        batches = [first[i : i + FILES_PER_COMMIT] for i in range(0, len(first), FILES_PER_COMMIT)] + [last]
    stale = set(remote) - set(paths) - {MANIFEST_NAME, ".gitattributes"}
    if len(batches) > 1 and MANIFEST_NAME in remote:
        # While the data are replaced in several commits, no reader may take the mixture for complete.
        api.delete_file(MANIFEST_NAME, repo_id, repo_type=repo_type)
    sha = ""
    for number, batch in enumerate(batches, 1):
        operations: list = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=folder / path) for path in batch
        ]
        if number == len(batches):
            operations += [CommitOperationDelete(path) for path in sorted(stale)]
        part = f" ({number}/{len(batches)})" if len(batches) > 1 else ""
        sha = api.create_commit(repo_id, operations, commit_message=message + part, repo_type=repo_type).oid
    verify_pushed(hub, artifact, folder, [*paths, MANIFEST_NAME], sha)
    return sha


def _remote_hashes(hub: Hub, artifact: Artifact) -> dict[str, tuple[str, bool]]:
    """Path -> (hash, whether it is the sha256 of an LFS file) of every file on `main`."""
    from huggingface_hub.hf_api import RepoFile

    tree = hub.api.list_repo_tree(artifact.repo_id, repo_type=artifact.repo_type, recursive=True)
    return {
        entry.path: (entry.lfs.sha256, True) if entry.lfs else (entry.blob_id, False)
        for entry in tree
        if isinstance(entry, RepoFile)
    }


def _same(path: Path, remote: tuple[str, bool] | None) -> bool:
    """Whether a local file is the remote one."""
    from huggingface_hub.utils.sha import git_hash, sha_fileobj

    if remote is None:
        return False
    digest, lfs = remote
    with open(path, "rb") as file:
        return (sha_fileobj(file).hex() if lfs else git_hash(file.read())) == digest


def verify_pushed(hub: Hub, artifact: Artifact, folder: Path, paths: Sequence[str], revision: str) -> None:
    """Compare the Hub's hashes of every pushed file with the folder's.

    Raises:
        IncompletePush: a file is missing there or differs.
    """
    from huggingface_hub.hf_api import RepoFile

    wrong = []
    for start in range(0, len(paths), FILES_PER_COMMIT):
        batch = list(paths[start : start + FILES_PER_COMMIT])
        infos = hub.api.get_paths_info(
            artifact.repo_id, batch, repo_type=artifact.repo_type, revision=revision
        )
        remote = {info.path: info for info in infos if isinstance(info, RepoFile)}
        for path in batch:
            info = remote.get(path)
            if info is None:
                wrong.append(f"{path} is missing")
            elif not _same(folder / path, (info.lfs.sha256, True) if info.lfs else (info.blob_id, False)):
                wrong.append(f"{path} differs")
    if wrong:
        raise IncompletePush(
            f"{artifact.repo_id} at {revision} does not hold what was pushed: {'; '.join(wrong[:5])}. "
            "Run the same command again."
        )
