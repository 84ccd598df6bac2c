# SPDX-License-Identifier: Apache-2.0
"""Failures to order, for tests of clients."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from tests.hub_server import hub_in_thread
from xlt_hf.localhub.app import Fault


def test_faults_strike_when_they_should(tmp_path: Path) -> None:
    limit = {"RateLimit": '"api";r=0;t=0', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
    faults = [
        Fault("POST", r"/commit/main$", status=429, headers=limit, after=1, times=2),
        Fault("POST", r"/repos/create$", status=503, late=True),
    ]
    with hub_in_thread(tmp_path / "hub", faults) as hub:
        api: HfApi = hub.api()
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_repo("xlt-hf/m")
        assert caught.value.response.status_code == 503
        assert api.model_info("xlt-hf/m").id == "xlt-hf/m", "it took effect, only the answer was lost"
        outcomes = []
        for number in range(4):
            try:
                api.upload_file(path_or_fileobj=b"%d" % number, path_in_repo="x", repo_id="xlt-hf/m")
                outcomes.append(200)
            except HfHubHTTPError as error:
                outcomes.append(error.response.status_code)
        assert outcomes == [200, 429, 429, 200]
        assert len(api.list_repo_commits("xlt-hf/m")) == 3


def test_the_client_waits_out_a_fault_in_an_upload(tmp_path: Path) -> None:
    faults = [Fault("PUT", r"^/lfs/", status=503, headers={"Retry-After": "0"})]
    with hub_in_thread(tmp_path / "hub", faults) as hub:
        api: HfApi = hub.api()
        api.create_repo("xlt-hf/m")
        api.upload_file(path_or_fileobj=b"\0" * 100, path_in_repo="w.bin", repo_id="xlt-hf/m")
        assert httpx.get(f"{hub.endpoint}/xlt-hf/m/resolve/main/w.bin").content == b"\0" * 100
