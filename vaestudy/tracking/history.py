"""Many runs' values of a metric in one request, which MLflow's pages use and its client does not offer."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request_safe

from vaestudy.tracking.address import SQLITE
from vaestudy.tracking.stored import Row

HISTORY_ROWS = 25_000
"""A server's reply holds no more rows, of at most a hundred runs."""

ENDPOINT = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"


def bulk_history(client: MlflowClient, uri: str, run_ids: Sequence[str], key: str) -> list[tuple[str, Row]]:
    """The values of a metric with the runs that they are of, cut after ``HISTORY_ROWS``.

    Raises:
        MlflowException: MLflow does not answer, or refuses us.
    """
    if uri.startswith(SQLITE):
        store = client._tracking_client.store
        metrics = store.get_metric_history_bulk(list(run_ids), key, HISTORY_ROWS)
        return [(m.run_id, Row(m.key, m.value, m.timestamp, m.step)) for m in metrics]
    asked = [("metric_key", key), *(("run_id", run_id) for run_id in run_ids)]
    host = get_default_host_creds(uri)  # type: ignore[no-untyped-call]  # MLflow's
    reply = http_request_safe(host, ENDPOINT, "GET", params=asked)  # type: ignore[no-untyped-call]  # MLflow's
    return [
        (str(m["run_id"]), Row(key, float(m["value"]), int(m["timestamp"]), int(m["step"])))
        for m in reply.json()["metrics"]
    ]
