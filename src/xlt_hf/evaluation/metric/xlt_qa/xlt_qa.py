# SPDX-License-Identifier: Apache-2.0
"""Exact match and F1 of short answers in English and Indic languages, under three scoring rules."""

import datasets
import evaluate

from xlt_hf.evaluation.normalization import RULES
from xlt_hf.evaluation.scoring import item_scores

_DESCRIPTION = """
Exact match and F1 of short answers under three rules, side by side: `squad` (the official SQuAD v1.1 script),
`mlqa` (the official MLQA script) and `xl`, which also makes a danda, a nukta, joiners and Devanagari digits
count for nothing.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Generated answers.
    references (list of list of str, or list of str): Acceptable answers of each question.
    language (str, defaults to "en"): Language code of the answers.
Returns:
    em_squad, f1_squad, em_mlqa, f1_mlqa, em_xl, f1_xl: means over the questions, per cent.
Examples:
    >>> metric = evaluate.load("xlt_qa")
    >>> scores = metric.compute(predictions=["नई दिल्ली।"], references=[["नई दिल्ली"]], language="hi")
    >>> scores["em_squad"], scores["em_xl"]
    (0.0, 100.0)
"""

_CITATION = """
@misc{xlt_hf, title = {xlt_hf: an instrument for cross-lingual factual transfer}, author = {The xlt_hf
authors}}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class XltQa(evaluate.Metric):
    """The `evaluate` metric; all scoring is in `scoring.py`."""

    def _info(self):
        answers = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": answers, "references": datasets.Sequence(answers)}),
                datasets.Features({"predictions": answers, "references": answers}),
            ],
            reference_urls=[
                "https://rajpurkar.github.io/SQuAD-explorer/",
                "https://github.com/facebookresearch/MLQA",
            ],
        )

    def _compute(self, predictions, references, language="en"):
        scores = [
            item_scores(
                prediction, [reference] if isinstance(reference, str) else reference, language=language
            )
            for prediction, reference in zip(predictions, references, strict=True)
        ]
        return {
            f"{metric}_{rule}": 100 * sum(item[f"{metric}_{rule}"] for item in scores) / len(scores)
            for rule in RULES
            for metric in ("em", "f1")
        }
