"""Where tensors live. Used by the trainer, `distributed.py` and `evaluation.py`; the code is the same on every device.

Everything random is drawn on the CPU and sent, so that a seed gives the same noise on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learner.config import ConfigError


def find_device(name: str, *, local_rank: int = 0) -> torch.device:
    """Return the device of `RunConfig.device`: "cpu", "cuda:N", or "cuda", the GPU numbered like this process.

    Raises: ConfigError if this torch or this machine has no such device.
    """
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(f"device '{name}': this machine or this build of torch ({torch.__version__}) has no CUDA")
    device = torch.device("cuda", local_rank) if name == "cuda" else torch.device(name)
    if device.index >= torch.cuda.device_count():
        raise ConfigError(f"device 'cuda:{device.index}': there are {torch.cuda.device_count()} GPUs")
    return device


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor's copy on the device (itself on the CPU); through pinned memory, without waiting for it."""
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
