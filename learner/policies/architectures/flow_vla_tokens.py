"""The small VLA with a text encoder of its own, trained together with the action head.

`flow_vla.v1` hears fixed vectors of hashed words, without order. Here the head reads tokens: each word of the
instruction picks one of `vocabulary` learned embeddings by its hash, positions are added, one layer of self-attention
mixes them, and their mean is what the head hears. The frozen image encoder goes on hearing hashed words, as it was
pre-trained. Left out: pieces of words (a word never trained on is a random vector).
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.policies.architectures.flow_vla import FlowVla, FlowVlaConfig
from learner.policies.base import PolicyNetwork, PolicyShapes
from learner.policies.language import LANGUAGE_DIM, embed_instruction, word_hashes

ARCHITECTURE = "flow_vla_tokens.v1"
_TEXT = "text"
_PADDING, _BEGIN, _WORDS = 0, 1, 2  # token ids: nothing, the first of every instruction, the first of a word


class TokensConfig(FlowVlaConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`vocabulary`: token ids; two words share one with a chance of 1 in `vocabulary`. `max_words`: the rest is cut."""

    vocabulary: int = 4096
    max_words: int = 31
    text_width: int = 32


class TextEncoder(nn.Module):
    """Token ids int64 [B, W], 0 is padding -> float32 [B, LANGUAGE_DIM]."""

    def __init__(self, config: TokensConfig) -> None:
        super().__init__()
        width = config.text_width
        self.tokens = nn.Embedding(config.vocabulary, width)
        self.positions = nn.Parameter(torch.randn(config.max_words + 1, width))
        self.attention = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, LANGUAGE_DIM)

    def forward(self, ids_BW: Tensor) -> Tensor:
        is_word_BW = ids_BW != _PADDING
        x_BWD = self.tokens(ids_BW) + self.positions
        query_BWD, key_BWD, value_BWD = self.attention(x_BWD).chunk(3, dim=-1)
        mixed_BWD = functional.scaled_dot_product_attention(
            query_BWD, key_BWD, value_BWD, attn_mask=is_word_BW[:, None, :]
        )
        words_BWD = (x_BWD + mixed_BWD) * is_word_BW[:, :, None]
        mean_BD = words_BWD.sum(1) / is_word_BW.sum(1, keepdim=True)
        language_BL: Tensor = self.leave(mean_BD)
        return language_BL


class FlowVlaTokens(FlowVla):
    """See the module. A language row is the hashed words' vector (for the frozen encoder), then the token ids."""

    architecture = ARCHITECTURE

    def __init__(self, config: TokensConfig, shapes: PolicyShapes) -> None:
        super().__init__(config, shapes)
        # Ids travel as float32 with the rest of the row, which counts exactly up to 2^24.
        if not _WORDS < config.vocabulary <= 2**24 or config.max_words < 1 or config.text_width < 1:
            raise ValueError("vocabulary must be 3..2^24, max_words and text_width positive")
        self._vocabulary, self._max_words = config.vocabulary, config.max_words
        self.head.register_module(_TEXT, TextEncoder(config))

    def embed(self, instruction: str) -> np.ndarray[Any, Any]:
        ids_W = np.full(self._max_words + 1, _PADDING, dtype=np.float32)
        words = word_hashes(instruction)[: self._max_words]
        ids_W[: len(words) + 1] = [_BEGIN, *(_WORDS + number % (self._vocabulary - _WORDS) for number in words)]
        return np.concatenate([embed_instruction(instruction), ids_W])

    def with_indicator(self, *, guidance: float) -> PolicyNetwork:
        # Imported here: that module builds on this one.
        from learner.policies.architectures.flow_vla_tokens_indicator import add_indicator

        return add_indicator(self, guidance=guidance)

    def _encoder_language(self, language_BL: Tensor) -> Tensor:
        return language_BL[:, :LANGUAGE_DIM]

    def _context(self, features_BF: Tensor, state_BP: Tensor, language_BL: Tensor) -> Tensor:
        text_BL = self.head.get_submodule(_TEXT)(language_BL[:, LANGUAGE_DIM:].long())
        return super()._context(features_BF, state_BP, text_BL)


def build(config: dict[str, Any], shapes: PolicyShapes) -> FlowVlaTokens:
    """Build from a manifest's config. Raises: msgspec.ValidationError, ValueError."""
    return FlowVlaTokens(msgspec.convert(config, TokensConfig), shapes)
