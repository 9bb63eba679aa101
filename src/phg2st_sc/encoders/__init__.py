"""Image encoders: from tiles to features, by name, with cards that say what each takes, gives and allows.

``"texture"`` needs neither weights nor network. ``"uni"`` and its peers are networks with published weights, and
``"timm:<model>"`` is any model of timm; they need the ``encoders`` extra, and torch is imported when one is opened.
Another encoder is one more recipe, or one more file here that registers itself.
"""

from __future__ import annotations

from .._registry import open_rooms
from ._apply import encode_tiles as encode_tiles
from ._base import Encoder, EncoderCard, PlaceEncoder, TokenEncoder
from ._batch_size import FIRST_BATCH as FIRST_BATCH
from ._kept import Keeping as Keeping
from ._kept import KeptBatches as KeptBatches
from ._kept import Proof as Proof
from ._kept import drop_kept as drop_kept
from ._kept import needed as needed
from ._places import encode_places as encode_places
from ._places import pooled_fields as pooled_fields
from ._read_weights import load_strictly as load_strictly
from ._read_weights import read_state as read_state
from ._ready_made import FeatureFile as FeatureFile
from ._ready_made import open_features as open_features
from ._registry import ENCODERS, get_encoder, list_encoders, register_encoder
from ._registry import TileFunction as TileFunction
from ._registry import check_name as check_name
from ._texture import TextureEncoder
from ._texture import feature_names as feature_names
from ._timm import load_weights as load_weights
from ._tokens import TokenPlan as TokenPlan
from ._tokens import plan_tokens as plan_tokens
from ._tokens import pooled_tokens as pooled_tokens
from ._tokens import widest_pool as widest_pool
from ._torch import require_timm as require_timm
from ._weights import WeightsFile as WeightsFile

open_rooms(__name__, __path__)

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderCard",
    "PlaceEncoder",
    "TextureEncoder",
    "TokenEncoder",
    "get_encoder",
    "list_encoders",
    "register_encoder",
]
