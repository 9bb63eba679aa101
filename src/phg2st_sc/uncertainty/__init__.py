"""How far a prediction can be trusted: by its covariance, and by prompts that it was made without."""

from .assess import assess
from .leave_out import leave_out
from .samples import with_samples

__all__ = ["assess", "leave_out", "with_samples"]
