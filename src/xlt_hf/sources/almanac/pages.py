# SPDX-License-Identifier: Apache-2.0
"""Choose the pages of the almanac, and write them."""

import random
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from xlt_hf.errors import UserError
from xlt_hf.sources.almanac.config import AlmanacConfig
from xlt_hf.sources.almanac.facts import ASKED, Fact, Names, code_of, kind_of, load_facts, load_names
from xlt_hf.sources.almanac.templates import LanguageTemplates, load_templates


class TooFewPages(UserError):
    """CLDR does not have as many pages as the study asks for."""


@dataclass(frozen=True)
class Almanac:
    """Everything that pages and questions are written from.

    Attributes:
        languages: the first one gives the titles by which pages are known.
        pages: entity -> facts on its page. Lists name only entities that have a page themselves.
    """

    languages: tuple[str, ...]
    seed: int
    config: AlmanacConfig
    templates: Mapping[str, LanguageTemplates]
    names: Names
    pages: Mapping[str, tuple[Fact, ...]]

    def title(self, entity: str) -> str:
        """Title of an entity's page in the first language, unique among the pages."""
        return self.names[self.languages[0]][entity].title

    def url(self, entity: str) -> str:
        """A stable name of what the page is about; the page stands nowhere on the web."""
        return f"urn:x-cldr:{kind_of(entity)}:{code_of(entity)}"

    def draw(self, *purpose: object) -> random.Random:
        """Random numbers for one purpose. Seeded by text: the same in every process and on every machine."""
        return random.Random("|".join(map(str, (self.seed, *purpose))))

    def paragraph(self, entity: str, rendering: int | str) -> dict[str, str]:
        """All facts of a page once, by language, in the same order in each.

        A page's paragraphs go through the sentences of a relation in a shuffled order, so that none comes
        again before all have been used. A paragraph with a name instead of a number, such as a question's
        passage, only states: what it says then stands in it as accepted answers are spelled.
        """
        draw = self.draw("paragraph", entity, rendering)
        facts = [self._shortened(fact, draw) for fact in self.pages[entity]]
        draw.shuffle(facts)
        text = {}
        for language in self.languages:
            sentences = []
            for fact in facts:
                choices = (
                    self.templates[language]
                    .relation(fact.relation, asked=False)
                    .statements(len(fact.objects))
                )
                if not isinstance(rendering, int):
                    # After a question mark the answer would have a capital: "Euro." is not "euro".
                    choices = tuple(choice for choice in choices if "?" not in choice) or choices
                order = list(range(len(choices)))
                self.draw("sentences", entity, fact.relation, language).shuffle(order)
                turn = rendering if isinstance(rendering, int) else draw.randrange(len(order))
                sentences.append(self._sentence(choices[order[turn % len(order)]], fact, language))
            text[language] = " ".join(sentences)
        return text

    def _shortened(self, fact: Fact, draw: random.Random) -> Fact:
        if ASKED[fact.relation] and kind_of(fact.subject) != "currency":
            return fact
        if len(fact.objects) <= self.config.list_items:
            return fact
        picked = sorted(draw.sample(range(len(fact.objects)), self.config.list_items))
        return replace(fact, objects=tuple(fact.objects[i] for i in picked))

    def _sentence(self, template: str, fact: Fact, language: str) -> str:
        templates, names = self.templates[language], self.names[language]

        def in_text(entity: str) -> str:
            article = templates.article if entity in templates.takes_article else ""
            return article + names[entity].text

        text = template.format(
            s=in_text(fact.subject),
            S=names[fact.subject].text,
            o=templates.joined([in_text(entity) for entity in fact.objects]),
            O=templates.joined([names[entity].text for entity in fact.objects]),
        )
        return _capitalised(text)

    def question(self, template: str, subject: str, language: str) -> str:
        """A question about `subject`."""
        templates, name = self.templates[language], self.names[language][subject].text
        article = templates.article if subject in templates.takes_article else ""
        text = template.format(s=article + name, S=name)
        return _capitalised(text)


@lru_cache(maxsize=4)
def build_almanac(languages: tuple[str, ...], seed: int, config: AlmanacConfig) -> Almanac:
    """Read names and facts, and choose the pages.

    Raises:
        TemplateError: a language or a relation without templates.
        TooFewPages: the study asks for more pages of a kind than there are.
    """
    templates = load_templates(languages, {relation: ASKED[relation] for relation in config.relations})
    names = load_names(templates)
    facts = [fact for fact in load_facts(names) if fact.relation in config.relations]
    chosen = _choose(facts, names, seed, config)
    pages = defaultdict(list)
    for fact in facts:
        if fact.subject not in chosen:
            continue
        if not ASKED[fact.relation] or kind_of(fact.subject) == "currency":
            linked = tuple(entity for entity in fact.objects if entity in chosen)
            left_out = tuple(entity for entity in fact.objects if entity not in chosen)
            fact = replace(fact, objects=linked, also_true=(*fact.also_true, *left_out))
        if fact.objects:
            pages[fact.subject].append(fact)
    return Almanac(
        languages=languages,
        seed=seed,
        config=config,
        templates=templates,
        names=names,
        pages={entity: tuple(pages[entity]) for entity in sorted(pages)},
    )


def _capitalised(text: str) -> str:
    """`text` with a capital at its start and after each "? ", where an answer is a sentence of its own."""
    return re.sub(r"(?:^|(?<=\? ))\w", lambda letter: letter.group().upper(), text)


def _choose(facts: Sequence[Fact], names: Names, seed: int, config: AlmanacConfig) -> Collection[str]:
    """Pages of each kind in a seeded order, those that link to chosen territories first."""
    with_facts = {fact.subject for fact in facts if ASKED[fact.relation]}
    territories_of = defaultdict(set)
    for fact in facts:
        for entity in fact.objects:
            if kind_of(entity) == "territory":
                territories_of[fact.subject].add(entity)
    chosen: set[str] = set()
    for kind, wanted in config.pages().items():
        open_pages = sorted(entity for entity in with_facts if kind_of(entity) == kind)
        if wanted > len(open_pages):
            raise TooFewPages(
                f"The almanac has {len(open_pages)} pages about a {kind} in {' and '.join(names)}, "
                f"but {kind}_pages is {wanted}: lower it."
            )
        random.Random(f"{seed}|pages|{kind}").shuffle(open_pages)
        # A page whose country has a page too can be found out about from there: what filter 1 leaves.
        open_pages.sort(key=lambda entity: not (territories_of[entity] & chosen))
        chosen.update(open_pages[:wanted])
    return chosen
