"""What an encoder is: a card that says what it takes and gives, and a call from tiles to features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_user

if TYPE_CHECKING:
    from .._image import SlideImage, Tiles


@dataclass(frozen=True)
class EncoderCard:
    """Facts about an encoder.

    Attributes
    ----------
    name
        Registry name; features go to ``obsm["X_<name>"]``.
    dim
        Features per tile and field, or ``None`` when only a first call tells.
    input_px
        Side in pixels of the tiles it takes.
    tile_um
        Side in µm it was made for.
    fields
        Fields of view, as multiples of the tile side: every tile is read once per field around the same centre, each
        resampled to ``input_px``, and the features are concatenated.
    license
        Licence of the weights, or of the code where there are none.
    needs_weights
        Whether weights have to be fetched first.
    revision
        Version of weights or code; features of different revisions do not mix.
    transform
        What happens to the pixels first.
    source
        Where it comes from: software, or the page of the model.
    gated
        Whether that page hands out weights only to accounts that accepted its conditions.
    mean, std
        What the network subtracts and divides by, on pixel values from 0 to 1; empty where nothing of the kind is done.
    weights
        Which weights were loaded, e.g. ``"MahmoodLab/UNI@<commit>"``; empty before, and where there are none.
    precision
        Floating point type of the computation.
    pooling
        How a tile becomes one vector.
    patch_px
        Side in pixels of the patches of a tile that have features of their own, as in a vision transformer; 0 where none have.
    token_dim
        Features per patch.
    reference
        Where the facts of the card were read, besides ``source``.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> card = phg2st.encoders.get_encoder("texture").card
    >>> card.license, card.needs_weights, card.total_dim
    ('BSD-3-Clause', False, 282)
    """

    name: str
    dim: int | None
    input_px: int
    tile_um: float
    fields: tuple[float, ...] = (1.0,)
    license: str = "unknown"
    needs_weights: bool = False
    revision: str = "unknown"
    transform: str = "none"
    source: str = ""
    gated: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    weights: str = ""
    precision: str = "float32"
    pooling: str = ""
    patch_px: int = 0
    token_dim: int | None = None
    reference: str = ""

    @property
    def licence(self) -> str:
        """The old name of ``license``."""
        warn_user("`licence` of an encoder's card is `license` now, and goes with the next release.", FutureWarning)
        return self.license

    @property
    def mpp(self) -> float:
        """µm per pixel of the tiles it takes."""
        return self.tile_um / self.input_px

    @property
    def total_dim(self) -> int | None:
        """Length of a tile's features over all fields."""
        return None if self.dim is None else self.dim * len(self.fields)


class Encoder(Protocol):
    """An opened encoder: called with tiles, it returns their features, each tile on its own.

    Examples
    --------
    >>> import numpy as np
    >>> import phg2st_sc as phg2st
    >>> encoder = phg2st.encoders.get_encoder(lambda tiles: tiles.mean(axis=(1, 2)), name="color")
    >>> encoder(np.zeros((2, 224, 224, 3), dtype=np.uint8)).shape
    (2, 3)
    """

    @property
    def card(self) -> EncoderCard:
        """Facts about the encoder."""
        ...

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (b, input_px, input_px, 3) uint8 RGB tiles to (b, dim) float32, each tile on its own."""
        ...


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """An encoder that has features of the patches of a tile too, as vision transformers do.

    Its card says how large patches are: ``patch_px`` and ``token_dim``.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> isinstance(phg2st.encoders.get_encoder("texture"), phg2st.encoders.TokenEncoder)
    False
    """

    def tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (b, input_px, input_px, 3) uint8 RGB tiles to (b, h, w, token_dim) float32, patches row by row."""
        ...


@runtime_checkable
class PlaceEncoder(Encoder, Protocol):
    """An encoder that can do without tiles cut out: where many tiles overlap, it looks at every pixel of an image once.

    What it returns of a tile is nearly what it returns of the same tile cut out, and does not depend, to the bit, on which
    other tiles are asked for. Its card says how many features a tile has.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> isinstance(phg2st.encoders.get_encoder("texture"), phg2st.encoders.PlaceEncoder)
    True
    """

    def covered_pixels(self, image: SlideImage, tiles: Tiles) -> int:
        """Pixels, at the resolution of the tiles, that :meth:`embed_places` would look at."""
        ...

    def embed_places(self, image: SlideImage, tiles: Tiles) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Embed tiles of one field, part by part: (b,) positions in ``tiles`` and (b, dim) features.

        Tiles that it leaves out are cut out and handed to the encoder as any other's are.
        """
        ...
