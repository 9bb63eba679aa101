"""Readers for public data sets in the layout they are distributed in, and a simulator with a known truth.

Nothing is downloaded and no data ship with the package: every reader takes the folder that you have.
"""

from ._cscc import cscc
from ._her2st import her2st
from ._panel import read_panel
from ._section import read_section
from ._simulate import simulate

__all__ = ["cscc", "her2st", "read_panel", "read_section", "simulate"]
