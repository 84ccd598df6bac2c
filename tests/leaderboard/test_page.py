# SPDX-License-Identifier: Apache-2.0
"""The site is complete, self-contained, safe with hostile text, and says where its numbers are from."""

import csv
from html.parser import HTMLParser
from urllib.parse import unquote, urlparse

import pytest
import yaml

from xlt_hf.evaluation.planted import Planted, planted_predictions
from xlt_hf.evaluation.rows import score_rows
from xlt_hf.evaluation.verdict import verdicts_of
from xlt_hf.leaderboard.page import SiteMeta, build_site, sample_predictions

HUB = "http://127.0.0.1:8100"
META = SiteMeta(
    title="Planted: leaderboard",
    study="planted",
    study_title="Answers with a known amount of transfer.",
    hub_url=HUB,
    results_repo="ns/planted-results",
    questions_repos=["ns/planted-facts"],
    license="apache-2.0",
    limits=["The answers are drawn, not generated."],
)


@pytest.fixture(scope="module")
def study():
    rows = planted_predictions(Planted(transfer=0.0, n_pages=30))
    scores = score_rows(rows, data_revision="d" * 40, code_version="0.1.0", n_resamples=100)
    verdicts = verdicts_of(rows, source_recall_threshold=0.3, delta=0.1, n_resamples=200)
    return rows, scores, verdicts


@pytest.fixture(scope="module")
def site(study, tmp_path_factory):
    rows, scores, verdicts = study
    folder = tmp_path_factory.mktemp("site")
    build_site(scores, sample_predictions(rows), META, folder, verdicts=verdicts)
    return folder


class Page(HTMLParser):
    """Collects tags, links and text, and whether the tags are closed in order."""

    VOID = ("meta", "link", "img", "source", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.loads, self.open, self.text = set(), [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        values = dict(attributes)
        if tag == "a":
            self.links.append(values["href"])
        self.loads += [values[key] for key in ("src", "srcset") if key in values]
        if tag == "link":
            self.loads.append(values["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(site):
    return Page((site / "index.html").read_text(encoding="utf-8"))


def test_every_file_that_the_page_loads_is_beside_it(site, page):
    assert page.open == []
    for load in page.loads:
        if load != "data:,":
            parts = urlparse(load)
            assert (parts.scheme, parts.netloc) == ("", "")
            assert not load.startswith("/")
            assert (site / unquote(load)).is_file()


def test_there_is_no_script_and_nothing_from_outside(site, page):
    assert "script" not in page.tags
    style = (site / "style.css").read_text(encoding="utf-8")
    assert "@import" not in style
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style
    assert all(link.startswith(("#", HUB)) or (site / link).is_file() for link in page.links)


def test_verdicts_numbers_and_provenance_are_on_the_page(study, page):
    _, scores, verdicts = study
    text = " ".join(page.text.split())
    assert verdicts[1].text in text
    assert " ".join(verdicts[1].reason.split()) in text
    for row in scores:
        if row.metric == "em_xl" and row.group != "all":
            assert f"{row.value:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]" in text
    assert f"{HUB}/planted/filter-4/tree/seed-0" in page.links
    assert f"{HUB}/datasets/ns/planted-results" in page.links
    assert "d" * 12 in text
    assert "recipes/run_eval.py --study planted --size planted --filter 4 --task facts --seed 0" in text
    assert META.limits[0] in text


def test_the_space_card_is_that_of_a_static_space(study, site):
    card = (site / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["sdk"] == "static"
    assert front["title"] == META.title
    assert front["datasets"] == ["ns/planted-results", "ns/planted-facts"]
    assert study[2][1].line() in card


def test_the_csv_holds_every_score(study, site):
    with (site / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(study[1])
    assert float(rows[0]["value"]) == study[1][0].value


def test_answers_are_shown_as_text_whatever_they_hold(study, tmp_path):
    _, scores, _ = study
    hostile = "<script>alert(1)</script> & \"'"
    row = dict.fromkeys(("title", "prompt", "prediction"), hostile)
    row |= {"task": "facts", "filter": 4, "language": "hi", "golds": [hostile], "em_xl": 0.0}
    build_site(scores, [row], META, tmp_path)
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.text.count(hostile) == 4
    assert "None yet: a verdict needs" in page.text


def test_the_same_arguments_give_the_same_bytes(study, site, tmp_path):
    rows, scores, verdicts = study
    written = build_site(scores, sample_predictions(rows), META, tmp_path, verdicts=verdicts)
    assert {path.relative_to(tmp_path) for path in written} == {
        path.relative_to(site) for path in site.rglob("*") if path.is_file()
    }
    for path in written:
        assert path.read_bytes() == (site / path.relative_to(tmp_path)).read_bytes()


def test_without_scores_there_is_no_site(tmp_path):
    with pytest.raises(ValueError, match="evaluate a model first"):
        build_site([], [], META, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_examples_are_held_out_pairs_at_the_highest_filter_drawn_blind(study):
    rows = study[0]
    sample = sample_predictions(rows, pages=5)
    assert len(sample) == 10
    assert {(row["filter"], row["group"]) for row in sample} == {(4, "held_out")}
    assert [row["language"] for row in sample] == ["en", "hi"] * 5
    assert [row["id"] for row in sample[::2]] == [row["id"] for row in sample[1::2]]
    assert len({row["title"] for row in sample}) == 5
    wrong = [row | {"prediction": "x", "em_xl": 0.0} for row in rows]
    assert [row["id"] for row in sample_predictions(wrong, pages=5)] == [row["id"] for row in sample]
