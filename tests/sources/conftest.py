# SPDX-License-Identifier: Apache-2.0
"""A Hub that counts what it sends, for the sources' tests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.hub_server import RunningHub, hub_in_thread
from tests.seeding import own_namespaces

from huggingface_hub import HfApi  # isort: skip  # after hub_server, which sets the environment


@dataclass
class Traffic:
    """Requests that a Hub has answered: [method, path, bytes of the body sent]."""

    requests: list[list] = field(default_factory=list)

    def clear(self) -> None:
        self.requests.clear()

    def sent(self, path: str) -> int:
        """Bytes sent for addresses that match a regular expression."""
        return sum(size for _, address, size in self.requests if re.search(path, address))

    def count(self, path: str) -> int:
        """Requests for such addresses."""
        return sum(bool(re.search(path, address)) for _, address, _ in self.requests)


@pytest.fixture(scope="session")
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture(scope="session")
def source_hub(tmp_path_factory, traffic) -> Iterator[RunningHub]:
    """One Hub for these tests; the owners of the real datasets exist on it."""
    from xlt_hf.localhub import app as localhub_app

    real = localhub_app.create_app

    def counted_app(*arguments, **settings):
        inner = real(*arguments, **settings)

        async def app(scope, receive, send):
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return
            request = [scope["method"], scope["path"], 0]
            traffic.requests.append(request)  # before the client has its answer and goes on

            async def counting(message):
                request[2] += len(message.get("body", b""))
                await send(message)

            await inner(scope, receive, counting)

        return app

    root = tmp_path_factory.mktemp("sources-hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(localhub_app, "create_app", counted_app)
        with hub_in_thread(root) as hub:
            own_namespaces(root)
            yield hub


@pytest.fixture(scope="session")
def api(source_hub) -> HfApi:
    """The default user's client."""
    return source_hub.api()
