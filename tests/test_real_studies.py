# SPDX-License-Identifier: Apache-2.0
"""The data stages on real files, from the sources' own repositories on an embedded Hub to published datasets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.chat_server import chat_server, translates
from tests.hub_server import RunningHub, start_hub
from tests.seeding import (
    nq_open_rows,
    own_namespaces,
    seed_nq_open,
    seed_squad_sample,
    seed_wiki_translate_sample,
    seed_xquad,
    wiki_translate_rows,
)
from xlt_hf.recipe import ROOT
from xlt_hf.study import STUDIES_FOLDER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with start_hub(tmp_path_factory.mktemp("hub")) as running:
        own_namespaces(running.root)
        seed_xquad(running.api())
        seed_squad_sample(running.api())
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


def recipe(hub: RunningHub, place, name, *flags, check=True, **variables):
    environment = {
        **hub.environment(place / "home"),
        "XLT_HF_CACHE": str(place / "replies.sqlite3"),
        **variables,
    }
    command = [sys.executable, str(ROOT / "recipes" / f"{name}.py"), *flags]
    done = subprocess.run(
        command,
        cwd=place,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=800,
    )
    if check:
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def heads(hub: RunningHub) -> dict[str, str]:
    return {d.id: d.sha for d in hub.api().list_datasets(author="xlt-hf", full=True)}


def test_the_xquad_study_runs_from_sources_to_corpora(hub, place):
    recipe(hub, place, "train_tokenizer", "--study", "xquad")
    recipe(hub, place, "build_qa", "--study", "xquad")
    out = recipe(hub, place, "build_corpora", "--study", "xquad").stdout
    assert "filter-4" in out
    found = json.loads(
        hub.run_client(
            """
import json
from datasets import load_dataset
corpora = [load_dataset("xlt-hf/xquad-corpora", f"filter-{k}") for k in range(5)]
validation = load_dataset("xlt-hf/xquad-corpora", "validation")
squad, closed = load_dataset("xlt-hf/xquad-squad"), load_dataset("xlt-hf/xquad-closed")
spans = all(any(a in q["context"][l] for a in q["answer"][l]) for s in squad.values() for q in s for l in ("en", "hi"))
hindi = [set(c["hi"]["doc_id"]) for c in corpora]
title = dict(zip(corpora[0]["en"]["title"], corpora[0]["en"]["doc_id"]))
print(json.dumps({
    "tokens": [sum(c["hi"]["n_tokens"]) for c in corpora],
    "longest": max(max(c["hi"]["n_tokens"]) for c in corpora),
    "documents": len(corpora[4]["en"]) + len(set(corpora[4]["hi"]["doc_id"]) - set(corpora[4]["en"]["doc_id"])) + len(validation["en"]),
    "pages": {split: sorted(set(rows["title"])) for split, rows in squad.items()},
    "spans": spans,
    "gone": all(title[t] not in hindi[1] for t in set(squad["test"]["title"])),
    "kept": all(title[t] in h for h in hindi for t in set(squad["control"]["title"])),
    "negatives": sorted({len(q["negatives"][l]) for s in squad.values() for q in s for l in ("en", "hi")}),
    "no_context": all(q["context"]["hi"] is None for q in closed["test"]),
    "hi_source": sorted({q["hi_source"] for s in squad.values() for q in s}),
}))
""",
            place / "client",
        )
    )
    assert found["documents"] == 48
    assert max(found["tokens"]) - min(found["tokens"]) <= max(0.001 * max(found["tokens"]), found["longest"])
    assert {split: len(pages) for split, pages in found["pages"].items()} == {
        "train": 4,
        "test": 5,
        "control": 5,
    }
    assert found["spans"]
    assert found["gone"]
    assert found["kept"]
    assert found["no_context"]
    assert found["negatives"] == [3]
    assert found["hi_source"] == ["human"]
    card = hub.api().hf_hub_download(
        "xlt-hf/xquad-squad", "README.md", repo_type="dataset", local_dir=place / "card"
    )
    text = open(card, encoding="utf-8").read()
    for stated in (
        "google/xquad",
        "rajpurkar/squad",
        "cc-by-sa-4.0",
        "| human |",
        "python recipes/build_qa.py --study xquad",
    ):
        assert stated in text


def test_a_rerun_reads_no_text_and_publishes_nothing_new(hub, place):
    before = heads(hub)
    for name in ("train_tokenizer", "build_qa", "build_corpora"):
        assert "nothing new" in recipe(hub, place, name, "--study", "xquad").stdout
    assert heads(hub) == before


def test_a_dry_run_of_the_paper_names_sources_sizes_and_the_reserve_rule(hub, place):
    seed_wiki_translate_sample(hub.api(), wiki_translate_rows())
    before = heads(hub)
    for name in ("build_qa", "build_corpora"):
        plan = json.loads(recipe(hub, place, name, "--study", "paper", "--dry_run").stdout)
        (source,) = plan["counts"]["sources"]
        assert source.startswith("ai4bharat/wiki-translate at ")
        assert len(source.split(" at ")[1]) == 40
        assert plan["counts"]["documents"] > 0
        assert plan["counts"]["reserve"]["verdict"].startswith("infeasible"), (
            "a sample of the source is too small"
        )
    assert heads(hub) == before


@pytest.fixture(scope="module")
def own_study(hub, place):
    """A study on documents and questions of one's own: NQ-open's real questions, each on a page made for it."""
    seed_nq_open(hub.api())
    rows = nq_open_rows()[:90]
    with open(place / "pages.jsonl", "w", encoding="utf-8") as file:
        for i, row in enumerate(rows):
            english = f"{row['question']} {row['answer'][0]}. Page {i} says so. " + f"word{i} " * (5 + i % 7)
            page = {
                "doc_id": f"p{i}",
                "title": f"Page {i}",
                "source_text": english,
                "target_text": f"पृष्ठ {i} " * (9 + i % 5),
            }
            file.write(json.dumps(page, ensure_ascii=False) + "\n")
        file.write(
            json.dumps({"doc_id": "p0", "title": "again", "source_text": "x", "target_text": "य"}) + "\n"
        )
    with open(place / "titles.jsonl", "w", encoding="utf-8") as file:
        for i, row in enumerate(rows):
            file.write(json.dumps({"question": row["question"], "title": f"Page {i}"}) + "\n")
    data = yaml.safe_load((STUDIES_FOLDER / "xquad.yaml").read_text(encoding="utf-8"))
    chat = {"model": "tiny", "base_url": "http://127.0.0.1:9/v1", "attempts": 2, "backoff_s": 0.01}
    data |= {
        "name": "mine",
        "documents": {"source": "files", "max_rejected": 0.02, "files": {"files": ["pages.jsonl"]}},
        "questions": {
            "nq": {
                "source": "nq_open",
                "nq_open": {"titles": {"files": ["titles.jsonl"], "key": "question"}},
                "translation": {"kind": "chat", "chat": chat},
            }
        },
        "tasks": {"nq": {"kind": "closed_book"}, "mcq": {"kind": "multiple_choice"}},
        "splits": {"unit": "questions", "test": 12, "train": 8, "control": 12},
    }
    data["finetuning"] = {"nq": data["finetuning"]["closed"], "mcq": data["finetuning"]["mcq"]}
    path = place / "mine.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return str(path)


def test_an_unreachable_model_or_a_missing_key_is_said_and_nothing_is_published(hub, place, own_study):
    for variables, message in (({}, "CHAT_API_KEY"), ({"CHAT_API_KEY": "sk-secret"}, "127.0.0.1:9")):
        done = recipe(hub, place, "build_qa", "--study", own_study, check=False, **variables)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stderr.count("error: ") == 1
        assert "Traceback" not in done.stderr
        assert "sk-secret" not in done.stderr + done.stdout
    assert "xlt-hf/mine-nq" not in heads(hub)


def test_nq_open_questions_are_translated_once_and_published_in_the_papers_form(hub, place, own_study):
    with chat_server(translates, key="sk-secret") as server:
        flags = ("--study", own_study, "--set", f"questions.nq.translation.chat.base_url={server.base_url}")
        recipe(hub, place, "build_qa", *flags, CHAT_API_KEY="sk-secret")
        paid = sum(server.paid.values())
        assert paid > 0
        again = recipe(hub, place, "build_qa", *flags, CHAT_API_KEY="sk-secret")
        assert "nothing new" in again.stdout
        recipe(
            hub,
            place,
            "build_qa",
            *flags,
            "--replace",
            "--set",
            "seed=1",
            flags[-1],
            CHAT_API_KEY="sk-secret",
        )
        assert max(server.paid.values()) == 1, "nothing is paid for twice"
    rows = json.loads(
        hub.run_client(
            """
import json
from datasets import load_dataset
data = load_dataset("xlt-hf/mine-nq")
print(json.dumps({split: rows.to_list() for split, rows in data.items()}))
""",
            place / "client",
        )
    )
    manifest = json.loads(
        Path(
            hub.api().hf_hub_download(
                "xlt-hf/mine-nq", "manifest.json", repo_type="dataset", local_dir=place / "m"
            )
        ).read_text()
    )
    dropped = manifest["counts"]["dropped"]
    lost = sum(
        dropped.get(reason, 0)
        for reason in ("too_few_negatives", "answer_untranslated", "question_untranslated")
    )
    assert sum(map(len, rows.values())) + lost == 8 + 12 + 12, "every drawn question is there or counted"
    assert min(map(len, rows.values())) >= 4
    originals = {row["question"]: row["answer"] for row in nq_open_rows()}
    for row in (row for found in rows.values() for row in found):
        assert row["answer"]["en"] == list(dict.fromkeys(originals[row["question"]["en"]]))
        assert row["question"]["hi"]
        assert row["answer"]["hi"]
        assert row["hi_source"] == "machine:tiny"
        assert row["nearest_pages"][0] == row["title"]
        assert len(row["negatives"]["hi"]) == len(row["negatives"]["en"]) == 3
