"""A plug-in that writes down which GPUs Ray has given to the worker that imports it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import ray
import torch

PLACES = "VAESTUDY_TEST_PLACES"
"""The variable that names a folder."""

if ray.is_initialized() and ray.get_runtime_context().get_actor_id():
    found = {
        "host": ray.get_runtime_context().get_node_id(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "seen": torch.cuda.device_count(),
    }
    (Path(os.environ[PLACES]) / f"{os.getpid()}.json").write_text(json.dumps(found))
