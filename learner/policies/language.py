"""Instruction -> numbers, without a language model.

Used by the networks of this package (`PolicyNetwork.embed`). Deterministic on every machine and for every process:
each word is hashed to a fixed vector of signs and the sentence is their mean, so equal instructions give equal vectors
and shared words give nearby ones. Left out: synonyms and word order; `architectures/flow_vla_tokens.py` trains an
encoder of hashed words that has the latter.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import numpy as np

LANGUAGE_DIM = 64
_WORD = re.compile(r"[a-z0-9]+")


@functools.lru_cache(maxsize=4096)
def embed_instruction(instruction: str) -> np.ndarray[Any, Any]:
    """Return the vector of an instruction, float32 [LANGUAGE_DIM] with elements of order 1, read-only.

    Case and punctuation do not count; an instruction without any word gives zeros.
    """
    words = _WORD.findall(instruction.lower())
    total = np.zeros(LANGUAGE_DIM, dtype=np.float64)
    for word in words:
        digest = hashlib.blake2b(word.encode(), digest_size=LANGUAGE_DIM // 8).digest()
        total += np.unpackbits(np.frombuffer(digest, dtype=np.uint8)) * 2.0 - 1.0
    # Divided by the root, not by the count: then elements keep unit variance whatever the number of words.
    vector: np.ndarray[Any, Any] = (total / max(1.0, len(words)) ** 0.5).astype(np.float32)
    vector.setflags(write=False)
    return vector


def word_hashes(instruction: str) -> list[int]:
    """Return a number of 64 bits for each word, in order. Case and punctuation do not count."""
    words = _WORD.findall(instruction.lower())
    return [int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little") for word in words]
