# SPDX-License-Identifier: Apache-2.0
"""Facts about territories, cities, languages and currencies, and their names, from CLDR through `babel`.

An entity is a kind and a CLDR code, such as `territory-IN`, `city-Asia/Kolkata`, `currency-INR`. It is used
only if CLDR names it in every language of the study; a territory with no fact for a relation simply lacks it.
"""

import datetime
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages
from babel.numbers import get_currency_name, get_territory_currencies

from xlt_hf.evaluation.normalization import normalize
from xlt_hf.sources.almanac.templates import LanguageTemplates, TemplateError

PAGE_KINDS = ("territory", "city", "language", "currency")

REFERENCE_DATE = datetime.date(2025, 1, 1)
"""Day whose currencies are stated, so that the facts do not change with the calendar."""

Relation = Literal[
    "city_country",
    "city_timezone",
    "city_currency",
    "territory_currency",
    "territory_language",
    "territory_continent",
    "territory_cities",
    "language_territory",
    "language_official",
    "currency_territory",
]

ASKED: Mapping[str, bool] = {
    "city_country": True,
    "city_timezone": True,
    "city_currency": True,
    "territory_currency": True,
    "territory_language": True,
    "territory_continent": True,
    "territory_cities": False,
    "language_territory": True,
    "language_official": False,
    "currency_territory": True,
}
"""Relations, and whether they are asked about; the others are lists that pages hold, as encyclopedias do."""

# Not countries or inhabited dependencies: groupings, test codes, and places without a permanent population.
_NOT_TERRITORIES = frozenset(
    {
        "AC",
        "AQ",
        "BV",
        "CP",
        "CQ",
        "DG",
        "EA",
        "EU",
        "EZ",
        "GS",
        "HM",
        "IC",
        "IO",
        "QO",
        "TA",
        "TF",
        "UM",
        "UN",
        "XA",
        "XB",
        "ZZ",
    }
)
# CLDR's "exemplar cities" that no sentence about a city fits. A city is a settlement of any size, hamlets
# included, that goes by the zone's name (Adak and Sitka are towns as well as islands). What the name means first
# is here otherwise: an island or atoll (Saipan, Funafuti), a province or municipality whose capital is called
# otherwise (Jujuy: San Salvador de Jujuy; Bahía de Banderas), a peninsula, a station, or a whole territory by a
# shorter name (Cayman, Vatican). Those with exactly a territory's name (Aruba) go in `load_names`.
_NOT_CITIES = frozenset(
    {
        "Africa/Ceuta",
        "America/Antigua",
        "America/Argentina/Catamarca",
        "America/Argentina/Jujuy",
        "America/Argentina/Tucuman",
        "America/Bahia",
        "America/Bahia_Banderas",
        "America/Cayman",
        "America/Danmarkshavn",
        "America/Grand_Turk",
        "America/Miquelon",
        "America/Montserrat",
        "America/Noronha",
        "America/St_Kitts",
        "America/St_Lucia",
        "America/St_Thomas",
        "America/St_Vincent",
        "America/Thule",
        "America/Tortola",
        "Asia/Kamchatka",
        "Asia/Sakhalin",
        "Atlantic/Azores",
        "Atlantic/Canary",
        "Atlantic/Faroe",
        "Atlantic/Madeira",
        "Atlantic/South_Georgia",
        "Australia/Lindeman",
        "Australia/Lord_Howe",
        "Europe/Vatican",
        "Indian/Chagos",
        "Indian/Christmas",
        "Indian/Cocos",
        "Indian/Comoro",
        "Indian/Kerguelen",
        "Indian/Mahe",
        "Pacific/Bougainville",
        "Pacific/Chatham",
        "Pacific/Chuuk",
        "Pacific/Easter",
        "Pacific/Efate",
        "Pacific/Enderbury",
        "Pacific/Fakaofo",
        "Pacific/Funafuti",
        "Pacific/Galapagos",
        "Pacific/Gambier",
        "Pacific/Guadalcanal",
        "Pacific/Kanton",
        "Pacific/Kiritimati",
        "Pacific/Kosrae",
        "Pacific/Kwajalein",
        "Pacific/Majuro",
        "Pacific/Marquesas",
        "Pacific/Midway",
        "Pacific/Norfolk",
        "Pacific/Pitcairn",
        "Pacific/Pohnpei",
        "Pacific/Rarotonga",
        "Pacific/Saipan",
        "Pacific/Tahiti",
        "Pacific/Tarawa",
        "Pacific/Tongatapu",
        "Pacific/Wake",
        "Pacific/Wallis",
    }
)
# CLDR must put a zone somewhere; an almanac need not take a side.
_CONTESTED_CITIES = frozenset(
    {"Africa/El_Aaiun", "Asia/Famagusta", "Asia/Gaza", "Asia/Hebron", "Asia/Jerusalem", "Europe/Simferopol"}
)
# No longer anybody's mother tongue, or not of the place that CLDR's likely subtags give.
_NOT_SPOKEN = frozenset({"ar", "cop", "cu", "gez", "grc", "hnj", "ie", "kaw", "la", "prg", "sa", "yi"})
LARGE_SHARE = 10.0
"""Per cent of a territory's people. `babel` has CLDR's shares of speakers but not its populations, so how many
speak a language where cannot be computed, and likely subtags put Spanish in Spain and Fula in Senegal. So a
language that is official in a second territory, or that so many speak there, is given no home at all."""
# Languages that pass, though a small share of a larger territory is more: by CLDR 47's populations (cldr-core,
# territoryInfo) most speakers live elsewhere. And Niuean, Comorian: CLDR has no speakers in New Zealand, the Comoros.
_MORE_ELSEWHERE = frozenset({"ady", "ccp", "kbd", "mas", "mn", "niu", "os", "se", "swb"})
# The continents that a time zone's prefix gives. Atlantic/ and Indian/ zones are in several.
_CONTINENTS = {
    "Africa": "002",
    "America": "019",
    "Asia": "142",
    "Europe": "150",
    "Pacific": "009",
    "Australia": "009",
}
_TRANSCONTINENTAL = frozenset({"CY", "EG", "KZ", "RU", "TR"})


@dataclass(frozen=True, slots=True)
class Name:
    """What an entity is called in one language.

    Attributes:
        title: title of its page.
        text: its name in running text, without an article.
        accepted: further spellings accepted as an answer.
    """

    title: str
    text: str
    accepted: tuple[str, ...] = ()

    def answers(self) -> list[str]:
        """Accepted answers, the name in running text first."""
        return list(dict.fromkeys([self.text, *self.accepted]))


Names = Mapping[str, Mapping[str, Name]]
"""Language -> entity -> name."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`subject` stands in `relation` to each of `objects`.

    Attributes:
        relation: one of `ASKED`.
        subject: entity that has a page.
        objects: entities as the page lists them, the canonical answer first.
        also_true: entities that are accepted answers too, though the page does not list them.
        not_false: entities that are neither accepted nor fit to be a wrong answer.
    """

    relation: str
    subject: str
    objects: tuple[str, ...]
    also_true: tuple[str, ...] = ()
    not_false: tuple[str, ...] = ()


def kind_of(entity: str) -> str:
    """`city` of `city-Asia/Kolkata`."""
    return entity.partition("-")[0]


def code_of(entity: str) -> str:
    """`Asia/Kolkata` of `city-Asia/Kolkata`."""
    return entity.partition("-")[2]


def load_names(templates: Mapping[str, LanguageTemplates]) -> dict[str, dict[str, Name]]:
    """Names of the entities that every language has a name for.

    Where two entities with a page would share a name in some language, the one of the earlier kind (or code)
    stays: the city Singapore goes, the territory stays.
    """
    every = {language: _all_names(language_templates) for language, language_templates in templates.items()}
    common = sorted(set.intersection(*(set(names) for names in every.values())))
    rank = {kind: i for i, kind in enumerate(("territory", "currency", "language", "city"))}
    taken: set[tuple[str, str]] = set()
    kept = []
    for entity in sorted(common, key=lambda e: (rank.get(kind_of(e), len(rank)), e)):
        if kind_of(entity) in PAGE_KINDS:
            keys = {(lang, normalize(names[entity].text, "xl", lang)) for lang, names in every.items()}
            if keys & taken:
                continue
            taken |= keys
        kept.append(entity)
    return {language: {entity: names[entity] for entity in kept} for language, names in every.items()}


def load_facts(names: Names) -> list[Fact]:
    """All facts whose subject and objects are named, by relation and subject."""
    named = frozenset.intersection(*(frozenset(of_language) for of_language in names.values()))
    facts = [*_city_facts(named), *_territory_facts(named), *_language_facts(named), *_currency_facts(named)]
    return sorted(facts, key=lambda fact: (fact.relation, fact.subject))


def territories() -> list[str]:
    """Codes of the territories that may have a page."""
    codes = (str(code) for code in Locale("en").territories)
    return sorted(code for code in codes if re.fullmatch("[A-Z]{2}", code) and code not in _NOT_TERRITORIES)


def zone_cities() -> dict[str, str]:
    """Time zone -> CLDR's own id of it, for zones whose exemplar city is a city of one of `territories`."""
    aliases = get_global("zone_aliases")
    places = get_global("zone_territories")
    own_ids: dict[str, str] = {}
    for own_id in [*Locale("en").time_zones, *get_global("meta_zones"), *places]:
        zone = aliases.get(own_id, own_id)
        # CLDR keeps old ids (Asia/Calcutta) as its keys, and names cities under them.
        if zone not in own_ids or own_id in Locale("en").time_zones or own_id != zone:
            own_ids[zone] = own_id
    allowed = set(territories())
    excluded = _NOT_CITIES | _CONTESTED_CITIES
    return {
        zone: own_id
        for zone, own_id in sorted(own_ids.items())
        if "/" in zone
        and not zone.startswith(("Etc/", "Antarctica/"))
        and zone not in excluded
        and places.get(zone) in allowed
    }


def _all_names(templates: LanguageTemplates) -> dict[str, Name]:
    try:
        locale = Locale(templates.language)
    except UnknownLocaleError as error:
        raise TemplateError(f"{templates.path}: CLDR has no locale '{templates.language}'.") from error
    latin = _writes_latin(templates.language)
    found: dict[str, Name] = {}

    def add(kind: str, code: str, text: str | None, *accepted: str | None) -> None:
        if not text or (not latin and _has_latin(text)):
            return
        text = _plain(text, templates)
        others = tuple(dict.fromkeys(a for a in accepted if a and a != text))
        found[f"{kind}-{code}"] = Name(
            templates.page_title.get(kind, "{name}").format(name=text), text, others
        )

    for code in territories():
        name = locale.territories.get(code)
        add("territory", code, name, *_spellings(name))
    for code in sorted(set(_CONTINENTS.values())):
        add("region", code, locale.territories.get(code))
    for code, name in locale.languages.items():
        if re.fullmatch("[a-z]{2,3}", code):
            add("language", code, name, *_spellings(name))
    for code in _currencies_in_use():
        name = get_currency_name(code, count=1, locale=locale)
        if name == code:
            continue
        add("currency", code, name, locale.currencies.get(code))
        unit = templates.unit_exceptions.get(code) or _plain(name, templates).split()[templates.unit_word]
        add("unit", code, unit, name, locale.currencies.get(code))
    for zone, own_id in zone_cities().items():
        city = locale.time_zones.get(own_id, {}).get("city")
        if city is None and latin:
            # What CLDR's own rule gives where a language that writes Latin letters has no entry.
            city = own_id.rpartition("/")[2].replace("_", " ")
        add("city", zone, city, *_spellings(city))
    for zone in sorted(set(get_global("meta_zones").values())):
        long_names = locale.meta_zones.get(zone, {}).get("long", {})
        # The generic name, where there is one, is right in summer too.
        add(
            "timezone",
            zone,
            long_names.get("generic") or long_names.get("standard"),
            long_names.get("standard"),
        )
    return found | _own_names(templates, found)


def _own_names(templates: LanguageTemplates, found: Mapping[str, Name]) -> dict[str, Name]:
    """The names that the template file has in place of CLDR's."""
    unknown = sorted(set(templates.names) - set(found))
    if unknown:
        raise TemplateError(
            f"{templates.path}: `names` has {', '.join(unknown)}, which CLDR does not name in "
            f"'{templates.language}' or the almanac does not use: correct or remove it."
        )
    return {
        entity: Name(templates.page_title.get(kind_of(entity), "{name}").format(name=name), name)
        for entity, name in templates.names.items()
    }


def _plain(name: str, templates: LanguageTemplates) -> str:
    name = re.sub(r"\s*[(\[][^)\]]*[)\]]", "", unicodedata.normalize("NFC", name)).strip()
    for part in templates.drop_from_names:
        name = name.replace(part, "")
    return name


def _spellings(name: str | None) -> Iterable[str]:
    """Further accepted spellings that CLDR's name holds: itself, what its brackets hold, `and` for `&`."""
    if not name:
        return
    yield unicodedata.normalize("NFC", name)
    yield from re.findall(r"\(([^)]*)\)", name)
    if " & " in name:
        yield name.replace(" & ", " and ")


def _writes_latin(language: str) -> bool:
    return "_Latn" in get_global("likely_subtags").get(language, "_Latn")


def _has_latin(text: str) -> bool:
    return any(unicodedata.name(char, "").startswith("LATIN") for char in text)


def _currencies_in_use() -> list[str]:
    return sorted({currency for territory in territories() for currency in _currencies_of(territory)})


def _currencies_of(territory: str) -> list[str]:
    return get_territory_currencies(territory, start_date=REFERENCE_DATE, end_date=REFERENCE_DATE)


def _bare(language: str) -> str:
    """`zh` of `zh_Hant`: scripts are not told apart."""
    return language.partition("_")[0]


def _languages_of(territory: str) -> dict[str, float]:
    """Languages of a territory and their share of its population in per cent."""
    shares: dict[str, float] = defaultdict(float)
    for language, about in get_global("territory_languages").get(territory, {}).items():
        shares[_bare(language)] = max(shares[_bare(language)], about["population_percent"])
    return dict(shares)


def _officials_of(territory: str) -> list[str]:
    officials = get_official_languages(territory, de_facto=True)
    return list(dict.fromkeys(_bare(language) for language in officials))


def _entities(kind: str, codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{kind}-{code}" for code in codes)


def _facts(
    relation: str,
    subject: str,
    objects: Sequence[str],
    named: frozenset[str],
    also_true: Sequence[str] = (),
    not_false: Sequence[str] = (),
) -> list[Fact]:
    """The fact, if all that it states is named; a list with a gap would be a false statement."""
    if subject not in named or not objects or not named.issuperset(objects):
        return []
    extra = tuple(e for e in also_true if e in named and e not in objects)
    neither = tuple(e for e in not_false if e in named and e not in objects and e not in extra)
    return [Fact(relation, subject, tuple(objects), extra, neither)]


def _city_facts(named: frozenset[str]) -> list[Fact]:
    places, meta_zones = get_global("zone_territories"), get_global("meta_zones")
    facts = []
    for zone, own_id in zone_cities().items():
        city, territory = f"city-{zone}", places[zone]
        facts += _facts("city_country", city, _entities("territory", [territory]), named)
        facts += _facts("city_currency", city, _entities("currency", _currencies_of(territory)), named)
        meta_zone = meta_zones.get(own_id) or meta_zones.get(zone)
        if meta_zone:
            facts += _facts("city_timezone", city, _entities("timezone", [meta_zone]), named)
    return facts


def _territory_facts(named: frozenset[str]) -> list[Fact]:
    places = get_global("zone_territories")
    cities, prefixes = defaultdict(list), defaultdict(set)
    for zone in zone_cities():
        if f"city-{zone}" in named:
            cities[places[zone]].append(zone)
    for zone, territory in places.items():
        prefixes[territory].add(_CONTINENTS.get(zone.partition("/")[0]))
    facts = []
    for code in territories():
        territory = f"territory-{code}"
        facts += _facts("territory_currency", territory, _entities("unit", _currencies_of(code)), named)
        spoken = [language for language, share in _languages_of(code).items() if share >= 10]
        facts += _facts(
            "territory_language",
            territory,
            _entities("language", _officials_of(code)),
            named,
            not_false=_entities("language", spoken),
        )
        if (
            code not in _TRANSCONTINENTAL
            and len(prefixes[code]) == 1
            and (region := next(iter(prefixes[code])))
        ):
            facts += _facts("territory_continent", territory, _entities("region", [region]), named)
        facts += _facts("territory_cities", territory, _entities("city", sorted(cities[code])), named)
    return facts


def _language_facts(named: frozenset[str]) -> list[Fact]:
    official: dict[str, list[str]] = defaultdict(list)
    spoken: dict[str, dict[str, float]] = defaultdict(dict)
    for code in territories():
        for language in _officials_of(code):
            official[language].append(code)
        for language, share in _languages_of(code).items():
            spoken[language][code] = share
    facts = []
    for language in sorted(spoken):
        subject = f"language-{language}"
        home = home_of(language, spoken[language], official[language])
        if home:
            facts += _facts(
                "language_territory",
                subject,
                _entities("territory", [home]),
                named,
                not_false=_entities("territory", spoken[language]),
            )
        known = [e for e in _entities("territory", official[language]) if e in named]
        facts += _facts("language_official", subject, known, named)
    return facts


def home_of(language: str, shares: Mapping[str, float], official: Sequence[str]) -> str | None:
    """The territory where most speakers live, or None where that is not certain.

    Args:
        shares: territory -> per cent of its people who speak the language.
        official: territories where it is an official language.
    """
    likely = get_global("likely_subtags").get(language, "").rpartition("_")[2]
    if language in _NOT_SPOKEN | _MORE_ELSEWHERE or not shares.get(likely):
        return None
    elsewhere = {code for code, share in shares.items() if share >= LARGE_SHARE} | set(official)
    return None if elsewhere - {likely} else likely


def _currency_facts(named: frozenset[str]) -> list[Fact]:
    users = defaultdict(list)
    for code in territories():
        for currency in _currencies_of(code):
            users[currency].append(code)
    facts = []
    for currency in sorted(users):
        known = [e for e in _entities("territory", users[currency]) if e in named]
        facts += _facts("currency_territory", f"currency-{currency}", known, named)
    return facts
