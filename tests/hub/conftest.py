# SPDX-License-Identifier: Apache-2.0
"""An embedded Hub as a recipe sees it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.hub_server import hub_in_thread
from xlt_hf.artifacts import Artifact
from xlt_hf.hub.connect import Hub
from xlt_hf.hub.manifest import Manifest, new_manifest


@pytest.fixture
def connect_to(tmp_path) -> Iterator[Callable[..., Hub]]:
    """Start a Hub, with faults if given, and connect to it."""
    with ExitStack() as stack:

        def connect(faults: Sequence = ()) -> Hub:
            running = stack.enter_context(hub_in_thread(tmp_path / "hub", faults))
            return Hub(running.endpoint, "xlt-hf", False, True, running.root, running.token)

        yield connect


@pytest.fixture
def hub(connect_to) -> Hub:
    return connect_to()


@pytest.fixture
def dataset() -> Artifact:
    return Artifact("d", "dataset", "xlt-hf/data", "recipes/build_corpora.py")


@pytest.fixture
def model_repo() -> Artifact:
    return Artifact("m", "model", "xlt-hf/model", "recipes/pretrain.py --filter 4")


def manifest(**config) -> Manifest:
    """A manifest with some configuration."""
    return new_manifest("stage", "almanac", config, {}, 0)
