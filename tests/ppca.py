"""The exact optimum of a linear VAE with a Gaussian likelihood of fixed scale: probabilistic PCA.

Tipping & Bishop 1999 (10.1111/1467-9868.00196), with sigma given instead of fitted: the best W has the leading
eigenvectors of the data covariance with lengths sqrt(max(lambda_i - sigma^2, 0)). Its posterior is diagonal in z, so
the ELBO of a diagonal encoder is tight there and the optimum of the negative ELBO is the negative log-likelihood.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def optimum(x: npt.NDArray[np.float64], latent_dim: int, scale: float) -> float:
    """The smallest negative ELBO per example, nats, over all linear VAEs, for data ``[N, D]``."""
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    variances = np.full(len(eigenvalues), scale**2)
    variances[:latent_dim] = np.maximum(eigenvalues[:latent_dim], scale**2)
    return float(0.5 * np.sum(np.log(2 * np.pi) + np.log(variances) + eigenvalues / variances))
