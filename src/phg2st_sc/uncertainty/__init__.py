"""How far a prediction can be trusted: by its covariance, and by prompts that it was made without."""

from .leave_out import leave_out, shares

__all__ = ["leave_out", "shares"]
