# SPDX-License-Identifier: Apache-2.0
"""The sentences of one language, read from `templates/<language>.yaml`; a new language is one more file."""

import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xlt_hf.errors import UserError

TEMPLATES_FOLDER = Path(__file__).parent / "templates"
_FIELDS = frozenset({"s", "S", "o", "O"})
_KEYS = frozenset(
    {
        "language",
        "list",
        "page_title",
        "drop_from_names",
        "names",
        "article",
        "takes_article",
        "currency_unit",
        "relations",
    }
)


class TemplateError(UserError):
    """A template file is missing, or lacks something."""


@dataclass(frozen=True)
class RelationTemplates:
    """How one relation is stated and asked about.

    Attributes:
        one: sentences for one object.
        many: sentences for several objects.
        questions: parallel over the languages; empty where the relation is not asked about.
    """

    one: tuple[str, ...]
    many: tuple[str, ...]
    questions: tuple[str, ...]

    def statements(self, objects: int) -> tuple[str, ...]:
        """The sentences that fit so many objects."""
        return self.one if objects == 1 else self.many


@dataclass(frozen=True)
class LanguageTemplates:
    """One template file.

    Attributes:
        names: entity -> its name, where CLDR's will not do.
    """

    language: str
    path: Path
    between: str
    last: str
    page_title: Mapping[str, str]
    drop_from_names: tuple[str, ...]
    names: Mapping[str, str]
    article: str
    takes_article: frozenset[str]
    unit_word: int
    unit_exceptions: Mapping[str, str]
    relations: Mapping[str, RelationTemplates]

    def joined(self, names: Sequence[str]) -> str:
        """`a, b and c`."""
        if len(names) == 1:
            return names[0]
        return self.between.join(names[:-1]) + self.last + names[-1]

    def relation(self, name: str, *, asked: bool) -> RelationTemplates:
        """The templates of one relation.

        Raises:
            TemplateError: the file has none, or no questions where `asked`.
        """
        found = self.relations.get(name)
        if found is None:
            raise TemplateError(
                f"{self.path} has no sentences for the relation '{name}': add a section relations.{name} "
                "with `statements` and `questions`, as in en.yaml, or leave the relation out of the study."
            )
        if asked and not found.questions:
            raise TemplateError(
                f"{self.path} has no questions for the relation '{name}': add relations.{name}.questions."
            )
        return found


def load_templates(languages: Sequence[str], relations: Mapping[str, bool]) -> dict[str, LanguageTemplates]:
    """The template files of some languages, checked.

    Args:
        languages: codes, such as `hi`.
        relations: relations that the study uses -> whether they are asked about.

    Raises:
        TemplateError: names the file to add, or what a file lacks.
    """
    loaded = {language: _read(language) for language in languages}
    for name, asked in relations.items():
        counts = {
            language: len(templates.relation(name, asked=asked).questions)
            for language, templates in loaded.items()
        }
        # A question is asked by the same template in all languages.
        if asked and len(set(counts.values())) > 1:
            listed = ", ".join(f"{loaded[language].path.name} {n}" for language, n in counts.items())
            raise TemplateError(f"relations.{name}.questions must be parallel, but there are: {listed}.")
    return loaded


def _read(language: str) -> LanguageTemplates:
    path = TEMPLATES_FOLDER / f"{language}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in TEMPLATES_FOLDER.glob("*.yaml")))
        raise TemplateError(
            f"The almanac has no templates for the language '{language}': add {path}, "
            f"with the keys of en.yaml. Languages with templates: {known}."
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TemplateError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict) or raw.get("language") != language:
        raise TemplateError(f"{path} must hold a mapping with `language: {language}`.")
    unknown = sorted(set(raw) - _KEYS)
    if unknown:
        raise TemplateError(f"{path}: unknown keys {', '.join(unknown)}; known: {', '.join(sorted(_KEYS))}.")
    unit = raw.get("currency_unit") or {}
    words = {"first": 0, "last": -1}
    if unit.get("word") not in words:
        raise TemplateError(
            f"{path}: currency_unit.word must be `first` or `last`, "
            "the word of a currency's name that is its unit."
        )
    listing = raw.get("list") or {}
    if not listing.get("between") or not listing.get("last"):
        raise TemplateError(f"{path}: `list` must have `between` and `last`, such as ', ' and ' and '.")
    return LanguageTemplates(
        language=language,
        path=path,
        between=listing["between"],
        last=listing["last"],
        page_title=_checked_titles(raw.get("page_title") or {}, path),
        drop_from_names=tuple(raw.get("drop_from_names") or ()),
        names=_checked_names(raw.get("names") or {}, path),
        article=raw.get("article", ""),
        takes_article=frozenset(raw.get("takes_article") or ()),
        unit_word=words[unit["word"]],
        unit_exceptions=dict(unit.get("except") or {}),
        relations={name: _relation(name, body, path) for name, body in (raw.get("relations") or {}).items()},
    )


def _checked_names(names: Any, path: Path) -> Mapping[str, str]:
    if not isinstance(names, dict) or not all(isinstance(n, str) and n.strip() for n in names.values()):
        raise TemplateError(f"{path}: `names` must map entities, such as language-nds, to their names.")
    return dict(names)


def _checked_titles(titles: Mapping[str, str], path: Path) -> Mapping[str, str]:
    for kind, title in titles.items():
        _check_fields(title, {"name"}, {"name"}, f"{path}: page_title.{kind}")
    return dict(titles)


def _relation(name: str, body: Any, path: Path) -> RelationTemplates:
    where = f"{path}: relations.{name}"
    statements = body.get("statements") if isinstance(body, dict) else None
    if isinstance(statements, dict):
        one, many = tuple(statements.get("one") or ()), tuple(statements.get("many") or ())
    else:
        one = many = tuple(statements or ())
    if not one or not many:
        raise TemplateError(
            f"{where}.statements must be a list of sentences, or `one` and `many` with a list each."
        )
    for sentence in (*one, *many):
        used = _check_fields(sentence, set(), _FIELDS, f"{where}.statements")
        if not used & {"s", "S"} or not used & {"o", "O"}:
            raise TemplateError(
                f"{where}.statements: {sentence!r} must name its subject {{s}} and its object {{o}}."
            )
    questions = tuple(body.get("questions") or ())
    for question in questions:
        used = _check_fields(question, set(), {"s", "S"}, f"{where}.questions")
        if not used:
            raise TemplateError(f"{where}.questions: {question!r} must name its subject {{s}}.")
    return RelationTemplates(one, many, questions)


def _check_fields(text: str, needed: Collection[str], allowed: Collection[str], where: str) -> set[str]:
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise TemplateError(f"{where}: {text!r} is not a template: {error}.") from error
    if used - set(allowed) or set(needed) - used:
        known = ", ".join(f"{{{field}}}" for field in sorted(allowed))
        raise TemplateError(f"{where}: {text!r} may use {known} and nothing else.")
    return used
