# SPDX-License-Identifier: Apache-2.0
"""The one schema of documents and questions, whatever they come from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One aligned document of D.

    Attributes:
        doc_id: stable id; a prefix up to the first `-` names the kind of page, where a source has kinds.
        title: title in the source language, unique within D: the key by which questions name their page.
        url: address of the page.
        text: language code -> text.
        titles: language code -> title in that language.
    """

    doc_id: str
    title: str
    url: str
    text: Mapping[str, str]
    titles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """One bilingual question, in the form of the paper's Table 5.

    Attributes:
        id: stable id.
        title: source-language title of the page that answers it.
        url: address of that page.
        relation: what is asked for, such as `currency`; `""` where a source has no relations.
        context: language code -> passage that holds an answer, or None.
        question: language code -> question.
        answer: language code -> accepted answers, the canonical one first.
        negatives: language code -> three wrong answers of the right type, parallel over languages.
        nearest_pages: titles of the pages nearest to `title`, itself first; filled by `build_qa`.
        hi_source: where the target-language text comes from.
    """

    id: str
    title: str
    url: str
    relation: str
    context: Mapping[str, str | None]
    question: Mapping[str, str]
    answer: Mapping[str, list[str]]
    negatives: Mapping[str, list[str]]
    nearest_pages: list[str]
    hi_source: str
