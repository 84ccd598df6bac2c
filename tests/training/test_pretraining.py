# SPDX-License-Identifier: Apache-2.0
"""Real training on a few sentences: resuming, checkpoints and what is measured on them."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM, TrainerCallback

from tests.conftest import TEXTS
from xlt_hf.corpora.stream import PackedRows
from xlt_hf.corpora.tokens import tokenise_part
from xlt_hf.study import PretrainingConfig
from xlt_hf.training.batching import plan_batches
from xlt_hf.training.model import build_model, flops_per_token, parameter_counts
from xlt_hf.training.pretraining import PretrainingRun, pretrain


class Killed(Exception):
    """Stands for a process that ends without a word."""


class KillAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Killed


@pytest.fixture
def make_run(bpe, tokenizer, tiny_size, tmp_path):
    def make(name: str, **changes) -> PretrainingRun:
        settings = PretrainingConfig(
            **{
                "epochs": 8,
                "unit": "document",
                "seq_len": 16,
                "tokens_per_step": 64,
                "learning_rate": 1e-2,
                "min_lr_ratio": 0.1,
                "warmup_ratio": 0.1,
                "adam_beta1": 0.9,
                "adam_beta2": 0.95,
                "weight_decay": 0.1,
                "max_grad_norm": 1.0,
                "precision": "fp32",
                "checkpoints": 3,
                "micro_batch_rows": 4,
                **changes,
            }
        )
        stores = [
            tokenise_part(bpe, [f"d{i}" for i in range(3)], TEXTS[lang], lang, tmp_path / "tokens" / lang)
            for lang in TEXTS
        ]
        rows = PackedRows(
            stores, seq_len=settings.seq_len, end_token=tokenizer.eos_token_id, epochs=settings.epochs
        )
        plan = plan_batches(
            rows=len(rows),
            tokens_per_step=settings.tokens_per_step,
            seq_len=settings.seq_len,
            processes=1,
            micro_batch_rows=settings.micro_batch_rows,
        )
        return PretrainingRun(
            tiny_size,
            settings,
            tokenizer,
            rows,
            plan,
            {"hi": TEXTS["hi"]},
            0,
            tmp_path / name,
            logging_steps=1,
        )

    return make


class Shelf:
    """Keeps what `enqueue` is given."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.counts: dict[int, dict] = {}

    def __call__(self, step, counts, fill) -> None:
        target = self.folder / f"published-{step}"
        if not target.exists():
            target.mkdir(parents=True)
            fill(target)
        self.counts[step] = counts

    def weights(self, step):
        return load_file(self.folder / f"published-{step}" / "model.safetensors")


def losses_of(folder, run):
    """Log entries with a loss, from the last checkpoint."""
    text = (folder / f"checkpoint-{run.plan.steps}" / "trainer_state.json").read_text()
    return [entry for entry in json.loads(text)["log_history"] if "loss" in entry]


def equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_interrupted_twice_equals_uninterrupted_to_the_last_bit(make_run, tmp_path):
    whole = Shelf(tmp_path / "a")
    run = make_run("whole")
    measured = pretrain(run, whole)
    last = run.plan.steps
    assert len(whole.counts) == 3
    assert measured["step"] == last
    assert measured["tokens"] == last * 64
    broken = Shelf(tmp_path / "b")
    for step in (7, last - 1):
        with pytest.raises(Killed):
            pretrain(make_run("broken"), broken, [KillAt(step)])
    pretrain(make_run("broken"), broken)
    assert broken.counts.keys() == whole.counts.keys()
    for step in whole.counts:
        assert equal(whole.weights(step), broken.weights(step)), f"step {step}"
    assert whole.counts[last]["bits_per_byte"] == broken.counts[last]["bits_per_byte"]


def test_a_checkpoint_saved_but_never_queued_is_queued_on_resuming(make_run, tmp_path):
    def dies(step, counts, fill):
        raise Killed

    with pytest.raises(Killed):
        pretrain(make_run("run"), dies)
    shelf = Shelf(tmp_path / "a")
    run = make_run("run")
    pretrain(run, shelf)
    assert len(shelf.counts) == 3, "the first checkpoint is not lost"


def test_training_learns_and_reports_it(make_run, tmp_path):
    shelf = Shelf(tmp_path / "a")
    run = make_run("run", epochs=40)
    pretrain(run, shelf)
    first, *_, last = (shelf.counts[step] for step in sorted(shelf.counts))
    assert last["bits_per_byte"]["hi"] < 0.7 * first["bits_per_byte"]["hi"]
    log = losses_of(tmp_path / "run", run)
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert all(entry["tokens_per_second"] > 0 for entry in log[1:])


def test_accumulating_micro_batches_is_the_same_run(make_run, tmp_path):
    losses = []
    for name, micro in (("one", 4), ("four", 1)):
        run = make_run(name, micro_batch_rows=micro)
        pretrain(run, Shelf(tmp_path / name / "shelf"))
        losses.append([entry["loss"] for entry in losses_of(tmp_path / name, run)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_published_checkpoints_load_and_share_their_bytes_with_the_trainer_s(make_run, tmp_path):
    shelf = Shelf(tmp_path / "a")
    run = make_run("run")
    pretrain(run, shelf)
    folder = shelf.folder / f"published-{run.plan.steps}"
    model = LlamaForCausalLM.from_pretrained(folder)
    assert model.config.max_position_embeddings == 16
    weights = tmp_path / "run" / f"checkpoint-{run.plan.steps}" / "model.safetensors"
    assert weights.samefile(folder / "model.safetensors"), "a hard link, not a second copy"


def test_initial_weights_depend_on_the_seed_alone(tiny_size, tokenizer):
    a, b, c = (build_model(tiny_size, tokenizer, 16, seed) for seed in (0, 0, 1))
    assert equal(a.state_dict(), b.state_dict())
    assert not equal(a.state_dict(), c.state_dict())


def test_parameters_and_flops_are_counted_as_written(model):
    counts = parameter_counts(model)
    vocabulary, hidden, layers = model.config.vocab_size, 32, 2
    assert counts["total"] - counts["non_embedding"] == vocabulary * hidden
    expected = 6 * (counts["non_embedding"] + vocabulary * hidden) + 12 * layers * hidden * 128
    assert flops_per_token(model, 128) == expected
