"""Pieces of work on a cluster of Dask: sent, done one at a time in each process, brought back. Importing it loads no Dask."""

from ._client import check_client
from ._tasks import run_tasks
from ._worker import check_wanted

__all__ = ["check_client", "check_wanted", "run_tasks"]
