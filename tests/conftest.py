# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: a tiny tokenizer and model built in process."""

import atexit
import os
import shutil
import tempfile

# Before torch or any Hugging Face library is imported, here and in every child process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
# An address that nothing listens on: a test that forgets its own Hub fails at once instead of leaving the machine.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
os.environ.pop("HF_TOKEN", None)
# The user's own cache is neither read nor filled.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="xlt-hf-test-cache-")
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

import pytest

TEXTS = {
    "en": [
        "Nepal is a country. Its capital is Kathmandu. The currency of Nepal is the Nepalese rupee.",
        "India is a country. The capital of India is New Delhi, and people speak Hindi there.",
        "Japan is a country in Asia. The yen is the currency of Japan.",
    ],
    "hi": [
        "नेपाल एक देश है। इसकी राजधानी काठमांडू है। नेपाल की मुद्रा नेपाली रुपया है।",
        "भारत एक देश है। भारत की राजधानी नई दिल्ली है और वहाँ हिन्दी बोली जाती है।",
        "जापान एशिया का एक देश है। येन जापान की मुद्रा है।",
    ],
}


@pytest.fixture(scope="session")
def bpe():
    """A byte-fallback BPE trained on a few sentences."""
    from xlt_hf.tokenization import train_bpe

    return train_bpe([text for texts in TEXTS.values() for text in texts] * 20, 700)


@pytest.fixture(scope="session")
def tokenizer(bpe):
    """The same as transformers sees it."""
    from xlt_hf.tokenization import wrap

    return wrap(bpe, 128)


@pytest.fixture
def tiny_size():
    """Shape of a model that trains in a second."""
    from xlt_hf.study import ModelConfig

    return ModelConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )


@pytest.fixture
def model(tiny_size, tokenizer):
    """A random model, weights large enough that its greedy choices are not near ties."""
    from xlt_hf.training.model import build_model

    return build_model(tiny_size, tokenizer, 128, seed=0).eval()
