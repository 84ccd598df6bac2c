# SPDX-License-Identifier: Apache-2.0
"""Questions on the almanac's pages, with wrong answers that look as right as the right ones."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.blocks import BLOCK, Candidate, draw_negatives
from xlt_hf.sources.almanac.facts import ASKED, Fact, code_of
from xlt_hf.sources.almanac.pages import Almanac
from xlt_hf.sources.schema import Question

_SHARED_START = 3


def all_questions(almanac: Almanac) -> tuple[list[Question], dict[str, int]]:
    """Candidate questions, and how many facts gave none, by reason.

    Reasons: ``given_away`` (`is_given_away`) and ``too_few_negatives``.
    """
    dropped: Counter[str] = Counter()
    by_relation: dict[str, list[Fact]] = defaultdict(list)
    for facts in almanac.pages.values():
        for fact in facts:
            if not ASKED[fact.relation]:
                continue
            if is_given_away(almanac, fact):
                dropped["given_away"] += 1
            else:
                by_relation[fact.relation].append(fact)
    questions = []
    for relation in sorted(by_relation):
        asked = by_relation[relation]
        for fact, negatives in zip(asked, _negatives(almanac, relation, asked), strict=True):
            if len(negatives) < BLOCK - 1:
                dropped["too_few_negatives"] += 1
            else:
                questions.append(_question(almanac, fact, negatives))
    return questions, dict(dropped)


def never_wrong(almanac: Almanac) -> dict[str, dict[str, list[str]]]:
    """Question id -> language -> names that are neither an accepted answer nor fit to be a wrong one.

    For drawing the wrong answers again, such as within each split.
    """
    return {
        _question_id(fact): {
            language: [
                spelling
                for entity in fact.not_false
                for spelling in almanac.names[language][entity].answers()
            ]
            for language in almanac.languages
        }
        for facts in almanac.pages.values()
        for fact in facts
        if ASKED[fact.relation] and fact.not_false
    }


def _question_id(fact: Fact) -> str:
    return f"{fact.relation}-{code_of(fact.subject)}"


def is_given_away(almanac: Almanac, fact: Fact) -> bool:
    """Whether the page's name and an accepted answer resemble each other in some language.

    They do if one holds the other (Mexico City, Mexico), or if both start alike for half of the shorter one
    (Sweden, Swedish): such a question can be answered without having read the page.
    """
    for language in almanac.languages:
        names = almanac.names[language]
        subject = normalize(names[fact.subject].text, "xl", language)
        for entity in (*fact.objects, *fact.also_true):
            for spelling in names[entity].answers()[:1]:
                answer = normalize(spelling, "xl", language)
                if answer in subject or subject in answer or _start_alike(subject, answer):
                    return True
    return False


def _start_alike(a: str, b: str) -> bool:
    shared = 0
    while shared < min(len(a), len(b)) and a[shared] == b[shared]:
        shared += 1
    return shared >= _SHARED_START and 2 * shared >= min(len(a), len(b))


def _question(almanac: Almanac, fact: Fact, negatives: Sequence[tuple[str, ...]]) -> Question:
    draw = almanac.draw("question", fact.relation, fact.subject)
    templates = {
        language: almanac.templates[language].relation(fact.relation, asked=True).questions
        for language in almanac.languages
    }
    turn = draw.randrange(len(templates[almanac.languages[0]]))
    context = almanac.paragraph(fact.subject, "context")
    return Question(
        id=_question_id(fact),
        title=almanac.title(fact.subject),
        url=almanac.url(fact.subject),
        relation=fact.relation,
        context=dict(context),
        question={
            language: almanac.question(templates[language][turn], fact.subject, language)
            for language in almanac.languages
        },
        answer={
            language: _accepted(almanac, fact, language, context[language]) for language in almanac.languages
        },
        negatives={
            language: [negative[i] for negative in negatives] for i, language in enumerate(almanac.languages)
        },
        nearest_pages=[],
        hi_source="cldr",
    )


def _accepted(almanac: Almanac, fact: Fact, language: str, context: str) -> list[str]:
    """Accepted answers, each once as the primary scoring rule sees it, one that the context holds first."""
    names = almanac.names[language]
    shown = [names[entity].text for entity in fact.objects]
    # A long list is cut in the context, and the canonical answer must be found there.
    shown.sort(key=lambda text: text not in context)
    others = [spelling for e in (*fact.objects, *fact.also_true) for spelling in names[e].answers()]
    distinct: dict[str, str] = {}
    for answer in (*shown, *others):
        distinct.setdefault(normalize(answer, "xl", language), answer)
    return list(distinct.values())


def _negatives(almanac: Almanac, relation: str, facts: Sequence[Fact]) -> list[list[tuple[str, ...]]]:
    languages = almanac.languages

    def normalise(answer: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            normalize(text, "xl", language) for text, language in zip(answer, languages, strict=True)
        )

    candidates = []
    for fact in facts:
        true = (*fact.objects, *fact.also_true, *fact.not_false)
        candidates.append(
            Candidate(
                answer=tuple(almanac.names[language][fact.objects[0]].text for language in languages),
                excluded=tuple(
                    frozenset(
                        normalize(spelling, "xl", language)
                        for entity in true
                        for spelling in almanac.names[language][entity].answers()
                    )
                    for language in languages
                ),
            )
        )
    return draw_negatives(candidates, normalise, almanac.draw("negatives", relation))
