"""One view over AnnData and SpatialData: positions, image, physical scale, and writing results back."""

from ._behind import store_behind
from ._check import check_positions_in_image
from ._disk import KEPT_IN_STORE, HeldInterrupts, Outcome, StoreLockedError, recover, store_of
from ._embedded import embedding_records
from ._extend import extend
from ._extend_table import Added
from ._finite import check_finite_centers
from ._lattice import PLATFORM_PITCH_UM
from ._leave_out import leave_out
from ._model import THUMBNAILS, Slide
from ._new import new_table
from ._numbers import n_columns, numbers, spot_numbers, spot_pairs
from ._open import is_spatialdata, open_cohort, open_slides, spots_table
from ._opened import StoredPicture
from ._owner import Owner, SlotKey, refuse_foreign
from ._pictures import overlap, picture_source
from ._places import warn_off_lattice
from ._record import check_table
from ._reference import InStore, by_path, for_elsewhere, read_again
from ._scattered import ScatteredRows
from ._stores import H5AD, ZARR, kind_of_store, read_store
from ._targets import is_target, is_true
from ._update import SlotUpdate
from ._write import write_slots
from ._write_table import write_table

__all__ = [
    "H5AD",
    "KEPT_IN_STORE",
    "PLATFORM_PITCH_UM",
    "THUMBNAILS",
    "ZARR",
    "Added",
    "HeldInterrupts",
    "InStore",
    "Outcome",
    "Owner",
    "ScatteredRows",
    "Slide",
    "SlotKey",
    "SlotUpdate",
    "StoreLockedError",
    "StoredPicture",
    "by_path",
    "check_finite_centers",
    "check_positions_in_image",
    "check_table",
    "embedding_records",
    "extend",
    "for_elsewhere",
    "is_spatialdata",
    "is_target",
    "is_true",
    "kind_of_store",
    "leave_out",
    "n_columns",
    "new_table",
    "numbers",
    "open_cohort",
    "open_slides",
    "overlap",
    "picture_source",
    "read_again",
    "read_store",
    "recover",
    "refuse_foreign",
    "spot_numbers",
    "spot_pairs",
    "spots_table",
    "store_behind",
    "store_of",
    "warn_off_lattice",
    "write_slots",
    "write_table",
]
