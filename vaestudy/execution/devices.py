"""The device that a worker trains on: whether torch sees it, and what people call it."""

from __future__ import annotations

import os
import socket

import torch

from vaestudy.errors import ServiceError


def check_device(device: str) -> None:
    """Makes sure, in a worker, that torch sees the GPU which Ray gave.

    Raises:
        ServiceError: it does not: no driver, a torch without CUDA, or a GPU that Ray was only told of.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ServiceError(
            f"Ray gives a worker {in_words(device)}, but torch {torch.__version__} sees no GPU there; try "
            "resources.device=cpu"
        )


def in_words(device: str) -> str:
    """``cpu of host worker1``, or ``cuda of host worker1 (CUDA_VISIBLE_DEVICES: 3)``."""
    words = f"{device} of host {socket.gethostname()}"
    if device == "cuda":
        words += f" (CUDA_VISIBLE_DEVICES: {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')})"
    return words
