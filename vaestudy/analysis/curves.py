"""Learning curves of the confirmed winners: validation −ELBO over gradient evaluations."""

from __future__ import annotations

import pandas as pd

from vaestudy.analysis.compare import confirmed, sound
from vaestudy.analysis.frames import Records

COLUMNS = ["workload", "method", "grad_evals", "mean_nats", "low_nats", "high_nats", "seeds"]


def curves(records: Records) -> pd.DataFrame:
    """Mean and range over the runs that did not fail, of the winners at the largest budget.

    Returns:
        One row an evaluation that all of a method's runs have; the columns are ``COLUMNS``.
    """
    parts = [
        _summary(seed_curves(records, sound(confirmed(records, workload, method, records.budgets[-1])))).assign(
            workload=workload, method=method
        )
        for workload in records.study["workloads"]
        for method in records.methods
    ]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True)[COLUMNS] if filled else pd.DataFrame(columns=COLUMNS)


def seed_curves(records: Records, runs: pd.DataFrame) -> pd.DataFrame:
    """Validation −ELBO by gradient evaluations (rows) and run (columns), in nats per example."""
    found = {}
    for uid in runs["uid"]:
        curve = records.curve(uid).dropna(subset=["val/nelbo", "cost/grad_evals"])
        if len(curve):
            found[uid] = curve.set_index("cost/grad_evals")["val/nelbo"]
    return pd.DataFrame(found).sort_index()


def _summary(found: pd.DataFrame) -> pd.DataFrame:
    whole = found.dropna()
    return pd.DataFrame(
        {
            "grad_evals": whole.index,
            "mean_nats": whole.mean(axis=1).to_numpy(),
            "low_nats": whole.min(axis=1).to_numpy(),
            "high_nats": whole.max(axis=1).to_numpy(),
            "seeds": whole.shape[1],
        }
    )
