# SPDX-License-Identifier: Apache-2.0
"""Build a `LlamaForCausalLM` from scratch, and count what it costs."""

from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, set_seed

from xlt_hf.study import ModelConfig


def build_model(
    size: ModelConfig, tokenizer: PreTrainedTokenizerBase, seq_len: int, seed: int
) -> LlamaForCausalLM:
    """A randomly initialised model, the same for the same seed, whatever the filter.

    Args:
        size: shape of the model.
        tokenizer: gives the vocabulary and the end token.
        seq_len: positions that the model is made for.
        seed: of the initial weights.
    """
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=size.intermediate_size,
        num_hidden_layers=size.num_hidden_layers,
        num_attention_heads=size.num_attention_heads,
        num_key_value_heads=size.num_key_value_heads,
        tie_word_embeddings=size.tie_word_embeddings,
        initializer_range=size.initializer_range,
        rope_parameters={"rope_type": "default", "rope_theta": size.rope_theta},
        max_position_embeddings=seq_len,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
    )
    return LlamaForCausalLM(config)


def parameter_counts(model: LlamaForCausalLM) -> dict[str, int]:
    """`total` and `non_embedding` parameters; a tied head counts once."""
    total = sum(parameter.numel() for parameter in model.parameters())
    embedding = sum(p.numel() for p in model.get_input_embeddings().parameters())
    if not model.config.tie_word_embeddings:
        embedding += sum(p.numel() for p in model.get_output_embeddings().parameters())
    return {"total": total, "non_embedding": total - embedding}


def flops_per_token(model: LlamaForCausalLM, seq_len: int) -> float:
    """Training FLOPs per token: 6 (N + V h) + 12 L h S, the head counted, full attention (PERFORMANCE.md)."""
    config = model.config
    head = config.vocab_size * config.hidden_size
    attention = 12 * config.num_hidden_layers * config.hidden_size * seq_len
    return 6 * (parameter_counts(model)["non_embedding"] + head) + attention


def backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The Rust tokenizer inside a transformers tokenizer."""
    return tokenizer._tokenizer
