# SPDX-License-Identifier: Apache-2.0
"""Read another stage's artefact: resolved to a commit, and only if its manifest says that it is complete."""

from dataclasses import dataclass

from xlt_hf.artifacts import Artifact
from xlt_hf.errors import UserError
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.manifest import MANIFEST_NAME, InputRef, Manifest


class MissingInput(UserError):
    """An artefact that a stage reads is not published, or not complete."""

    def __init__(self, message: str, artifact: Artifact) -> None:
        super().__init__(message)
        self.artifact = artifact


@dataclass(frozen=True)
class Input:
    """A published artefact at one commit."""

    artifact: Artifact
    ref: InputRef
    manifest: Manifest


def resolve(hub: Hub, artifact: Artifact, revision: str | None = None) -> Input:
    """The commit that a branch (default `main`) points to, with its manifest.

    Raises:
        MissingInput: no such repository or branch, or no manifest in it; the message names the command.
    """
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    where = f"{artifact.repo_id} on {hub.endpoint}"
    remedy = f"Publish it with:  {artifact.launcher}"
    try:
        sha = hub.api.repo_info(artifact.repo_id, repo_type=artifact.repo_type, revision=revision).sha
        assert sha is not None
        path = hub.api.hf_hub_download(
            artifact.repo_id, MANIFEST_NAME, repo_type=artifact.repo_type, revision=sha
        )
    except RevisionNotFoundError:
        raise MissingInput(f"There is no revision '{revision}' of {where}. {remedy}", artifact) from None
    except RepositoryNotFoundError:
        raise MissingInput(f"There is no {artifact.repo_type} {where}. {remedy}", artifact) from None
    except EntryNotFoundError:
        raise MissingInput(
            f"{where} has no {MANIFEST_NAME}: its publishing did not finish. {remedy}", artifact
        ) from None
    with open(path, encoding="utf-8") as file:
        manifest = Manifest.from_json(file.read(), f"{MANIFEST_NAME} of {where}")
    return Input(artifact, InputRef(artifact.repo_id, artifact.repo_type, sha), manifest)


def find(hub: Hub, artifact: Artifact, revision: str | None = None) -> Input | None:
    """Like `resolve`, with `None` for an artefact that is not there or not complete."""
    try:
        return resolve(hub, artifact, revision)
    except MissingInput:
        return None
