"""vaestudy: hyperparameter studies that compare optimizers of variational autoencoders fairly."""

__version__ = "0.1.0"
