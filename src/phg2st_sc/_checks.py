"""What numbers that a user passes must be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_positive(value: Any) -> bool:
    """Whether a value is one finite real number above 0; texts and truth values are none.

    Examples
    --------
    >>> is_positive(0.5), is_positive(0), is_positive(float("inf")), is_positive("2"), is_positive(True)
    (True, False, False, False, False)
    """
    if isinstance(value, (str, bytes, bool, np.bool_, np.complexfloating)):
        return False
    try:
        return not np.ndim(value) and 0.0 < float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False
