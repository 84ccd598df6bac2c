# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from tests.conftest import TEXTS
from xlt_hf.evaluation.generation import Inputs, continuation_logprobs, generate
from xlt_hf.evaluation.multiple_choice import Choice, likelihood_scores
from xlt_hf.evaluation.prompts import render
from xlt_hf.training.bits_per_byte import bits_per_byte

PROMPTS = [*TEXTS["en"], *TEXTS["hi"], "Q?", "What is the capital of Nepal and what of Japan?", "नेपाल"]


def test_batched_answers_equal_one_at_a_time(model, tokenizer):
    inputs = Inputs(tokenizer, PROMPTS, window=128, room=12)
    batched = generate(model, tokenizer, inputs, max_new_tokens=12, batch_size=4)
    single = generate(model, tokenizer, inputs, max_new_tokens=12, batch_size=1)
    assert batched == single
    assert len(set(batched)) > 1


def test_prompts_too_long_are_cut_on_the_left_and_counted(model, tokenizer):
    inputs = Inputs(tokenizer, ["नेपाल " * 300, "Q?"], window=40, room=8)
    assert inputs.truncated == 1
    assert len(inputs.ids[0]) == 32
    assert inputs.ids[0] == tokenizer(render(tokenizer, "नेपाल " * 300))["input_ids"][-32:]


def test_continuation_logprobs_equal_a_plain_forward_pass(model, tokenizer):
    pairs = [
        (tokenizer(a)["input_ids"], tokenizer(b)["input_ids"])
        for a, b in [("Nepal is", " a country"), ("भारत", " की राजधानी नई दिल्ली"), ("x", "y")]
    ]
    ours = continuation_logprobs(model, tokenizer, pairs, batch_size=3)
    for (prefix, continuation), value in zip(pairs, ours, strict=True):
        ids = torch.tensor([[*prefix, *continuation]])
        logprobs = torch.log_softmax(model(ids).logits[0].float(), -1)
        expected = sum(logprobs[len(prefix) + i - 1, t].item() for i, t in enumerate(continuation))
        assert value == pytest.approx(expected, abs=1e-4)


def test_likelihood_metrics_rank_the_options_as_defined(model, tokenizer):
    options = ("Kathmandu", "नई दिल्ली", "yen", "the Nepalese rupee")
    scores = likelihood_scores(
        model, tokenizer, [Choice("Capital?", options, r) for r in range(4)], batch_size=8
    )
    for metric in scores[0]:
        assert sum(row[metric] for row in scores) == 1, f"{metric}: exactly one option wins"

    def logprob(question, option):
        prefix = tokenizer(render(tokenizer, question))["input_ids"]
        ids = [*tokenizer(" " + option)["input_ids"], tokenizer.eos_token_id]
        return continuation_logprobs(model, tokenizer, [(prefix, ids)], batch_size=1)[0]

    pmi = [logprob("Capital?", o) - logprob("", o) for o in options]
    assert scores[pmi.index(max(pmi))]["accuracy_loglikelihood_pmi"] == 1
    per_byte = [logprob("Capital?", o) / len(o.encode()) for o in options]
    assert scores[per_byte.index(max(per_byte))]["accuracy_loglikelihood_byte"] == 1


def test_bits_per_byte_of_a_uniform_model_is_log2_of_the_vocabulary_per_token(model, tokenizer):
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    texts = TEXTS["hi"]
    tokens = sum(len(tokenizer(t)["input_ids"]) for t in texts)
    expected = tokens * math.log2(model.config.vocab_size) / sum(len(t.encode()) for t in texts)
    for window in (128, 7):
        assert bits_per_byte(model, tokenizer, texts, window=window) == pytest.approx(expected, rel=1e-5)
    assert math.isnan(bits_per_byte(model, tokenizer, [], window=16))
