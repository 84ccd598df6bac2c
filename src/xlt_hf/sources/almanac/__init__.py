# SPDX-License-Identifier: Apache-2.0
"""The almanac: short encyclopedia pages in several languages, and questions on them, from CLDR's real facts.

A page states the facts about its subject `renderings` times over, each time in another order and in other
words (`templates/*.yaml`), in all languages alike. Pages mention each other's facts: a currency's page lists
the countries that use it, a country's page its cities. Everything is decided by the seed.
"""

from collections.abc import Sequence
from dataclasses import replace

from xlt_hf.sources.almanac.config import AlmanacConfig
from xlt_hf.sources.almanac.pages import build_almanac
from xlt_hf.sources.almanac.questions import all_questions, never_wrong
from xlt_hf.sources.schema import Document, Question, QuestionBatch

__all__ = ["AlmanacConfig", "documents", "questions", "read_questions", "size"]


def documents(languages: Sequence[str], seed: int, config: AlmanacConfig) -> list[Document]:
    """The pages, by kind and CLDR code.

    Args:
        languages: codes of languages that CLDR has and `templates/` has a file for; titles are unique in the
            first one.
        seed: decides which pages there are, and how they are worded.
        config: how many pages of which kind, and what they state.

    Raises:
        TemplateError: a language or a relation without templates; the message names the file to add.
        TooFewPages: more pages are asked for than CLDR has.
    """
    almanac = build_almanac(tuple(languages), seed, config)
    pages = []
    for entity in almanac.pages:
        paragraphs = [almanac.paragraph(entity, rendering) for rendering in range(config.renderings)]
        pages.append(
            Document(
                doc_id=entity,
                title=almanac.title(entity),
                url=almanac.url(entity),
                text={
                    lang: "\n".join(paragraph[lang] for paragraph in paragraphs) for lang in almanac.languages
                },
                titles={lang: almanac.names[lang][entity].title for lang in almanac.languages},
            )
        )
    return pages


def size(languages: Sequence[str], seed: int, config: AlmanacConfig) -> int:
    """How many pages there are; arguments and errors are those of `documents`."""
    return len(build_almanac(tuple(languages), seed, config).pages)


def questions(languages: Sequence[str], seed: int, config: AlmanacConfig) -> list[Question]:
    """All candidate questions on the pages of `documents`, `nearest_pages` empty; splitting is another's job.

    Arguments and errors are those of `documents`.
    """
    return all_questions(build_almanac(tuple(languages), seed, config))[0]


def read_questions(languages: Sequence[str], seed: int, config: AlmanacConfig) -> QuestionBatch:
    """`questions` without their wrong answers, and how many facts gave none, by reason.

    Wrong answers are drawn again within each split: in a block that spans two splits, what is right in one tells what
    is wrong in the other.
    """
    almanac = build_almanac(tuple(languages), seed, config)
    found, dropped = all_questions(almanac)
    bare = [replace(question, negatives={language: [] for language in languages}) for question in found]
    return QuestionBatch(bare, dict(dropped), never=never_wrong(almanac))
