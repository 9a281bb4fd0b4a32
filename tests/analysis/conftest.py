from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.values import around
from tests.made_up import Builder, study


@pytest.fixture
def small(tmp_path: Path) -> Builder:
    """An empty study of sgd and adam, adam the baseline."""
    return Builder(tmp_path)


@pytest.fixture(scope="session")
def two_groups(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """The case of DeepOBS's mnist_vae, read only: of sgd's seeds four collapse, of momentum's all, of adam's none.

    Its published "38.46 +- 12.47" for sgd was six seeds at 28.8 and four at 52.9.
    """
    builder = Builder(tmp_path_factory.mktemp("two_groups"), study(("sgd", "momentum", "adam"), trials=2, seeds=10))
    for method, values in {
        "sgd": [*around(28.80, 6), *[52.9] * 4],
        "momentum": [52.9] * 10,
        "adam": around(27.83, 10),
    }.items():
        builder.search(method, [values[0], None])
        builder.confirm(method, 0, values)
    return builder
