# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from xlt_hf.artifacts import QUESTION_SPLITS, ArtifactMap
from xlt_hf.hub.cards import questions_card
from xlt_hf.hub.manifest import InputRef, new_manifest
from xlt_hf.questions.quality import (
    NoRoom,
    answer_script,
    copyable,
    count_cut_contexts,
    cut_contexts,
    duplicates,
    prompt_encoder,
    quality_report,
    sample_rows,
    untranslated,
)
from xlt_hf.questions.scripts import UnknownScript
from xlt_hf.sources import almanac as almanac_source
from xlt_hf.sources.schema import Question
from xlt_hf.study import Languages, load_study

EN_HI = Languages(source="en", target="hi")
XQUAD = Path(__file__).parents[2].parent / "shared" / "data" / "xquad"


def question(
    question_id="q1", en="Where?", hi="कहाँ?", en_gold=(), hi_gold=(), en_text=None, hi_text=None, **changes
):
    values = {
        "id": question_id,
        "title": "Nepal",
        "url": "",
        "relation": "",
        "context": {"en": en_text, "hi": hi_text},
        "question": {"en": en, "hi": hi},
        "answer": {"en": list(en_gold), "hi": list(hi_gold)},
        "negatives": {"en": [], "hi": []},
        "nearest_pages": [],
        "hi_source": "human",
    }
    return Question(**(values | changes))


@pytest.fixture(scope="module")
def xquad():
    """All 1190 questions, from the original JSON."""
    if not XQUAD.is_dir():
        pytest.skip(f"{XQUAD} is absent: the real XQuAD is beside the project, not in it")
    rows = {}
    for language in EN_HI.both():
        data = json.loads((XQUAD / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
        for article in data:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    row = rows.setdefault(qa["id"], {"title": article["title"]})
                    row[language] = (paragraph["context"], qa["question"], [a["text"] for a in qa["answers"]])
    return [
        question(
            key,
            row["en"][1],
            row["hi"][1],
            row["en"][2],
            row["hi"][2],
            row["en"][0],
            row["hi"][0],
            title=row["title"],
        )
        for key, row in rows.items()
    ]


def test_xquad_has_167_answers_that_can_be_copied(xquad):
    """EVALUATION.md: 167 of 1190 Hindi golds stand verbatim in the English context."""
    report = quality_report({"test": xquad}, EN_HI, seed=0)["splits"]["test"]
    assert report["hi"]["questions"] == report["hi"]["contexts"] == 1190
    assert report["hi"]["copyable"] == 167
    assert "copyable" not in report["en"]
    without = [dataclasses.replace(q, context={"en": None, "hi": None}) for q in xquad]
    assert quality_report({"test": without}, EN_HI, seed=0)["splits"]["test"]["hi"]["copyable"] == 167


def test_xquads_own_report(xquad):
    report = quality_report({"test": xquad}, EN_HI, seed=0)
    for language in EN_HI.both():
        counts = report["splits"]["test"][language]
        assert counts["not_in_context"] == counts["without_answer"] == 0
        assert counts["question_wrong_script"] <= 1, "all but perhaps `DECnet क्या है` are in their script"
        assert counts["accepted"] == {"1": 1190}
        assert sum(counts["answer_script"].values()) == counts["answers"] == 1190
    hindi = report["splits"]["test"]["hi"]
    assert hindi["answer_script"]["other"] == 0
    # Names and digits only: what is copyable is written without Devanagari letters.
    assert hindi["answer_script"]["latin"] + hindi["answer_script"]["no_letters"] >= 167
    assert 0 < hindi["untranslated"] <= hindi["answer_script"]["latin"]
    low, middle, high = hindi["lengths"]["context"]["bytes"]
    assert low < middle < high
    assert middle > 2 * hindi["lengths"]["context"]["characters"][1], "a Devanagari letter has three bytes"
    assert report["duplicates"]["hi"]["within"] == {"test": 7}
    assert len(report["sample"]) == 20


@pytest.mark.parametrize(
    ("answer", "language", "kind"),
    [
        ("दिल्ली", "hi", "own"),
        ("डब्ल्यूएचओ WHO", "hi", "own"),
        ("Delhi", "hi", "latin"),
        ("1957", "hi", "no_letters"),
        ("१९५७", "hi", "no_letters"),
        ("Дели", "hi", "other"),
        ("Delhi", "en", "own"),
        ("दिल्ली", "en", "other"),
        ("東京タワー", "ja", "own"),
        ("서울", "ko", "own"),
        ("சென்னை", "ta", "own"),
        ("Chennai", "ta", "latin"),
        ("Београд", "sr", "own"),
    ],
)
def test_scripts_come_from_cldr(answer, language, kind):
    assert answer_script(answer, language) == kind


def test_a_language_that_cldr_does_not_know():
    with pytest.raises(UnknownScript, match="xx"):
        quality_report({"test": [question()]}, Languages(source="en", target="xx"), seed=0)


def test_questions_in_the_wrong_script():
    rows = [question("a", hi="Where is it?"), question("b", hi="यह कहाँ है?"), question("c", hi=None)]
    counts = quality_report({"test": rows}, EN_HI, seed=0)["splits"]["test"]["hi"]
    assert counts["question_wrong_script"] == 1
    assert counts["without_question"] == 1
    assert counts["letters_outside"] == 0.5, "one of two is all Latin"
    assert counts["script"] == "Deva"


def test_untranslated_is_the_same_words_not_the_same_number():
    assert untranslated(question(en_gold=["The Beatles"], hi_gold=["beatles."]), EN_HI)
    assert untranslated(question(en_gold=["The Beatles"], hi_gold=["The Beatles"]), EN_HI)
    assert not untranslated(question(en_gold=["1957"], hi_gold=["1957"]), EN_HI), "right in both"
    assert not untranslated(question(en_gold=["Delhi"], hi_gold=["दिल्ली", "Delhi"]), EN_HI), (
        "a second spelling"
    )
    assert not untranslated(question(en_gold=["Delhi"]), EN_HI)


def test_copyable():
    assert copyable(question(hi_gold=["50"], en_text="in 1950"), EN_HI), "verbatim, as a span is"
    assert not copyable(question(en_gold=["50"], hi_gold=["५०"], en_text="in 1950"), EN_HI)
    assert copyable(question(en_gold=["50"], hi_gold=["५०"]), EN_HI), "digits are scored as equal"
    assert copyable(question(en_gold=["Delhi"], hi_gold=["दिल्ली", "Delhi"]), EN_HI)
    assert not copyable(question(en_gold=["!"], hi_gold=["।"]), EN_HI), "nothing is left of either"
    assert not copyable(question(en_gold=["Delhi"], hi_gold=[" "], en_text="a b"), EN_HI)


def test_duplicates_within_and_across_splits():
    splits = {
        "train": [question("a", hi="कहाँ?"), question("b", hi="कब?")],
        "test": [
            question("c", hi="कहाँ ।"),
            question("d", hi="कौन?"),
            question("e", hi="कौन"),
            question("f", hi=None),
        ],
        "control": [],
    }
    found = duplicates(splits, "hi")
    assert found["within"] == {"train": 0, "test": 1, "control": 0}
    assert [(row["splits"], row["questions"]) for row in found["across"]] == [
        (["train", "test"], 1),
        (["train", "control"], 0),
        (["test", "control"], 0),
    ]


def test_answers_in_context_accepted_and_sources():
    rows = [
        question("a", hi_gold=["दिल्ली", "नई दिल्ली"], hi_text="यह दिल्ली है", hi_source="machine:m"),
        question("b", hi_gold=["पटना"], hi_text="यह दिल्ली है"),
        question("c", hi_gold=[""], hi_text="यह दिल्ली है"),
        question("d", hi_gold=["\u0915\u093c"], hi_text="\u0958"),
    ]
    report = quality_report({"test": rows, "train": []}, EN_HI, seed=0)
    counts = report["splits"]["test"]["hi"]
    assert (counts["contexts"], counts["not_in_context"], counts["without_answer"]) == (4, 2, 1)
    assert counts["accepted"] == {"1": 2, "2": 1}
    assert report["hi_source"] == {"test": {"human": 3, "machine:m": 1}, "train": {}}
    empty = report["splits"]["train"]["hi"]
    assert (empty["questions"], empty["lengths"]["answer"]) == (0, None)


@given(st.lists(st.integers(0, 500), unique=True, max_size=60), st.integers(0, 5), st.randoms())
def test_the_sample_depends_on_ids_and_seed_only(numbers, seed, shuffle):
    rows = [question(f"q{n}") for n in numbers]
    sample = [row["id"] for row in sample_rows({"test": rows}, EN_HI, seed)]
    assert len(sample) == len(set(sample)) == min(20, len(rows))
    shuffle.shuffle(rows)
    half = len(rows) // 2
    again = sample_rows({"train": rows[:half], "test": rows[half:]}, EN_HI, seed)
    assert [row["id"] for row in again] == sample
    removed = [q for q in rows if q.id not in sample[:1]]
    assert set(sample[1:]) <= {row["id"] for row in sample_rows({"test": removed}, EN_HI, seed)}


def test_another_seed_is_another_sample():
    rows = {"test": [question(f"q{n}") for n in range(200)]}
    assert sample_rows(rows, EN_HI, 0) != sample_rows(rows, EN_HI, 1)


def test_the_report_is_plain_json(xquad):
    report = quality_report(
        {"test": xquad[:50], "train": [], "control": xquad[50:60]},
        EN_HI,
        0,
        blind={"hi": {"n": 4}},
        cut={"window": 8},
    )
    assert json.loads(json.dumps(report)) == report
    assert report["blind"] == {"hi": {"n": 4}}
    assert report["cut_contexts"] == {"window": 8}


def by_character(message):
    """One token per character after one that begins the prompt."""
    return [-1, *map(ord, message)]


def test_a_cut_passage_loses_its_answer_to_the_letter():
    row = question("a", en="Q?", en_gold=["GOLD"], en_text="0123 GOLD and more")
    tail = len("GOLD and more\nQ?")
    assert count_cut_contexts([row], "en", by_character, window=tail + 3, room=3) == 0
    assert count_cut_contexts([row], "en", by_character, window=tail + 2, room=3) == 1
    assert count_cut_contexts([row], "en", by_character, window=1000, room=3) == 0


def test_the_last_occurrence_of_any_spelling_counts():
    row = question("a", en="Q?", en_gold=["GOLD", "Au"], en_text="GOLD Au GOLD 01234")
    tail = len("GOLD 01234\nQ?")
    assert count_cut_contexts([row], "en", by_character, tail, 0) == 0
    assert count_cut_contexts([row], "en", by_character, tail - 1, 0) == 1
    only_au = dataclasses.replace(row, answer={"en": ["Au", "silver"], "hi": []})
    assert count_cut_contexts([only_au], "en", by_character, tail, 0) == 1


def test_what_has_no_passage_or_answer_is_not_cut():
    rows = [
        question("a", en_gold=["x"]),
        question("b", en_text="text"),
        question("c", en_gold=["no"], en_text="text"),
    ]
    assert count_cut_contexts(rows, "en", by_character, 2, 1) == 0


def test_a_window_without_room():
    with pytest.raises(NoRoom, match="window of 32 tokens with 32 kept"):
        count_cut_contexts([], "en", by_character, 32, 32)


def test_the_source_passage_is_searched_for_the_source_answer():
    row = question(
        "a", en_gold=["GOLD"], hi="क?", hi_gold=["सोना"], en_text="GOLD " + "x" * 30, hi_text="सोना"
    )
    cut = cut_contexts({"test": [row]}, EN_HI, by_character, window=20, room=2)
    assert cut["window"] == 20
    assert [(v["question"], v["passage"], v["cut"]["test"]) for v in cut["views"]] == [
        ("en", "en", 1),
        ("hi", "en", 1),
        ("hi", "hi", 0),
    ]


@settings(deadline=None, max_examples=60)
@given(
    before=st.lists(st.sampled_from(["Nepal", "देश", "capital", "राजधानी", "zebra"]), max_size=8),
    after=st.lists(st.sampled_from(["Nepal", "है।", "rupee", "मुद्रा"]), max_size=8),
    limit=st.integers(1, 60),
)
def test_agrees_with_what_the_model_is_shown(tokenizer, before, after, limit):
    """With `generation.Inputs` itself: the gold is in the decoded prompt exactly if it is not counted as cut."""
    from xlt_hf.evaluation.generation import Inputs
    from xlt_hf.evaluation.prompts import in_context

    row = question("a", hi="क्या?", hi_gold=["काठमांडू"], hi_text=" ".join([*before, "काठमांडू", *after]))
    cut = count_cut_contexts([row], "hi", prompt_encoder(tokenizer), window=limit + 5, room=5)
    shown = in_context(dataclasses.asdict(row), "hi", "native", EN_HI).prompt
    inputs = Inputs(tokenizer, [shown], window=limit + 5, room=5)
    assert ("काठमांडू" in tokenizer.decode(inputs.ids[0])) == (not cut)


PICKED = {"accuracy": 0.26, "ci_low": 0.215, "ci_high": 0.309}
NEW_KEYS = ("quality", "sources", "blind")


@pytest.fixture(scope="module")
def almanac():
    """The almanac's study, and a manifest as `build_qa` would make it, with hard rows."""
    study = load_study("almanac")
    rows = almanac_source.questions(study.languages.both(), study.seed, study.documents.almanac)
    random.Random(0).shuffle(rows)
    splits = {split: rows[i * 50 : i * 50 + 50] for i, split in enumerate(QUESTION_SPLITS)}
    hard = question(
        "a|b", en="One | two\n# three", hi="`क` *ख* <b>ग</b> [घ](x) \\| ङ", en_gold=["|", "x_y_z"]
    )
    splits["test"] = [*splits["test"], hard]
    relations = sorted({q.relation for q in rows[:150]})
    counts = {
        "questions": {split: len(splits[split]) for split in splits},
        "pages": {split: len({q.title for q in splits[split]}) for split in splits},
        "relations": {r: {s: sum(q.relation == r for q in splits[s]) for s in splits} for r in relations},
        "dropped": {"page_not_in_documents": 3, "rejected_in_review": 2},
        "balance": {"answer_length": {"test": 6.0, "control": 6.5, "smd": -0.1}},
        "quality": quality_report(splits, study.languages, study.seed),
        "sources": [{"repo_id": "google/xquad", "revision": "5" * 40}],
        "blind": {
            "en": {"chance": 0.25, "n": 50, **PICKED},
            "hi": {"language": "hi", "chance": 0.25, "n": 50, "frequency": None, "learned": PICKED},
        },
    }
    return study, counts


def card(study, counts, task="facts"):
    flags = () if study.name == "almanac" else ("--study", study.name)
    artifact = ArtifactMap(study, "somebody", flags).questions(task)
    inputs = {"tokenizer": InputRef("somebody/tokenizer", "model", "6" * 40)}
    manifest = new_manifest("build_qa", study.name, {}, inputs, study.seed)
    return questions_card(study, artifact, manifest.with_counts(**counts), task)


def cells_of(text):
    """Rows of all tables of the rendered card, as lists of cells, which are lists of inline tokens."""
    rows, inside = [], False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            inside = True
        elif token.type == "inline" and inside:
            rows[-1].append(token.children or [])
            inside = False
    return rows


def tables(text):
    """The same as lists of texts."""
    return [["".join(token.content for token in cell) for cell in row] for row in cells_of(text)]


def check_tables(text):
    """Each line that looks like a row is one, with as many cells as its header."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = [line for line in lines if set(line) <= set("|-:")]
    assert len(tables(text)) == len(lines) - len(rules)
    for before, line in zip(lines, lines[1:], strict=False):
        if line in rules:
            assert before.count("|") == line.count("|"), before
    assert len(rules) > 2


def test_the_card_states_what_it_must(almanac):
    study, counts = almanac
    text = card(study, counts).text
    flat = " ".join(text.split())
    assert "python recipes/build_qa.py --review review.csv --replace" in text
    assert " ".join(study.attribution.split()) in flat
    assert study.license in text
    rows = tables(text)
    assert ["google/xquad", "5" * 40, "see its card"] in rows
    assert ["page not in documents", "3"] in rows
    assert ["rejected in review", "2"] in rows
    assert ["cldr", "50", "50", "50"] in [[row[0], *row[-3:]] for row in rows if len(row) == 5]
    assert ["hi", "learned", "26.0%", "21.5 to 30.9%", "25.0%", "50"] in rows
    assert ["en", "all", "26.0%", "21.5 to 30.9%", "25.0%", "50"] in rows
    sampled = counts["quality"]["sample"]
    for row in sampled:
        assert [row["id"], row["split"]] in [cells[:2] for cells in rows]


def test_rows_cannot_break_the_cards_tables(almanac):
    study, counts = almanac
    rows = {
        "test": [
            question(
                "a|b", en="One | two\n# three", hi="`क` *ख* <b>ग</b> [घ](x) \\| ङ", en_gold=["|", "x_y_z"]
            )
        ]
    }
    hard = counts | {"quality": counts["quality"] | {"sample": sample_rows(rows, EN_HI, 0)}}
    text = card(study, hard).text
    check_tables(text)
    (cells,) = [row for row in tables(text) if row[0] == "a|b"]
    assert cells[2:5] == ["One | two # three", "`क` *ख* <b>ग</b> [घ](x) \\| ङ", "| / x_y_z"]
    (tokens,) = [row for row in cells_of(text) if "".join(token.content for token in row[0]) == "a|b"]
    assert {token.type for cell in tokens for token in cell} <= {"text", "text_special"}


@pytest.mark.parametrize("left_out", [NEW_KEYS, *[(key,) for key in NEW_KEYS], ()])
def test_the_card_of_an_older_manifest(almanac, left_out):
    study, counts = almanac
    older = {key: value for key, value in counts.items() if key not in left_out}
    for task in study.tasks:
        text = card(study, older, task).text
        assert "None" not in text
        check_tables(text)


def test_the_card_of_a_share_alike_dataset_with_contexts(almanac, xquad):
    _, counts = almanac
    study = dataclasses.replace(load_study("almanac"), name="other", license="cc-by-sa-4.0")
    splits = {"test": xquad[:40], "train": xquad[40:60], "control": []}
    cut = cut_contexts(splits, EN_HI, by_character, window=600, room=20)
    text = card(study, counts | {"quality": quality_report(splits, EN_HI, 0, cut=cut)}).text
    assert "python recipes/build_qa.py --study other --review review.csv --replace" in text
    assert "share-alike" in text
    assert "window of 600 tokens" in text
    check_tables(text)
    assert "share-alike" not in card(load_study("almanac"), counts).text


def test_the_card_of_prescribed_splits_and_of_a_review(almanac):
    study, counts = almanac
    none = {"chance": 0.25, "n": 0, "frequency": None, "learned": None}
    changed = counts | {
        "balance": {},
        "dropped": {},
        "questions": counts["questions"] | {"control": 0},
        "blind": {"hi": none},
        "review": {"corrected": 7, "unknown_ids": ["x", "y"]},
    }
    text = card(study, changed, "facts-context").text
    check_tables(text)
    assert "loses from filter 1 on" not in text
    assert "## Balance" not in text
    assert "No question was left out." in text
    assert ["hi", "too few questions", "–", "–", "25.0%", "0"] in tables(text)
    assert ["control", "0"] not in [row[:2] for row in tables(text)]
    assert "7 rows are corrected; 2 corrections were for ids that are not here" in text
    assert "## Balance" in card(study, counts).text
