# SPDX-License-Identifier: Apache-2.0
"""One Hub for the package's tests; each test works in a repository of its own."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub_server import RunningHub, start_hub

from huggingface_hub import HfApi  # isort: skip  # after hub_server, which sets the environment


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub in a process of its own."""
    with start_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="session")
def api(hub: RunningHub) -> HfApi:
    """The default user's client."""
    return hub.api()


@pytest.fixture(scope="session")
def stranger(hub: RunningHub) -> HfApi:
    """Another user's client."""
    return hub.api(hub.add_user("stranger"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Cache folder of a client process."""
    return tmp_path / "hf-home"


@pytest.fixture
def new_repo(api: HfApi) -> Callable[..., str]:
    """Make a repository with a name of its own; returns its id."""

    def make(repo_type: str = "model", private: bool = False, prefix: str = "repo") -> str:
        repo_id = f"xlt-hf/{prefix}-{uuid.uuid4().hex[:8]}"
        sdk = "static" if repo_type == "space" else None
        api.create_repo(repo_id, repo_type=repo_type, private=private, space_sdk=sdk)
        return repo_id

    return make


@pytest.fixture
def repo(new_repo: Callable[..., str]) -> str:
    """A public model repository."""
    return new_repo()
