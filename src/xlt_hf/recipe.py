# SPDX-License-Identifier: Apache-2.0
"""What every recipe shares: its arguments, its study, its Hub, and how it ends.

A recipe parses its arguments here before any Hugging Face library is imported, because those read `HF_ENDPOINT`
when they are imported and the embedded Hub may have to be started first.
"""

import errno
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import tyro
from filelock import FileLock

if TYPE_CHECKING:
    from huggingface_hub import HfApi

from xlt_hf.artifacts import Artifact, ArtifactMap
from xlt_hf.errors import UserError
from xlt_hf.hub.connect import Hub, connect
from xlt_hf.hub.inputs import Input, MissingInput, find, resolve
from xlt_hf.hub.manifest import InputRef, Manifest, new_manifest
from xlt_hf.progress import ProgressBars
from xlt_hf.sources import Collected, Documents
from xlt_hf.sources.schema import DatasetRef
from xlt_hf.study import Study, as_dict, check_filter, load_study

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class RecipeArguments:
    """Flags of every recipe. The command line wins over the study's YAML, and that over the defaults."""

    study: str = "almanac"
    """A shipped study's name, or the path of a YAML file of the same form."""
    seed: int = 0
    """Seed of the training runs; the data keep the study's own seed."""
    dry_run: bool = False
    """Print the resolved study, inputs, counts and outputs, and write nothing."""
    namespace: str | None = None
    """Owner of the repositories (default: xlt-hf on the local Hub)."""
    public: bool = False
    """Publish public repositories; without it they are private, or as the study says on the local Hub."""
    max_samples: int | None = None
    """Use at most this many samples of what the recipe reads (documents, rows or questions): for a quick try."""
    replace: bool = False
    """Overwrite a published artefact that was made differently."""
    set: tuple[str, ...] = ()
    """Overrides of single study values, e.g. --set pretraining.epochs=2 name=almanac-try."""

    def check(self, study: Study) -> None:
        """Refuse what cannot be meant, before a Hub is started.

        Raises:
            UserError: with what is allowed.
        """
        if self.seed < 0:
            raise UserError(f"--seed is {self.seed}; it must be 0 or more.")
        if self.max_samples is not None and self.max_samples < 1:
            raise UserError(f"--max_samples is {self.max_samples}; it must be 1 or more.")
        if self.namespace is not None and not _NAMESPACE.fullmatch(self.namespace):
            raise UserError(
                f"--namespace '{self.namespace}' cannot own repositories: use letters, digits, '-', '_' and '.', "
                "and no slash."
            )
        if (level := getattr(self, "filter", None)) is not None:
            check_filter(level)
        study.size(getattr(self, "size", None))
        study.task(getattr(self, "task", None))

    def shared(self) -> tuple[str, ...]:
        """Flags that make another recipe work on the same study, namespace and overrides; `--set` is last."""
        default = RecipeArguments()
        flags: list[str] = []
        if self.study != default.study:
            flags += ["--study", self.study]
        if self.namespace is not None:
            flags += ["--namespace", self.namespace]
        if self.public:
            flags += ["--public"]
        if self.set:
            flags += ["--set", *self.set]
        return tuple(flags)


@dataclass(frozen=True)
class DataArguments(RecipeArguments):
    """Flags of the recipes that read the documents D."""

    output_dir: Path = Path("outputs")
    """Folder for what was read, counted and written so far; a killed build goes on from what it finds there."""


Arguments = TypeVar("Arguments", bound=RecipeArguments)


@dataclass(frozen=True)
class Recipe(Generic[Arguments]):
    """A recipe that has started: its arguments, study and Hub."""

    arguments: Arguments
    study: Study
    hub: Hub
    map: ArtifactMap

    @property
    def is_main(self) -> bool:
        """Whether this process is the first of all ranks: the one that publishes and prints."""
        return int(os.environ.get("RANK", "0")) == 0

    def require(self, artifact: Artifact, revision: str | None = None) -> Input:
        """An input at a resolved commit. On the embedded Hub it is made if it is missing.

        Raises:
            MissingInput: elsewhere, with the commands that publish what is missing, in order.
        """
        try:
            return resolve(self.hub, artifact, revision)
        except MissingInput as error:
            if not self.hub.is_local or self.hub.root is None or revision is not None:
                raise MissingInput(f"{error}{self._chain(artifact)}", artifact) from None
        # One rank, or one of two recipes started together, makes it; the others find it made. A lock per
        # artefact: the recipe that makes one takes the locks of its own inputs.
        with FileLock(self.hub.root / f"make-{artifact.key.replace('/', '-')}.lock"):
            if find(self.hub, artifact) is None:
                self._make(artifact)
        return resolve(self.hub, artifact)

    def client(self) -> "HfApi":
        """The Hub's client.

        Raises:
            UserError: there is no Hub (a dry run, and the embedded one is not running).
        """
        if not self.hub.endpoint:
            raise UserError(
                "The embedded Hub is not running, and --dry_run does not start it: run `xlt-hub serve`, or set "
                "HF_ENDPOINT to the Hub that has the study's sources."
            )
        return self.hub.api

    @property
    def scratch(self) -> Path:
        """Folder for what data recipes put down on their way."""
        assert isinstance(self.arguments, DataArguments)
        return self.arguments.output_dir / "scratch"

    def collect(self, documents: Documents) -> Collected:
        """Read the documents, or open what an earlier run has read."""
        arguments = self.arguments
        assert isinstance(arguments, DataArguments)
        with ProgressBars() as progress:
            return documents.collect(arguments.output_dir / "documents", arguments.max_samples, progress)

    def manifest(
        self,
        stage: str,
        config: dict[str, Any],
        inputs: dict[str, Input],
        seed: int | None = None,
        sources: Sequence[DatasetRef] = (),
    ) -> Manifest:
        """The manifest of this run of a stage.

        Args:
            sources: datasets of others that are read, at their resolved commits.
        """
        if self.arguments.max_samples is not None:
            config = {**config, "max_samples": self.arguments.max_samples}
        refs: dict[str, InputRef] = {name: found.ref for name, found in inputs.items()}
        refs |= {f"source: {s.repo_id}": InputRef(s.repo_id, "dataset", s.revision) for s in sources}
        return new_manifest(stage, self.study.name, config, refs, self.study.seed if seed is None else seed)

    def finish_dry_run(self, outputs: list[Artifact], counts: dict[str, Any], inputs: list[Artifact]) -> None:
        """Print what would be done, as JSON."""
        plan = {
            "study": as_dict(self.study),
            "hub": self.hub.endpoint,
            "inputs": {a.key: self._commit(a) for a in inputs},
            "counts": counts,
            "outputs": {a.key: f"{a.repo_type} {a.repo_id}" for a in outputs},
        }
        json.dump(plan, sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")

    def find(self, artifact: Artifact) -> Input | None:
        """An input if it is there, for `--dry_run`."""
        return find(self.hub, artifact) if self.hub.endpoint else None

    def _commit(self, artifact: Artifact) -> str:
        found = self.find(artifact)
        return found.ref.revision if found else f"not published yet: {artifact.launcher}"

    def _by_key(self) -> dict[str, Artifact]:
        return {a.key: a for a in self.map.all(seeds=tuple({0, self.arguments.seed}))}

    def _chain(self, artifact: Artifact) -> str:
        """Commands for everything that is missing upstream of an artefact, in order."""
        known = self._by_key()
        commands: list[str] = []

        def visit(a: Artifact) -> None:
            for key in a.inputs:
                if key in known and find(self.hub, known[key]) is None:
                    visit(known[key])
            if a.launcher not in commands:
                commands.append(a.launcher)

        visit(artifact)
        return (
            "\nIn all, in this order:\n" + "\n".join(f"  {c}" for c in commands) if len(commands) > 1 else ""
        )

    def _make(self, artifact: Artifact) -> None:
        script, *flags = shlex.split(artifact.recipe)
        trained = artifact.launcher.startswith("accelerate")
        launcher = (
            # --quiet: the recipe's own message is the message; the launcher would add a traceback.
            [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--num_processes", "1"]
            if trained
            else [sys.executable]
        )
        command = [*launcher, str(ROOT / script), *flags]
        logger.warning("%s is not published yet: making it with %s", artifact.repo_id, artifact.launcher)
        environment = {key: value for key, value in os.environ.items() if key not in _RANK_VARIABLES}
        environment.pop("HF_ENDPOINT", None)
        done = subprocess.run(command, env=environment, check=False)
        if done.returncode:
            # It has said what is wrong; a second message would bury it.
            sys.exit(done.returncode)


def start(arguments_type: type[Arguments], description: str | None) -> Recipe[Arguments]:
    """Parse the command line, load the study, connect to the Hub.

    Args:
        arguments_type: the recipe's dataclass.
        description: the recipe's docstring, shown by ``--help``.
    """
    arguments = tyro.cli(arguments_type, description=description, use_underscores=True)
    _quiet()
    study = load_study(arguments.study, arguments.set)
    arguments.check(study)
    hub = connect(study, namespace=arguments.namespace, public=arguments.public, start=not arguments.dry_run)
    return Recipe(arguments, study, hub, hub.map(study, arguments.shared()))


def run(main: Callable[[], None]) -> None:
    """Run a recipe's `main`: an error of the user's is shown in one message, without a traceback."""
    try:
        main()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. What is finished is kept; run the same command again to go on.\n")
        sys.exit(130)
    except Exception as error:
        message = _explained(error)
        if message is None:
            raise
        sys.stderr.write(f"error: {message}\n")
        sys.exit(1)


def _explained(error: Exception) -> str | None:
    """What an error of the disk, the network or the Hub means; None for anything else, which is a bug."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full{_place(error)}. Nothing is published that is not complete: free some space and run the "
            "same command again. XLT_HUB_ROOT (the embedded Hub), HF_HOME (caches) and --output_dir can lie elsewhere."
        )
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"Cannot write{_place(error)} ({error.strerror}): set XLT_HUB_ROOT (the embedded Hub), HF_HOME (caches) or "
            "--output_dir to a folder that can be written, and run the same command again."
        )
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "no status"
        said = error.server_message or str(error).splitlines()[0]
        who = " Does the token have write access to this namespace?" if status in (401, 403) else ""
        return f"The Hub refused ({status}): {said}.{who} Nothing is half-published; run the same command again.".replace(
            "..", "."
        )
    if isinstance(error, httpx.HTTPError):
        return (
            f"The Hub stopped answering ({type(error).__name__}). What is finished is kept: run the same command again "
            "when it answers; `xlt-hub status` tells for the embedded one."
        )
    return None


def _place(error: OSError) -> str:
    return f" at {error.filename}" if error.filename else ""


def _quiet() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "filelock", "urllib3", "fsspec", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
