# SPDX-License-Identifier: Apache-2.0
"""What `/api/validate-yaml` accepts in a card."""

import re
from typing import Any

from xlt_hf.localhub.cards import CardError, parse_card
from xlt_hf.localhub.repos import SPACE_SDKS

_LICENSES_TEXT = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda
cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0
cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0
etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research
intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0
postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community
gemma unknown other
"""
LICENSES = tuple(_LICENSES_TEXT.split())
_COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual")
_TEXT_LISTS = {
    "model": ("tags", "datasets", "metrics", "base_model"),
    "dataset": (
        "tags",
        "task_categories",
        "task_ids",
        "size_categories",
        "source_datasets",
        "multilinguality",
    ),
    "space": ("tags", "models", "datasets"),
}
_TEXTS = {
    "model": (
        *("library_name", "pipeline_tag", "license_name", "license_link", "base_model_relation", "thumbnail"),
    ),
    "dataset": ("pretty_name", "license_name", "license_link", "viewer_type"),
    "space": ("title", "app_file", "short_description", "license_name", "license_link"),
}


def validate_card(content: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Errors and warnings of a card's metadata."""
    try:
        card = parse_card(content)
    except CardError as error:
        return [f"Invalid YAML: {error}"], []
    if card is None:
        return [], ["empty or missing yaml metadata in repo card"]
    errors: list[str] = []
    warnings: list[str] = []
    for key in _TEXT_LISTS[repo_type]:
        errors += _text_list(card, key)
    for key in _TEXTS[repo_type]:
        if key in card and not isinstance(card[key], str):
            errors.append(f'"{key}" must be a string')
    errors += _license(card)
    errors += _language(card)
    if repo_type == "model":
        errors += _model_index(card)
    elif repo_type == "dataset":
        errors += _configs(card)
    else:
        errors += _space(card)
    if card.get("license") == "other" and "license_name" not in card:
        warnings.append('"license_name" is recommended when "license" is "other"')
    return errors, warnings


def _text_list(card: dict[str, Any], key: str) -> list[str]:
    if key not in card or isinstance(card[key], str):
        return []
    if not isinstance(card[key], list):
        return [f'"{key}" must be a string or an array of strings']
    return [f'"{key}[{i}]" must be a string' for i, item in enumerate(card[key]) if not isinstance(item, str)]


def _license(card: dict[str, Any]) -> list[str]:
    if "license" not in card:
        return []
    values = card["license"] if isinstance(card["license"], list) else [card["license"]]
    known = ", ".join(LICENSES)
    return [f'"license" must be one of [{known}]' for value in values if value not in LICENSES][:1]


def _language(card: dict[str, Any]) -> list[str]:
    if "language" not in card:
        return []
    values = card["language"] if isinstance(card["language"], list) else [card["language"]]
    errors = []
    for i, value in enumerate(values):
        where = f"language[{i}]" if isinstance(card["language"], list) else "language"
        if not isinstance(value, str):
            # YAML reads a bare `no` as false.
            errors.append(f'"{where}" must be a string, quote it if it is the code of Norwegian: "no"')
        elif not _LANGUAGE.fullmatch(value):
            errors.append(f'"{where}" must be an ISO 639 code such as "en" or "hi", not "{value}"')
    return errors


def _model_index(card: dict[str, Any]) -> list[str]:
    if "model-index" not in card:
        return []
    if not isinstance(card["model-index"], list):
        return ['"model-index" must be an array']
    errors = []
    for i, model in enumerate(card["model-index"]):
        at = f"model-index[{i}]"
        if not isinstance(model, dict):
            errors.append(f'"{at}" must be of type object')
            continue
        if not isinstance(model.get("name"), str):
            errors.append(f'"{at}.name" must be a string')
        results = model.get("results", [])
        if not isinstance(results, list):
            errors.append(f'"{at}.results" must be an array')
            continue
        for j, result in enumerate(results):
            errors += _result(result, f"{at}.results[{j}]")
    return errors


def _result(result: Any, at: str) -> list[str]:
    if not isinstance(result, dict):
        return [f'"{at}" must be of type object']
    errors = []
    for key, inner in (("task", ("type",)), ("dataset", ("type", "name"))):
        value = result.get(key)
        if not isinstance(value, dict):
            errors.append(f'"{at}.{key}" is required')
            continue
        errors += [
            f'"{at}.{key}.{name}" is required' for name in inner if not isinstance(value.get(name), str)
        ]
    metrics = result.get("metrics")
    if not isinstance(metrics, list):
        return [*errors, f'"{at}.metrics" must be an array']
    for k, metric in enumerate(metrics):
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str):
            errors.append(f'"{at}.metrics[{k}].type" is required')
        elif metric.get("value") is None:
            errors.append(f'"{at}.metrics[{k}].value" is required')
    source = result.get("source")
    if source is not None and not (isinstance(source, dict) and isinstance(source.get("url"), str)):
        errors.append(f'"{at}.source.url" is required')
    return errors


def _configs(card: dict[str, Any]) -> list[str]:
    if "configs" not in card:
        return []
    if not isinstance(card["configs"], list):
        return ['"configs" must be an array']
    errors = []
    names = set()
    for i, config in enumerate(card["configs"]):
        at = f"configs[{i}]"
        if not isinstance(config, dict) or not isinstance(config.get("config_name"), str):
            errors.append(f'"{at}.config_name" is required')
            continue
        if config["config_name"] in names:
            errors.append(f'"{at}.config_name" repeats "{config["config_name"]}"')
        names.add(config["config_name"])
        files = config.get("data_files", [])
        for j, item in enumerate(files if isinstance(files, list) else []):
            if isinstance(item, dict) and ("split" not in item or "path" not in item):
                errors.append(f'"{at}.data_files[{j}]" needs "split" and "path"')
    return errors


def _space(card: dict[str, Any]) -> list[str]:
    errors = []
    if card.get("sdk") not in SPACE_SDKS:
        errors.append(f'"sdk" must be one of [{", ".join(SPACE_SDKS)}]')
    for key in ("colorFrom", "colorTo"):
        if key in card and card[key] not in _COLORS:
            errors.append(f'"{key}" must be one of [{", ".join(_COLORS)}]')
    if isinstance(card.get("short_description"), str) and len(card["short_description"]) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    return errors
