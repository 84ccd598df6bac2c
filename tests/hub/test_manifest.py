# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from xlt_hf.hub.manifest import InputRef, Manifest, ManifestError, new_manifest
from xlt_hf.hub.publish import difference

REF = InputRef("a/b", "dataset", "1" * 40)


def make(**changes) -> Manifest:
    values = {"stage": "s", "study": "almanac", "config": {"a": {"x": 1}}, "inputs": {"i": REF}, "seed": 0}
    return new_manifest(**{**values, **changes})


def test_round_trip_keeps_everything():
    manifest = make().with_counts(tokens=3)
    assert Manifest.from_json(manifest.to_json(), "here") == manifest


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "t"},
        {"study": "other"},
        {"config": {"a": {"x": 2}}},
        {"inputs": {"i": InputRef("a/b", "dataset", "2" * 40)}},
        {"seed": 1},
    ],
)
def test_every_cause_changes_the_fingerprint_and_is_named_as_the_difference(change):
    a, b = make(), make(**change)
    assert a.fingerprint != b.fingerprint
    (name,) = change
    assert ("a.x was 1, is 2" if name == "config" else name) in difference(a, b)


def test_outcomes_do_not_change_the_fingerprint():
    a = make()
    assert a.with_counts(tokens=9).fingerprint == a.fingerprint
    assert json.loads(a.to_json())["fingerprint"] == a.fingerprint


def test_versions_of_the_libraries_that_can_change_a_result_are_recorded():
    assert {"python", "torch", "transformers", "datasets", "trl"} <= make().versions.keys()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stage": 1}', "not json"])
def test_what_is_no_manifest_is_refused_by_name(text):
    with pytest.raises(ManifestError, match="runs/x.json is not a manifest"):
        Manifest.from_json(text, "runs/x.json")


def test_a_manifest_of_another_version_is_refused():
    data = json.loads(make().to_json()) | {"schema_version": 99}
    with pytest.raises(ManifestError, match="manifest version 99"):
        Manifest.from_json(json.dumps(data), "x")
