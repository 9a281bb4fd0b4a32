"""The rival study: Ray Tune + OptunaSearch + MLflow as their own documentation wires them, around the plain loop.

``python -m benchmarks.rival_study CONFIG`` runs it; ``study_overhead`` times the process and reads its answer.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.plain import Vae, negative_elbo, train_epoch


def evaluate(model: Vae, images: Tensor) -> float:
    with torch.no_grad():
        output, mu, logvar = model(images)
        return float(negative_elbo(output, images, mu, logvar))


def train(config: dict[str, Any]) -> None:
    """One trial."""
    images = torch.load(config["images"])
    model = Vae(images["train"].shape[1], config["hidden"], config["latent_dim"])
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    loader = DataLoader(TensorDataset(images["train"]), batch_size=config["batch_size"], shuffle=True, drop_last=True)
    started, seconds = time.time(), 0.0
    for _ in range(config["epochs"]):
        start = time.perf_counter()
        loss = train_epoch(model, loader, optimizer)
        seconds += time.perf_counter() - start
        tune.report(
            {
                "train_loss": loss,
                "val_nelbo": evaluate(model, images["validation"]),
                "started": started,
                "train_seconds": seconds,
            }
        )


def main(path: str) -> None:
    config = json.loads(Path(path).read_text())
    ray.init(num_cpus=config["workers"])
    ray_is_up = time.time()
    keys = ("images", "hidden", "latent_dim", "batch_size", "epochs")
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={**{key: config[key] for key in keys}, "lr": tune.loguniform(*config["lr"])},
        tune_config=tune.TuneConfig(
            metric="val_nelbo",
            mode="min",
            search_alg=OptunaSearch(),
            num_samples=config["trials"],
            max_concurrent_trials=config["workers"],
        ),
        run_config=tune.RunConfig(
            name="rival",
            storage_path=config["folder"],
            callbacks=[
                MLflowLoggerCallback(tracking_uri=f"sqlite:///{config['folder']}/mlflow.db", experiment_name="rival")
            ],
        ),
    )
    results = tuner.fit()
    trials = [result.metrics for result in results if result.metrics]
    Path(config["answer"]).write_text(
        json.dumps(
            {
                "trials": len(trials),
                "train_seconds": sum(trial["train_seconds"] for trial in trials),
                "to_first_trial_seconds": min(trial["started"] for trial in trials) - ray_is_up,
                "best": min(trial["val_nelbo"] for trial in trials),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
