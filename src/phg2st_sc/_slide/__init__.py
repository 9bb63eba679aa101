"""One view over AnnData and SpatialData: positions, image, physical scale, and writing results back."""

from ._check import check_positions_in_image
from ._extend import extend
from ._extend_table import Added
from ._lattice import PLATFORM_PITCH_UM, lattice_pitch
from ._model import Slide
from ._new import new_table
from ._open import open_cohort, open_slides, spots_table
from ._owner import Owner, refuse_foreign
from ._record import check_table
from ._store import StoreLockedError
from ._targets import is_target
from ._update import SlotUpdate
from ._write import write_slots, write_table

__all__ = [
    "PLATFORM_PITCH_UM",
    "Added",
    "Owner",
    "Slide",
    "SlotUpdate",
    "StoreLockedError",
    "check_positions_in_image",
    "check_table",
    "extend",
    "is_target",
    "lattice_pitch",
    "new_table",
    "open_cohort",
    "open_slides",
    "refuse_foreign",
    "spots_table",
    "write_slots",
    "write_table",
]
