# SPDX-License-Identifier: Apache-2.0
"""Connect a recipe to its Hub, before any Hugging Face library is imported.

huggingface_hub reads `HF_ENDPOINT` once, when it is imported, so this module must run first and imports none of
them at the top. A study with `hub: local`, started without `HF_ENDPOINT`, gets the embedded Hub, started once.
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from xlt_hf.artifacts import DEFAULT_LOCAL_NAMESPACE, ArtifactMap
from xlt_hf.errors import UserError
from xlt_hf.study import Study

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# The local Hub speaks LFS, not Xet, and nobody is there to receive telemetry.
_LOCAL_ENVIRONMENT = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # Uploads to this machine's own disk take a moment; their bars would bury those of the stages.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


class HubError(UserError):
    """The Hub cannot be reached, or does not let us in."""


@dataclass(frozen=True)
class Hub:
    """A Hub that answered, and the namespace that a study publishes under."""

    endpoint: str
    namespace: str
    private: bool
    is_local: bool
    root: Path | None
    """Data folder of the embedded Hub."""
    token: str | None = field(repr=False, default=None)

    @property
    def api(self) -> "HfApi":
        """The real client."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token)

    def map(self, study: Study, flags: tuple[str, ...] = ()) -> ArtifactMap:
        """The artefact map of a study on this Hub; `flags` make a recipe work on it."""
        return ArtifactMap(study, self.namespace, flags)

    def url(self, repo_id: str, repo_type: str) -> str:
        """Address of a repository's page."""
        prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[repo_type]
        return f"{self.endpoint}/{prefix}{repo_id}"


def connect(study: Study, *, namespace: str | None = None, public: bool = False, start: bool = True) -> Hub:
    """Set the environment, start the embedded Hub if that is what the study says, and check that it lets us in.

    Args:
        start: whether the embedded Hub may be started. If not and it is not running, the Hub returned has an
            empty endpoint.

    Raises:
        HubError: no answer, a refused token, or no namespace to publish under.
    """
    if study.hub.kind == "local" and "HF_ENDPOINT" not in os.environ:
        return _connect_local(study, namespace, public, start)
    return _connect_remote(study, namespace, public)


def _connect_local(study: Study, namespace: str | None, public: bool, start: bool) -> Hub:
    from xlt_hf.localhub.errors import StartupError
    from xlt_hf.localhub.launch import ensure_running, find_running
    from xlt_hf.localhub.state import default_root

    name = namespace or study.hub.namespace or DEFAULT_LOCAL_NAMESPACE
    try:
        info = ensure_running() if start else find_running(default_root())
    except StartupError as error:
        raise HubError(str(error)) from error
    if info is None:
        return Hub("", name, private=True, is_local=True, root=None)
    token = info.read_token()
    os.environ.update(_LOCAL_ENVIRONMENT)
    os.environ["HF_ENDPOINT"] = info.endpoint
    os.environ["HF_TOKEN"] = token
    # Repositories of the same name on another Hub must not be mistaken for ours.
    os.environ.setdefault("HF_HOME", str(info.root / "client-cache"))
    _check_import_order(info.endpoint)
    if info.started:
        sys.stderr.write(f"Started the embedded Hub at {info.endpoint}, data in {info.root}.\n")
    private = study.hub.visibility == "private" and not public
    hub = Hub(info.endpoint, name, private, is_local=True, root=info.root, token=token)
    _whoami(hub)
    return hub


def _connect_remote(study: Study, namespace: str | None, public: bool) -> Hub:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if _is_loopback(endpoint):
        for key, value in _LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(key, value)
    _check_import_order(endpoint)
    from huggingface_hub import get_token

    token = get_token()
    local = _is_loopback(endpoint)
    name = namespace or study.hub.namespace or (DEFAULT_LOCAL_NAMESPACE if local else None)
    private = not public and (study.hub.visibility == "private" or not local)
    hub = Hub(endpoint, name or "", private, is_local=False, root=None, token=token)
    user = None
    if token:
        user = _whoami(hub)
    else:
        _reach(hub)
    if name is None:
        yours = f" (the token's user is '{user}')" if user else ""
        raise HubError(
            f"On {endpoint} nothing is read or pushed without a namespace: add --namespace NAME{yours}, "
            "the owner of the study's repositories."
        )
    return hub


def _reach(hub: Hub) -> None:
    """Without a token: whether anybody answers.

    Raises:
        HubError: nobody does.
    """
    from huggingface_hub.utils import httpx

    try:
        next(iter(hub.api.list_models(limit=1)), None)
    except (httpx.HTTPError, OSError) as error:
        raise _unreachable(hub, error) from None


def _unreachable(hub: Hub, error: Exception) -> HubError:
    return HubError(
        f"The Hub at {hub.endpoint} does not answer ({type(error).__name__}). "
        "Is it up? `xlt-hub status` tells for the embedded one; unset HF_ENDPOINT to have it started."
    )


def _whoami(hub: Hub) -> str:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    try:
        return hub.api.whoami()["name"]
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        if status in (401, 403):
            raise HubError(
                f"{hub.endpoint} refused the token ({status}). Set HF_TOKEN to a valid one, or run `hf auth login`."
            ) from None
        raise HubError(
            f"{hub.endpoint} answered {status} to whoami: it does not speak the Hub's protocol."
        ) from None
    except (httpx.HTTPError, OSError) as error:
        raise _unreachable(hub, error) from None


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _check_import_order(endpoint: str) -> None:
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        assert endpoint == constants.ENDPOINT, "huggingface_hub was imported before connect()"
