"""Public data sets by name, readers of the layouts that they are distributed in, and a simulator with a known truth.

No data ship with the package: what has a name is downloaded from its public source when it is first asked for, or read from
a folder that you have.
"""

from ._als import als_spinal_cord
from ._bulb import mouse_olfactory_bulb
from ._colon import mouse_colon_visium
from ._cscc import cscc
from ._her2st import her2st
from ._panel import read_panel
from ._section import read_section
from ._simulate import simulate
from ._sources import DATASETS
from ._synovium import ra_synovium

__all__ = [
    "DATASETS",
    "als_spinal_cord",
    "cscc",
    "her2st",
    "mouse_colon_visium",
    "mouse_olfactory_bulb",
    "ra_synovium",
    "read_panel",
    "read_section",
    "simulate",
]
