# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xlt_hf.questions.review import (
    CORRECTION_COLUMNS,
    Correction,
    ReviewError,
    apply_review,
    join_items,
    read_review,
    review_columns,
    split_items,
    write_review,
)
from xlt_hf.sources.schema import Question
from xlt_hf.study import Languages

EN_HI = Languages(source="en", target="hi")
TRICKY = "|\\'\"=+-@\t\r\n ,;।॥०१अआकीं्\u200d\u00a0＝a1"


def question(question_id="q1", languages=EN_HI, **changes):
    source, target = languages.both()
    values = {
        "id": question_id,
        "title": "Nepal",
        "url": "",
        "relation": "",
        "context": {source: None, target: None},
        "question": {source: "What is the capital of Nepal?", target: "नेपाल की राजधानी क्या है?"},
        "answer": {source: ["Kathmandu"], target: ["काठमांडू"]},
        "negatives": {source: ["Pokhara", "Delhi", "Lhasa"], target: ["पोखरा", "दिल्ली", "ल्हासा"]},
        "nearest_pages": ["Nepal"],
        "hi_source": "machine:m",
    }
    return Question(**(values | changes))


texts = st.text(st.sampled_from(TRICKY) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
items = st.lists(texts, min_size=1, max_size=4)
ids = st.text(st.sampled_from("'=-@+0123456789aक"), min_size=1, max_size=6)


@given(items)
@example(["\\ "])
@example([" ", "|", "\\", "\\|", " | "])
@example(["a  ", "  b", "c\\"])
@example(["दिल्ली।", "a\nb", '"x"'])
def test_a_list_in_a_cell_comes_back_exactly(values):
    assert split_items(join_items(values)) == values


def test_a_list_as_people_type_it():
    assert split_items("दिल्ली|नई दिल्ली |  Delhi ") == ["दिल्ली", "नई दिल्ली", "Delhi"]
    assert split_items("AC\\DC") == ["AC\\DC"], "a backslash that escapes nothing is a backslash"
    assert split_items("a | | b") == ["a", "", "b"]
    assert split_items("  ") == []


corrections = st.builds(
    Correction,
    question=st.none() | texts.map(str.strip).filter(bool),
    answer=st.none() | items.map(tuple),
    negatives=st.none() | st.tuples(texts, texts, texts),
    comment=texts.map(str.strip),
    reject=st.booleans(),
)


@settings(deadline=None, max_examples=150)
@given(filled=st.dictionaries(ids, corrections, max_size=4), shown=st.lists(ids, max_size=4, unique=True))
def test_corrections_round_trip_whatever_is_in_them(tmp_path_factory, filled, shown):
    """Also those of rows that are not in the dataset any more."""
    path = tmp_path_factory.mktemp("review") / "review.csv"
    write_review(path, {"test": [question(q) for q in shown]}, EN_HI, filled)
    assert read_review(path) == {key: value for key, value in filled.items() if value != Correction()}


@settings(deadline=None)
@given(text=texts, golds=items)
def test_no_cell_begins_like_a_formula_and_none_is_lost(tmp_path_factory, text, golds):
    path = tmp_path_factory.mktemp("review") / "review.csv"
    row = question("=1+1", question={"en": text, "hi": text}, answer={"en": golds, "hi": golds}, title=text)
    write_review(path, {text: [row]}, EN_HI)
    (cells,) = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    assert not any(cell[0] in "=+-@\t\r\n＝＋－＠" for cell in cells.values() if cell)
    assert cells["id"] == "'=1+1"
    back = cells["question_hi"]
    assert back == text or back == "'" + text


def test_a_guarded_cell_can_be_copied_into_a_correction(tmp_path):
    row = question(answer={"en": ["-5"], "hi": ["-५"]})
    write_review(tmp_path / "review.csv", {"test": [row]}, EN_HI)
    shown = rows_of(tmp_path / "review.csv")[0]
    assert shown["answer_hi"] == "'-५"
    path = sheet(tmp_path, id=shown["id"], corrected_answer=shown["answer_hi"])
    assert read_review(path)["q1"].answer == ("-५",)


def test_the_sheet_has_the_documented_columns(tmp_path):
    path = tmp_path / "review.csv"
    write_review(path, {"test": [question("123")], "control": [question("q2")]}, EN_HI)
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\r\n") == 3
    first, second = rows_of(path)
    assert list(first) == review_columns(EN_HI)
    assert first["id"] == "'123", "or a spreadsheet makes a number of it"
    assert (first["split"], second["split"]) == ("test", "control")
    assert first["negatives_hi"] == "पोखरा | दिल्ली | ल्हासा"
    assert all(first[column] == "" for column in CORRECTION_COLUMNS)
    assert read_review(path) == {}


def test_other_languages_name_the_columns(tmp_path):
    pair = Languages(source="fr", target="ta")
    path = tmp_path / "review.csv"
    write_review(path, {"test": [question(languages=pair)]}, pair, {"q1": Correction(question="எது?")})
    assert "question_ta" in rows_of(path)[0]
    kept, _ = apply_review([question(languages=pair)], read_review(path), "ta")
    assert kept[0].question["ta"] == "எது?"
    assert kept[0].question["fr"] == "What is the capital of Nepal?"


def test_a_passage_fits_a_spreadsheets_cell(tmp_path):
    long = question(context={"en": "word " * 20_000, "hi": "शब्द"})
    write_review(tmp_path / "review.csv", {"test": [long]}, EN_HI)
    cell = rows_of(tmp_path / "review.csv")[0]["context_en"]
    assert len(cell) < 32_767
    assert cell.endswith(" […]")
    assert read_review(tmp_path / "review.csv") == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_spreadsheets_save(tmp_path, encoding, delimiter, newline, quoting):
    path = tmp_path / "review.csv"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerow(["id", "question_hi", "corrected_answer", "reject", ""])
    writer.writerow(["'12", "क्या, कौन; \nकब?", "नई दिल्ली, भारत; आदि | दिल्ली।", "", ""])
    writer.writerow(["q2", "", "", "Yes", ""])
    writer.writerow(["", "", "", "", ""])
    path.write_bytes(text.getvalue().encode(encoding))
    assert read_review(path) == {
        "12": Correction(answer=("नई दिल्ली, भारत; आदि", "दिल्ली।")),
        "q2": Correction(reject=True),
    }


def test_excels_delimiter_line(tmp_path):
    path = tmp_path / "review.csv"
    path.write_text("sep=;\r\nid;comment\r\nq1;a,b,c,d\r\n", encoding="utf-8-sig", newline="")
    assert read_review(path)["q1"].comment == "a,b,c,d"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "column `id` is missing"),
        ("id,corrected_anwser\n", "no column `corrected_anwser`. Did you mean `corrected_answer`?"),
        ("id,question_hi\n", "none of the columns corrected_question"),
        ("id,comment,comment\n", "column `comment` stands twice"),
        ("id,comment\nq1,a\nq2,b\nq1,c\n", "row 4 (q1): the id stands in row 2 already"),
        ("id,comment\n,a\n", "row 2 (no id): the id is missing"),
        (
            "id,comment\n5.6554934616955E+18,a\n",
            "row 2 (5.6554934616955E+18): the spreadsheet has turned the id",
        ),
        ('id;comment\n"5,65549346E+18";a\n', "row 2 (5,65549346E+18): the spreadsheet has turned the id"),
        ('id,question_hi,corrected_negatives\nq1,"a\nb",क | ख\n', "row 2 (q1): corrected_negatives holds 2"),
        ("id,corrected_negatives\nq1,क|ख|ग|घ\n", "holds 4 wrong answers, not 3"),
        ("id,corrected_answer\nq1,दिल्ली |\n", "row 2 (q1): corrected_answer has an empty item in `दिल्ली |`"),
        ("id,reject\nq1,maybe\n", "row 2 (q1): reject is `maybe`"),
        ("id,comment\nq1,a,b\n", "row 2 (q1): 3 cells under 2 columns"),
        ('id,comment\nq1,"a\n', "row 2 is not valid CSV"),
    ],
)
def test_what_is_wrong_is_said_with_the_row(tmp_path, content, message):
    path = tmp_path / "review.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReviewError) as error:
        read_review(path)
    assert message in str(error.value)
    assert "review.csv" in str(error.value)


def test_all_problems_are_listed_at_once(tmp_path):
    path = tmp_path / "review.csv"
    path.write_text("id,reject\n" + "".join(f"q{i},maybe\n" for i in range(30)), encoding="utf-8")
    with pytest.raises(ReviewError) as error:
        read_review(path)
    assert "row 2 (q0)" in str(error.value)
    assert "row 21 (q19)" in str(error.value)
    assert "row 22" not in str(error.value)
    assert "10 more" in str(error.value)


def test_a_legacy_encoding_and_a_missing_file(tmp_path):
    path = tmp_path / "review.csv"
    path.write_bytes("id,comment\nq1,café\n".encode("latin-1"))
    with pytest.raises(ReviewError, match="byte 17 of 19 cannot be read"):
        read_review(path)
    with pytest.raises(ReviewError, match="Cannot read the review"):
        read_review(tmp_path / "none.csv")


def test_sorting_the_sheet_makes_no_other_dataset():
    one, other = (Correction(answer=("क", "ख"), comment="c", row=row) for row in (2, 9))
    assert one.causes() == other.causes()
    causes = json.loads(json.dumps(one.causes()))
    assert causes == {
        "question": None,
        "answer": ["क", "ख"],
        "negatives": None,
        "comment": "c",
        "reject": False,
    }


def test_corrections_are_applied_by_id():
    before = [question("q1"), question("q2"), question("q3"), question("q4")]
    kept, counts = apply_review(
        before,
        {
            "q3": Correction(answer=("पोखरा", "पोखरा नगर"), negatives=("काठमांडू", "दिल्ली", "ल्हासा")),
            "q1": Correction(reject=True, question="ignored"),
            "q2": Correction(comment="fine"),
            "gone": Correction(question="?"),
        },
        "hi",
    )
    assert [q.id for q in kept] == ["q2", "q3", "q4"]
    assert [kept[0], kept[2]] == [before[1], before[3]], "what is not corrected stays as it is"
    assert kept[1].answer == {"en": ["Kathmandu"], "hi": ["पोखरा", "पोखरा नगर"]}
    assert kept[1].negatives["en"] == ["Pokhara", "Delhi", "Lhasa"]
    assert kept[1].question == before[2].question
    assert kept[1].hi_source == "human-reviewed"
    assert kept[0].hi_source == "machine:m"
    assert before[2].answer["hi"] == ["काठमांडू"], "the questions that came in are not changed"
    assert counts == {
        "corrected": 1,
        "question": 0,
        "answer": 1,
        "negatives": 1,
        "rejected_in_review": 1,
        "comments": 1,
        "not_in_context": [],
        "unknown": 1,
        "unknown_ids": ["gone"],
    }


def test_a_correction_may_not_make_two_options_the_same():
    with pytest.raises(ReviewError, match=r"row 7 \(q1\): the wrong answer `पोखरा` is accepted as right"):
        apply_review([question()], {"q1": Correction(answer=("पोखरा।",), row=7)}, "hi")
    with pytest.raises(ReviewError, match=r"`ख।` stands twice"):
        apply_review([question()], {"q1": Correction(negatives=("क", "ख", "ख।"))}, "hi")


def test_an_answer_that_leaves_its_passage_is_counted():
    row = question(context={"en": "Kathmandu", "hi": "राजधानी काठमांडू है।"})
    _, counts = apply_review([row], {"q1": Correction(answer=("काठमाण्डू",))}, "hi")
    assert counts["not_in_context"] == ["q1"]
    _, counts = apply_review([row], {"q1": Correction(answer=("राजधानी काठमांडू",))}, "hi")
    assert counts["not_in_context"] == []


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def sheet(tmp_path, **cells):
    path = tmp_path / "filled.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(cells))
        writer.writeheader()
        writer.writerow(cells)
    return path
