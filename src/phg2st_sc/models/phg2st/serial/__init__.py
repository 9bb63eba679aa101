"""Serial sections of the patient, laid on the slide."""

from .low_rank import LowRank
from .references import N_CHANNELS, Laid, Reference, lay_on, make_reference, serial_trend

__all__ = ["N_CHANNELS", "Laid", "LowRank", "Reference", "lay_on", "make_reference", "serial_trend"]
