# SPDX-License-Identifier: Apache-2.0
"""One form of page titles for documents and questions."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.sources.hub_files import LocalFiles
from xlt_hf.sources.language_codes import script_codes
from xlt_hf.sources.titles import TitleTableConfig, page_title, page_url, raw_title, title_rows


def test_one_title_for_every_way_to_write_it():
    assert page_title("Super_Bowl_50") == page_title(" Super  Bowl 50\n") == "Super Bowl 50"
    decomposed = unicodedata.normalize("NFD", "Beyoncé")
    assert page_title(decomposed) == "Beyoncé" != decomposed
    assert page_title("AC/DC") == "AC/DC"


@given(st.text())
def test_it_is_its_own_form(text):
    assert page_title(page_title(text)) == page_title(text)


def test_raw_values_that_are_no_text_stay():
    assert raw_title(b"Fresno,_California") == "Fresno, California"
    assert raw_title(b"\xff_\xfe") == b"\xff_\xfe"
    assert raw_title(None) is None
    assert raw_title(3) == 3


def test_addresses():
    assert page_url("Beyoncé & AC/DC?", "en") == "https://en.wikipedia.org/wiki/Beyonc%C3%A9_%26_AC/DC%3F"


def test_codes_of_languages():
    assert script_codes("en") == ("eng_Latn",)
    assert script_codes("hi") == ("hin_Deva",)
    assert "npi_Deva" in script_codes("ne")
    assert "ory_Orya" in script_codes("or")
    assert script_codes("mai") == ("mai_Deva",)
    assert script_codes("qqq") == ()


def test_a_table_without_titles_for_all(tmp_path):
    path = tmp_path / "titles.jsonl"
    path.write_text(
        '{"q": "who", "t": "A_B"}\n{"q": "what", "t": null}\n{"q": 3, "t": ["x"]}\n{"q": 4, "t": "C"}\n'
    )
    config = TitleTableConfig(files=(str(path),), key="q", title="t")
    assert list(title_rows(config, LocalFiles())) == [("who", "A B", None), (4, "C", None)]
