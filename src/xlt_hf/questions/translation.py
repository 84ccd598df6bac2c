# SPDX-License-Identifier: Apache-2.0
"""The target-language side of questions that lack it, by a translation model, a chat model, and CLDR's names.

Every text is translated once and kept in the cache, so that a rerun costs nothing. Entities take the name that
they have: the title of their page in the target language, or CLDR's name, before any model's rendering of it.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tqdm import tqdm

from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.cache import Entry, ReplyCache, content_key
from xlt_hf.questions.chat import ChatError
from xlt_hf.questions.scripts import (
    has_letters,
    in_script,
    locale_of,
)
from xlt_hf.questions.spans import RULE, span_of
from xlt_hf.questions.translators import Search, SpanFinder, Translator
from xlt_hf.sources.schema import Question

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Translated:
    """Questions with both sides, and what became of the rest.

    Attributes:
        questions: those with a question and an answer in both languages, in the order that they came in.
        dropped: how many others, by reason: ``not_translated`` (there is no translator),
            ``question_untranslated``, ``context_untranslated``, ``answer_untranslated`` and
            ``answer_not_in_context``.
        counts: ``translated`` questions; of their canonical answers ``answers_by_name`` (a page's title or CLDR's
            name), ``answers_by_model`` and ``answers_found_in_context`` (by a `SpanFinder`).
    """

    questions: list[Question]
    dropped: dict[str, int]
    counts: dict[str, int]


class NameTable:
    """Source-language names -> the names that the same things have in the target language.

    A name is looked up as it stands, then in the form in which answers are compared, provided that only one thing
    has it in that form: "WHO" and "The Who" are both "who".
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._exact: dict[str, dict[str, None]] = {}
        self._spellings: dict[str, set[str]] = {}

    def add(self, name: str, target_name: str) -> None:
        """One more name; the first one that is added is the canonical one."""
        self._exact.setdefault(name, {}).setdefault(target_name)
        self._spellings.setdefault(normalize(name, RULE, self.source), set()).add(name)

    def __len__(self) -> int:
        return len(self._exact)

    def lookup(self, name: str) -> tuple[str, ...]:
        """Names in the target language, the canonical one first; empty where none is known."""
        if name in self._exact:
            return tuple(self._exact[name])
        spellings = self._spellings.get(normalize(name, RULE, self.source), set())
        found = {tuple(self._exact[spelling]) for spelling in spellings}
        return found.pop() if len(found) == 1 else ()


def name_table(
    titles: Iterable[tuple[str, str]], source: str, target: str, wanted: Iterable[str] | None = None
) -> NameTable:
    """Names from pages and from CLDR (territories, languages, currencies, scripts).

    Args:
        titles: (source title, target title) of documents; a target title that is empty, or not in the target
            language's script, tells nothing.
        source, target: codes of the two languages.
        wanted: names that will be looked up; titles of anything else are left out, as D can have millions.
    """
    table = NameTable(source)
    forms = None if wanted is None else {normalize(name, RULE, source) for name in wanted}
    for title, target_title in titles:
        if not title or not target_title or not in_script(target_title, target):
            continue
        if forms is None or normalize(title, RULE, source) in forms:
            table.add(title, target_title)
    locales = locale_of(source), locale_of(target)
    if locales[0] is not None and locales[1] is not None:
        for kind in ("territories", "languages", "currencies", "scripts"):
            names, target_names = (getattr(locale, kind) for locale in locales)
            for code, name in sorted(names.items()):
                if code in target_names and in_script(target_names[code], target):
                    table.add(name, target_names[code])
    return table


def translate_questions(
    questions: Sequence[Question],
    source: str,
    target: str,
    translator: Translator | None,
    cache: ReplyCache,
    names: NameTable,
) -> Translated:
    """Fill in what the target side of each question lacks: its text, its context, its answers.

    Args:
        questions: those that have it all are handed on as they are.
        source, target: codes of the two languages.
        translator: None if there is none: then what is not complete is dropped.
        cache: keeps translations.
        names: from `name_table`.

    Returns:
        Rows whose target side a model has written, be it in part, have `hi_source` ``machine:<model>``. In a
        row with a context every accepted answer stands in the context, letter by letter.

    Raises:
        ChatError, TranslationError: the model cannot be used; translations that have come are kept.
    """
    counts: Counter[str] = Counter()
    lacking = [question for question in questions if _lacks(question, source, target)]
    texts = {text for question in lacking for text in _texts(question, source, target, names)}
    if translator is None:
        translations: Mapping[str, str] = {}
    else:
        translations = translate_texts(sorted(texts), source, target, translator, cache)
    # Each question with its target side, or the reason why it has none.
    rows: list[Question | str] = []
    for question in questions:
        if not _lacks(question, source, target):
            rows.append(question)
        elif translator is None:
            rows.append("not_translated")
        else:
            rows.append(_translated(question, source, target, translator.name, translations, names, counts))
    lost = [i for i, row in enumerate(rows) if row == "answer_not_in_context"]
    if lost and isinstance(translator, SpanFinder):
        searches = [_search(questions[i], source, target, translations) for i in lost]
        for i, search, span in zip(lost, searches, translator.find_spans(searches), strict=True):
            if span:
                text = questions[i].question.get(target) or translations[search.question]
                rows[i] = _complete(
                    questions[i], target, text, search.context, [span], f"machine:{translator.name}"
                )
                counts["answers_found_in_context"] += 1
    kept = [row for row in rows if isinstance(row, Question)]
    counts["translated"] = sum(
        isinstance(row, Question) and row is not question
        for row, question in zip(rows, questions, strict=True)
    )
    dropped = Counter(row for row in rows if isinstance(row, str))
    return Translated(kept, dict(sorted(dropped.items())), dict(sorted(counts.items())))


def translate_texts(
    texts: Sequence[str], source: str, target: str, translator: Translator, cache: ReplyCache
) -> dict[str, str]:
    """Text -> translation, `""` where there is none. Texts without letters are their own translation.

    Longest first: texts of like length share a batch, and a batch that does not fit in memory fails at once.
    """
    wanted = sorted({text for text in texts if has_letters(text)}, key=lambda text: (-len(text), text))
    keys = [
        content_key("translation", translator.name, translator.settings, source, target, text)
        for text in wanted
    ]

    def compute(positions: list[int]) -> Iterator[dict[int, Entry]]:
        done = translator.translate([wanted[position] for position in positions])
        yield {position: Entry(text) for position, text in zip(positions, done, strict=True)}

    with tqdm(total=len(wanted), desc=f"Translating ({translator.name})", unit="text", disable=None) as bar:
        try:
            entries = cache.fill(
                keys, compute, model=translator.name, batch_size=translator.batch_texts, progress=bar.update
            )
        except ChatError as error:
            done = len(cache.get(keys))
            raise type(error)(f"{error} In all {done} of {len(wanted)} texts are translated.") from error
    translations = {text: text for text in texts if not has_letters(text)}
    translations.update((text, entry.value or "") for text, entry in zip(wanted, entries, strict=True))
    return translations


def _lacks(question: Question, source: str, target: str) -> bool:
    return (
        not question.question.get(target)
        or not question.answer.get(target)
        or bool(question.context.get(source)) > bool(question.context.get(target))
    )


def _texts(question: Question, source: str, target: str, names: NameTable) -> Iterator[str]:
    """What a model has to translate."""
    if not question.question.get(target):
        yield question.question[source] or ""
    context = question.context.get(source)
    if context and not question.context.get(target):
        yield context
    if not question.answer.get(target):
        # A name may stand in a translated context in another form.
        yield from (answer for answer in question.answer[source] if context or not names.lookup(answer))


def _translated(
    question: Question,
    source: str,
    target: str,
    model: str,
    translations: Mapping[str, str],
    names: NameTable,
    counts: Counter[str],
) -> Question | str:
    """The question with its target side, or the reason why it has none."""
    text = question.question.get(target) or translations.get(question.question[source] or "", "")
    if not text or not in_script(text, target):
        return "question_untranslated"
    context, new_context = question.context.get(target), False
    if not context and question.context.get(source):
        context, new_context = translations[question.context[source] or ""], True
        if not context or not in_script(context, target):
            return "context_untranslated"
    answers, named, new_answers = list(question.answer.get(target) or ()), True, False
    if not answers:
        answers, known = _answers(question, source, target, translations, names)
        if not answers:
            return "answer_untranslated"
        named, new_answers = answers[0] in known, True
    if context and (new_context or new_answers):
        spans = [span_of(answer, context, target) for answer in answers]
        named = named and spans[0] is not None
        answers = list(dict.fromkeys(span for span in spans if span is not None))
        if not answers:
            return "answer_not_in_context"
    if new_answers:
        counts["answers_by_name" if named else "answers_by_model"] += 1
    machine = not question.question.get(target) or new_context or not named
    return _complete(
        question, target, text, context, answers, f"machine:{model}" if machine else question.hi_source
    )


def _complete(
    question: Question, target: str, text: str, context: str | None, answers: list[str], hi_source: str
) -> Question:
    return dataclasses.replace(
        question,
        question={**question.question, target: text},
        context={**question.context, target: context},
        answer={**question.answer, target: answers},
        hi_source=hi_source,
    )


def _search(question: Question, source: str, target: str, translations: Mapping[str, str]) -> Search:
    context = question.context.get(target) or translations[question.context[source] or ""]
    return Search(context, question.question[source] or "", question.answer[source][0])


def _answers(
    question: Question, source: str, target: str, translations: Mapping[str, str], names: NameTable
) -> tuple[list[str], list[str]]:
    """Accepted spellings, each once as the primary rule sees it, and those of them that are known names.

    The canonical answer decides which one is canonical here: by its name if it has one. A rendering in another
    script than the target language's is no translation.
    """
    known = [name for answer in question.answer[source] for name in names.lookup(answer)]
    rendered = [translations.get(answer, "").strip() for answer in question.answer[source]]
    first = [] if names.lookup(question.answer[source][0]) else rendered[:1]
    distinct: dict[str, str] = {}
    for text in (*first, *known, *rendered):
        form = normalize(text, RULE, target)
        if form and in_script(text, target):
            distinct.setdefault(form, text)
    return list(distinct.values()), known
