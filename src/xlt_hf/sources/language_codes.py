# SPDX-License-Identifier: Apache-2.0
"""How AI4Bharat's datasets name languages: ISO 639-3 and script, `hin_Deva`, derived from CLDR."""

from functools import cache


@cache
def script_codes(language: str) -> tuple[str, ...]:
    """Names that a language code can have, likeliest first: `hi` -> `hin_Deva`; `ne` -> `npi_Deva`, `nep_Deva`.

    CLDR maps three-letter codes to the short ones, those of a single language as well as those of its macrolanguage.
    Empty for a language without a likely script.
    """
    from babel.core import get_global

    likely = get_global("likely_subtags").get(language)
    if likely is None:
        return ()
    script = likely.split("_")[1]
    long_codes = [code for code, short in get_global("language_aliases").items() if short == language]
    return tuple(f"{code}_{script}" for code in (*long_codes, *([language] if len(language) == 3 else [])))
