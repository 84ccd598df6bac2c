# SPDX-License-Identifier: Apache-2.0
import dataclasses
import re

import pytest
import yaml

from xlt_hf.study import STUDIES_FOLDER, StudyError, as_dict, check_filter, load_study

ALMANAC = STUDIES_FOLDER / "almanac.yaml"


@pytest.fixture
def variant(tmp_path):
    """Writes the shipped study with one change, and loads it."""

    def load(change, *overrides):
        data = yaml.safe_load(yaml.safe_dump(as_dict(load_study("almanac"))))
        change(data)
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        return load_study(path, overrides)

    return load


@pytest.mark.parametrize("path", sorted(STUDIES_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_valid_and_every_value_is_commented(path):
    study = load_study(path.stem)
    assert study.name == path.stem
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert "#" in line or not re.match(r"\s*[\w-]+: \S", line), (
            f"{path.name}:{number} has no comment: {line}"
        )


def test_a_study_written_out_reads_back_as_the_same(variant):
    assert variant(lambda data: None) == load_study("almanac")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["pretraining"].update(epoch=3),
            r"pretraining\.epoch: unknown key\. Did you mean 'epochs'\?",
        ),
        (lambda d: d.update(langages={}), r"langages: unknown key\. Did you mean 'languages'\?"),
        (
            lambda d: d["sizes"]["tiny"].update(hiden_size=3),
            r"sizes\.tiny\.hiden_size: unknown key\. Did you mean 'hidden_size'\?",
        ),
        (
            lambda d: d["documents"]["almanac"].update(rendering=3),
            r"documents\.almanac\.rendering: unknown key\. Did you mean 'renderings",
        ),
        (lambda d: d.pop("seed"), r"seed: this key is required"),
        (lambda d: d["pretraining"].update(epochs=0), r"pretraining\.epochs: .*greater than 0, got 0"),
        (lambda d: d["pretraining"].update(epochs="3"), r"pretraining\.epochs: .*integer, got '3'"),
        (lambda d: d["pretraining"].update(precision="fp16"), r"precision: .*'fp32' or 'bf16', got 'fp16'"),
        (lambda d: d["evaluation"].update(max_truncated=2.0), r"max_truncated: .*less than or equal to 1"),
        (lambda d: d["languages"].update(target="en"), r"source and target are both 'en'"),
        (lambda d: d["pretraining"].update(tokens_per_step=1000), r"1000 is not a multiple of seq_len"),
        (lambda d: d["sizes"]["tiny"].update(num_attention_heads=7), r"not a multiple of 7 heads"),
        (lambda d: d["finetuning"].pop("facts"), r"the task 'facts' has no settings"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(variant, change, message):
    with pytest.raises(StudyError, match=message):
        variant(change)


def test_the_command_line_wins_over_the_yaml_and_is_validated_too(variant):
    study = variant(lambda d: d["pretraining"].update(epochs=7), "pretraining.epochs=9", "seed=3")
    assert (study.pretraining.epochs, study.seed) == (9, 3)
    with pytest.raises(StudyError, match=r"Did you mean 'learning_rate'"):
        load_study("almanac", ["pretraining.learning_rat=1e-3"])
    with pytest.raises(StudyError, match=r"section\.key=value"):
        load_study("almanac", ["pretraining.epochs"])
    with pytest.raises(StudyError, match=r"'seed' is a value, not a section"):
        load_study("almanac", ["seed.x=1"])


def test_an_exponent_without_a_point_is_a_number():
    assert load_study("almanac", ["pretraining.learning_rate=4e-3"]).pretraining.learning_rate == 0.004


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(ALMANAC.read_text(encoding="utf-8") + "\nseed: 1\n", encoding="utf-8")
    with pytest.raises(StudyError, match="'seed' stands twice"):
        load_study(path)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(StudyError, match="no study 'almanack'. Did you mean 'almanac'"):
        load_study("almanack")
    study = load_study("almanac")
    with pytest.raises(StudyError, match="no size 'tinny'. Did you mean 'tiny'"):
        study.size("tinny")
    with pytest.raises(StudyError, match="no task 'fact'. Did you mean 'facts'"):
        study.task("fact")
    with pytest.raises(StudyError, match="no filter 5: filters are 0 .* to 4"):
        check_filter(5)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just text"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"bad\.yaml"):
        load_study(path)


def test_a_missing_file_is_named():
    with pytest.raises(StudyError, match="Cannot read the study nowhere/x.yaml"):
        load_study("nowhere/x.yaml")


def test_a_study_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_study("almanac").seed = 1
