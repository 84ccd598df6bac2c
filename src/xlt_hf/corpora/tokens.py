# SPDX-License-Identifier: Apache-2.0
"""Tokens of a corpus part: flat `uint16` or `uint32` values with document offsets, memory-mapped.

A part is tokenised once; the five filters are unions of parts and need no second copy (DESIGN.md, Training).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from xlt_hf.errors import UserError

_BATCH = 1000


class TokenStoreError(UserError):
    """A token folder is damaged."""


@dataclass(frozen=True)
class TokenStore:
    """Tokens of the documents of one part.

    Attributes:
        values (`uint16[T]` or `uint32[T]`): token ids of all documents, end tokens not included.
        offsets (`int64[D + 1]`): document d is `values[offsets[d]:offsets[d + 1]]`.
        doc_ids: the documents' ids, in order.
        language: language of the part.
    """

    values: np.ndarray
    offsets: np.ndarray
    doc_ids: Sequence[str]
    language: str

    def __len__(self) -> int:
        return len(self.doc_ids)


def tokenise_part(
    tokenizer: Tokenizer, doc_ids: Sequence[str], texts: Sequence[str], language: str, folder: Path
) -> TokenStore:
    """Tokenise documents into `folder`, or open what is there already.

    The folder appears under its name only when complete, so a killed run leaves nothing that looks finished.
    """
    if not folder.exists():
        building = folder.with_name(f"{folder.name}.building-{os.getpid()}")
        building.mkdir(parents=True, exist_ok=True)
        dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
        # Text that spells a special token is text, not an end of document.
        tokenizer.encode_special_tokens = True
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        with open(building / "values.bin", "wb") as file:
            for start in range(0, len(texts), _BATCH):
                batch = tokenizer.encode_batch_fast(
                    list(texts[start : start + _BATCH]), add_special_tokens=False
                )
                for row, encoding in enumerate(batch, start):
                    ids = np.asarray(encoding.ids, dtype=dtype)
                    file.write(ids.tobytes())
                    offsets[row + 1] = offsets[row] + len(ids)
        tokenizer.encode_special_tokens = False
        np.save(building / "offsets.npy", offsets)
        (building / "dtype").write_text(np.dtype(dtype).name)
        (building / "doc_ids.txt").write_text("\n".join(doc_ids), encoding="utf-8")
        try:
            building.rename(folder)
        except OSError:
            # Another rank was first; its folder has the same bytes.
            if not folder.exists():
                raise
    return open_part(folder, language)


def open_part(folder: Path, language: str) -> TokenStore:
    """Memory-map a part that `tokenise_part` wrote.

    Raises:
        TokenStoreError: the files do not belong together.
    """
    offsets = np.load(folder / "offsets.npy", mmap_mode="r")
    dtype = np.dtype((folder / "dtype").read_text())
    text = (folder / "doc_ids.txt").read_text(encoding="utf-8")
    doc_ids = text.split("\n") if text else []
    path = folder / "values.bin"
    expected = int(offsets[-1]) * dtype.itemsize
    if path.stat().st_size != expected or len(doc_ids) != len(offsets) - 1:
        raise TokenStoreError(
            f"{folder} is damaged: {path.stat().st_size} bytes of tokens where its offsets say {expected}, "
            f"{len(doc_ids)} document ids for {len(offsets) - 1} documents. Delete the folder; it is made again."
        )
    values = np.memmap(path, dtype=dtype, mode="r") if expected else np.empty(0, dtype)
    return TokenStore(values, offsets, doc_ids, language)
