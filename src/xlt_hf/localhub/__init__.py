# SPDX-License-Identifier: Apache-2.0
"""The embedded Hub: a small, durable, writable Hugging Face Hub for machines without internet.

The real clients (huggingface_hub, datasets, transformers) talk to it through `HF_ENDPOINT`. It knows nothing
of the rest of xlt_hf. Data live in one folder: content-addressed blobs and a SQLite database.
"""
