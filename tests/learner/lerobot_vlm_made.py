"""Vision-language models of a few thousand weights, written as the hub would hand them out. Needs transformers.

So SmolVLA and pi0.5 are built by LeRobot's own code, without a network: the first from a folder that its configuration
names, the second from a tokenizer in the hub's cache and from sizes that are cut down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    PaliGemmaConfig,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

WORDS = ("do", "the", "box", "close", "pick", "up", "cube", "Task", "State", "Action", ":", ";", ",", "\n")
SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")
IMAGE = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}


def tokenizer(**special: str) -> PreTrainedTokenizerFast:
    words = (*SPECIAL, *IMAGE.values(), *WORDS, *map(str, range(256)))
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **names, extra_special_tokens=special)


def write_smolvlm(folder: Path) -> None:
    """What `SmolVLAConfig.vlm_model_name` names: configuration, tokenizer, processor; no weights."""
    text = {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 512,
        "pad_token_id": 0,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    }
    SmolVLMConfig(text_config=text, vision_config=vision, scale_factor=2, image_token_id=4).save_pretrained(folder)
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(),
        tokenizer=tokenizer(**IMAGE),
        video_processor=SmolVLMVideoProcessor(),
        image_seq_len=4,
    )
    processor.save_pretrained(folder)


def shrink_pi05(monkeypatch: pytest.MonkeyPatch, hub: Path) -> None:
    """LeRobot writes the sizes of PaliGemma into its code (1.2 billion weights at the least) and fetches its tokenizer
    by name: smaller sizes stand there, and a tokenizer lies in the hub's cache.
    """
    from lerobot.policies.pi05 import modeling_pi05

    # Eight heads: compute_layer_complete counts on them.
    sizes = modeling_pi05.GemmaConfig(width=32, depth=2, mlp_dim=64, num_heads=8, num_kv_heads=1, head_dim=8)
    monkeypatch.setattr(modeling_pi05, "get_gemma_config", lambda variant: sizes)
    real = modeling_pi05.CONFIG_MAPPING

    def paligemma() -> Any:
        vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14}
        return PaliGemmaConfig(vision_config=vision)

    def model(config: Any) -> Any:
        config.vision_config.projection_dim, config.vision_config.intermediate_size = 32, 64
        config.text_config.vocab_size = 512
        return whole(config=config)

    whole = modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma
    monkeypatch.setattr(modeling_pi05, "CONFIG_MAPPING", {"paligemma": paligemma, "gemma": real["gemma"]})
    monkeypatch.setattr(modeling_pi05, whole.__name__, model)
    folder, commit = hub / "models--google--paligemma-3b-pt-224", "0" * 40
    tokenizer().save_pretrained(folder / "snapshots" / commit)
    (folder / "snapshots" / commit / "config.json").write_text('{"model_type": "paligemma"}')
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
