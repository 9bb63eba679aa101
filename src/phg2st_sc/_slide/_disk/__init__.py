"""Writing into a zarr store on disk: one writer at a time, all or nothing, recovered after a kill."""

from ._hold import StoreLockedError
from ._interrupts import HeldInterrupts
from ._recover import Outcome, read_only, recover
from ._root import KEPT_IN_STORE, store_of
from ._store_write import ROWS_MARK, StoreWrite, without_format_news

__all__ = [
    "KEPT_IN_STORE",
    "ROWS_MARK",
    "HeldInterrupts",
    "Outcome",
    "StoreLockedError",
    "StoreWrite",
    "read_only",
    "recover",
    "store_of",
    "without_format_news",
]
