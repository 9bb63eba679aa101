"""How far a prediction can be trusted: by its covariance, and by prompts that it was made without."""

from .assess import assess
from .counts import OVERDISPERSION, Curves, below, count_interval, rate_interval
from .leave_out import leave_out
from .reliable import chances_below, discoveries
from .samples import with_samples

__all__ = [
    "OVERDISPERSION",
    "Curves",
    "assess",
    "below",
    "chances_below",
    "count_interval",
    "discoveries",
    "leave_out",
    "rate_interval",
    "with_samples",
]
