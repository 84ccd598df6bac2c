# SPDX-License-Identifier: Apache-2.0
"""The almanac: short encyclopedia pages in several languages, and questions on them, from CLDR's real facts.

A page states the facts about its subject `renderings` times over, each time in another order and in other words
(`templates/*.yaml`), in all languages alike. Pages mention each other's facts: a currency's page lists the countries
that use it, a country's page its cities. Everything is decided by the seed.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from xlt_hf.errors import UserError
from xlt_hf.sources.almanac.facts import ASKED, PAGE_KINDS, Fact, Names, code_of, kind_of, load_facts, load_names
from xlt_hf.sources.almanac.negatives import draw_negatives
from xlt_hf.sources.almanac.templates import LanguageTemplates, load_templates
from xlt_hf.sources.schema import Document, Question
