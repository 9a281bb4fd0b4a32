"""A study file in which every kind of key occurs, and ways to load variants of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vaestudy.spec import Study
from vaestudy.spec.loader import load_study

GOOD = """\
version: 1
name: good
description: every kind of key
seed: 3
workloads:
  digits-mlp:
    data: {name: digits, binarize: static, seed: 1, validation: 300, limit: 1000}
    model: {name: mlp, hidden: [16, 8], latent_dim: 4}
    likelihood: bernoulli
    batch_size: 50
  grey:
    data: {name: digits, validation: 100}
    model: linear
    likelihood: {name: gaussian, scale: 0.5}
    batch_size: 32
train:
  epochs: 20
  beta: {schedule: linear, start: 0.0, end: 1.0, over: 0.25}
  free_bits: {nats: 0.1, per: group, groups: 2, average: example}
  stages: [{name: warm, share: 0.2, beta: 0.0, freeze: encoder}, {name: rest}]
  clip_norm: 10
methods:
  adam:
    optimizer: adam
    fixed: {eps: 1e-6, warmup: 0.1}
    search:
      lr: {log: [1e-5, 1e-2]}
      one_minus_beta1: {log: [0.01, 0.5]}
      schedule: {choice: [constant, cosine]}
      final_lr_ratio: {uniform: [0.0, 0.5], when: {schedule: cosine}}
      decoder.lr_ratio: {log: [0.1, 10]}
  ivon:
    optimizer: ivon
    fixed: {ess: train_size}
    search: {lr: {log: [1e-3, 1.0]}}
shared_search:
  train.beta.over: {choice: [0.0, 0.5]}
  train.stages.warm.share: {choice: [0.0, 0.2]}
  train.beta.cycles: {int: [1, 4]}
search: {trials: 6, sampler: {name: sobol}, pruner: {name: asha, grace: 2, factor: 3}}
confirm: {budgets: [3, 6], seeds: 2, iwae_samples: 10}
resources: {population: 2}
budget: {wall_clock: 12h}
tracking: {mlflow: "http://127.0.0.1:5000", tags: {project: thesis}}
report: {baseline: adam, formats: [csv, md]}
"""


def load(folder: Path, text: str | bytes = GOOD, overrides: Sequence[str] = ()) -> Study:
    """The study of a file with this text."""
    path = folder / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_study(path, overrides)


def varied(*changes: tuple[str, str]) -> str:
    """The good file with pieces of its text exchanged."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        text = text.replace(old, new)
    return text
