# SPDX-License-Identifier: Apache-2.0
"""Real finetuning with TRL on a few questions."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.evaluation.test_prompts import LANGUAGES, question
from tests.training.test_pretraining import KillAt, Killed, equal
from xlt_hf.evaluation.generation import Inputs, generate
from xlt_hf.evaluation.prompts import training_examples
from xlt_hf.study import FinetuningConfig
from xlt_hf.training.finetuning import FinetuningRun, TooLong, count_truncated, finetune
from xlt_hf.training.model import build_model

ANSWERS = [("Kathmandu", "काठमांडू"), ("New Delhi", "नई दिल्ली"), ("Tokyo", "टोक्यो"), ("yen", "येन")]


@pytest.fixture
def examples():
    questions = [question(n, answer={"en": [en], "hi": [hi]}) for n, (en, hi) in enumerate(ANSWERS)]
    return training_examples("closed_book", questions, LANGUAGES)


@pytest.fixture
def make_run(tiny_size, tokenizer, examples, tmp_path):
    def make(name: str, use_peft: bool = False, **changes) -> FinetuningRun:
        settings = FinetuningConfig(
            **{
                "epochs": 3,
                "batch_size": 4,
                "learning_rate": 1e-2,
                "lr_scheduler": "constant",
                "warmup_ratio": 0.0,
                "weight_decay": 0.0,
                "max_grad_norm": 1.0,
                "max_length": 64,
                "precision": "fp32",
                **changes,
            }
        )
        model = build_model(tiny_size, tokenizer, 128, seed=0)
        return FinetuningRun(settings, model, tokenizer, examples, 1, 0.0, 0, tmp_path / name, use_peft)

    return make


def shelf_in(folder):
    kept = {}

    def enqueue(epoch, counts, fill):
        target = folder / f"epoch-{epoch}"
        if not target.exists():
            target.mkdir(parents=True)
            fill(target)
        kept[epoch] = counts

    return kept, enqueue


def test_a_branch_per_epoch_and_what_is_learnt_is_the_answers(make_run, examples, tokenizer, tmp_path):
    kept, enqueue = shelf_in(tmp_path / "shelf")
    finetune(make_run("run", epochs=40), enqueue)
    assert sorted(kept) == list(range(1, 41))
    assert kept[40]["examples"] == 8
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "shelf" / "epoch-40")
    inputs = Inputs(tokenizer, [e.prompt for e in examples], window=64, room=20)
    answers = generate(model, tokenizer, inputs, max_new_tokens=20, batch_size=8)
    assert answers == [e.completion for e in examples]


def test_the_prompt_carries_no_loss(make_run, tokenizer, tmp_path):
    from trl import SFTTrainer

    seen = []
    original = SFTTrainer.compute_loss

    def spy(self, model, inputs, *args, **kwargs):
        seen.append({k: v.clone() for k, v in inputs.items() if k in ("input_ids", "labels")})
        return original(self, model, inputs, *args, **kwargs)

    SFTTrainer.compute_loss = spy
    try:
        finetune(make_run("run", epochs=1), shelf_in(tmp_path / "shelf")[1])
    finally:
        SFTTrainer.compute_loss = original
    answers = {text for pair in ANSWERS for text in pair}
    learnt = set()
    for batch in seen:
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            assert torch.equal(labels[labels != -100], ids[labels != -100])
            learnt.add(tokenizer.decode(labels[labels != -100]))
    assert learnt == {" " + a + tokenizer.eos_token for a in answers}, (
        "the answer and its end token, nothing else"
    )


def test_interrupted_equals_uninterrupted(make_run, tmp_path):
    whole, enqueue = shelf_in(tmp_path / "a")
    finetune(make_run("whole"), enqueue)
    broken, enqueue_broken = shelf_in(tmp_path / "b")
    with pytest.raises(Killed):
        finetune(make_run("broken"), enqueue_broken, [KillAt(3)])
    finetune(make_run("broken"), enqueue_broken)
    assert whole.keys() == broken.keys() == {1, 2, 3}
    for epoch in whole:
        a, b = (load_file(tmp_path / s / f"epoch-{epoch}" / "model.safetensors") for s in ("a", "b"))
        assert equal(a, b), f"epoch {epoch}"


def test_examples_too_long_stop_the_run_with_the_numbers(make_run, tokenizer, examples):
    assert count_truncated(tokenizer, examples, 64) == 0
    with pytest.raises(TooLong, match="8 of 8 examples are longer than 4 tokens"):
        finetune(make_run("run", max_length=4), shelf_in(None)[1])


def test_lora_publishes_a_whole_model_that_differs_from_the_base(make_run, tmp_path):
    _, enqueue = shelf_in(tmp_path / "shelf")
    run = make_run("run", use_peft=True)
    base = {k: v.clone() for k, v in run.model.state_dict().items()}
    finetune(run, enqueue)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "shelf" / "epoch-3")
    merged = model.state_dict()
    assert merged.keys() == base.keys()
    changed = [k for k in base if not torch.equal(base[k], merged[k])]
    assert changed
    assert all("proj" in k for k in changed), "only the linear layers are adapted"
