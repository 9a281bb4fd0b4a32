"""Pythae's side, run by the Python of .bench-venv: trains as many epochs as each line of its input says.

The net is the other contenders', through Pythae's own door for custom networks; model, loss, data set, loader and
training loop are Pythae's. A line of output a turn: seconds and mean loss.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn


class Encoder(BaseEncoder):
    def __init__(self, pixels: int, hidden: int, latent_dim: int):
        BaseEncoder.__init__(self)
        self.latent_dim = latent_dim
        self.hidden = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())
        self.mu = nn.Linear(hidden, latent_dim)
        self.logvar = nn.Linear(hidden, latent_dim)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        hidden = self.hidden(x)
        return ModelOutput(embedding=self.mu(hidden), log_covariance=self.logvar(hidden))


class Decoder(BaseDecoder):
    def __init__(self, pixels: int, hidden: int, latent_dim: int):
        BaseDecoder.__init__(self)
        self.layers = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid())

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def make_trainer(config: dict) -> BaseTrainer:
    images = torch.from_numpy(np.load(config["folder"] + "/images.npy"))
    sizes = images.shape[1], config["hidden"], config["latent_dim"]
    model = VAE(
        VAEConfig(input_dim=(images.shape[1],), latent_dim=config["latent_dim"], reconstruction_loss="bce"),
        encoder=Encoder(*sizes),
        decoder=Decoder(*sizes),
    )
    training = BaseTrainerConfig(
        output_dir=config["folder"],
        num_epochs=1,
        learning_rate=config["lr"],
        optimizer_cls=config["optimizer"],
        optimizer_params={"momentum": config["momentum"]} if "momentum" in config else None,
        per_device_train_batch_size=config["batch_size"],
    )
    trainer = BaseTrainer(model, BaseDataset(images, torch.ones(len(images))), training_config=training)
    trainer.prepare_training()
    return trainer


def main() -> None:
    torch.set_num_threads(1)
    trainer = make_trainer(json.loads(sys.argv[1]))
    epoch = 0
    for line in sys.stdin:
        losses = []
        start = time.perf_counter()
        for _ in range(int(line)):
            epoch += 1
            losses.append(trainer.train_step(epoch))
        print(json.dumps({"seconds": time.perf_counter() - start, "loss": sum(losses) / len(losses)}), flush=True)


if __name__ == "__main__":
    main()
