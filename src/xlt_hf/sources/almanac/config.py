# SPDX-License-Identifier: Apache-2.0
"""Settings of the almanac, a section of the study."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from xlt_hf.sources.almanac.facts import PAGE_KINDS, Relation

DEFAULT_RELATIONS: tuple[Relation, ...] = (
    "city_country",
    "city_timezone",
    "city_currency",
    "territory_currency",
    "territory_language",
    "territory_cities",
    "language_territory",
    "language_official",
    "currency_territory",
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AlmanacConfig:
    """What the almanac holds.

    Attributes:
        territory_pages: pages on countries and dependencies (there are about 240 with a Hindi name).
        city_pages: pages on cities, those of the chosen territories first (about 290).
        language_pages: pages on languages, those of the chosen territories first (about 350).
        currency_pages: pages on currencies, those of the chosen territories first (about 150).
        renderings: paragraphs of a page; each states all of its facts, in another order and in other words.
        list_items: most entries of a list in one paragraph, such as the cities of a country; which ones
            differs from paragraph to paragraph. The official languages of a country are never cut.
        relations: facts that pages state. Those that have a question are asked about.
    """

    territory_pages: Annotated[int, Field(ge=0)] = 140
    city_pages: Annotated[int, Field(ge=0)] = 200
    language_pages: Annotated[int, Field(ge=0)] = 80
    currency_pages: Annotated[int, Field(ge=0)] = 30
    renderings: Annotated[int, Field(ge=1)] = 8
    list_items: Annotated[int, Field(ge=1)] = 4
    relations: Annotated[tuple[Relation, ...], Field(min_length=1)] = DEFAULT_RELATIONS

    def pages(self) -> dict[str, int]:
        """Kind of page -> how many."""
        counts = (self.territory_pages, self.city_pages, self.language_pages, self.currency_pages)
        return dict(zip(PAGE_KINDS, counts, strict=True))
