# SPDX-License-Identifier: Apache-2.0
"""`manifest.json`: what an artefact was made from, written last, so that its presence means "complete".

Two manifests with the same `fingerprint` describe the same artefact: same stage, configuration, inputs at the
same commits, seed and package version. A rerun compares fingerprints and publishes nothing new.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xlt_hf
from xlt_hf.errors import UserError

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
_LIBRARIES = (
    "accelerate",
    "babel",
    "datasets",
    "huggingface_hub",
    "numpy",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
)


class ManifestError(UserError):
    """A manifest is not readable, or not of a form that this version knows."""


@dataclass(frozen=True)
class InputRef:
    """An artefact that was read, at the commit that was read."""

    repo_id: str
    repo_type: str
    revision: str
    """Resolved commit id, never a branch name."""


@dataclass(frozen=True)
class Manifest:
    """Everything that decides an artefact, and what came out."""

    stage: str
    study: str
    config: dict[str, Any]
    inputs: dict[str, InputRef]
    seed: int
    counts: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    code_version: str = ""
    schema_version: int = SCHEMA_VERSION

    @property
    def fingerprint(self) -> str:
        """sha256 over what decides the artefact's bytes; counts and library versions are outcomes, not causes."""
        causes = {
            "stage": self.stage,
            "study": self.study,
            "config": self.config,
            "inputs": {key: dataclasses.asdict(ref) for key, ref in self.inputs.items()},
            "seed": self.seed,
            "schema_version": self.schema_version,
        }
        return hashlib.sha256(json.dumps(causes, sort_keys=True).encode()).hexdigest()

    def with_counts(self, **counts: Any) -> "Manifest":
        """The same manifest with more outcomes."""
        return dataclasses.replace(self, counts={**self.counts, **counts})

    def to_json(self) -> str:
        """Stable, readable JSON."""
        data = {**dataclasses.asdict(self), "fingerprint": self.fingerprint}
        return json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Manifest":
        """Read a manifest; `where` names it in errors."""
        try:
            data = json.loads(text)
            data.pop("fingerprint", None)
            data["inputs"] = {key: InputRef(**ref) for key, ref in data["inputs"].items()}
            manifest = cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ManifestError(f"{where} is not a manifest of xlt_hf: {error}.") from error
        if manifest.schema_version != SCHEMA_VERSION:
            raise ManifestError(
                f"{where} has manifest version {manifest.schema_version}, this xlt_hf reads {SCHEMA_VERSION}: "
                "use the xlt_hf version that wrote it, or publish it again."
            )
        return manifest


def new_manifest(
    stage: str, study: str, config: dict[str, Any], inputs: dict[str, InputRef], seed: int
) -> Manifest:
    """A manifest of a stage that is about to run here, with the versions found here."""
    return Manifest(
        stage=stage,
        study=study,
        config={**config, "xlt_hf": xlt_hf.__version__},
        inputs=inputs,
        seed=seed,
        versions=library_versions(),
        code_version=code_version(),
    )


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that can change a result."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def code_version() -> str:
    """Package version, with the git commit (and `.dirty`) where the code runs from a checkout."""
    version = xlt_hf.__version__
    root = Path(xlt_hf.__file__).parents[2]
    if not (root / ".git").exists():
        return version
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=.dirty", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+g{described}"
