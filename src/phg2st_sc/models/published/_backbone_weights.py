"""Pretrained weights for the image encoder inside a method's network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..._warn import warn_user

if TYPE_CHECKING:
    from ._backbones import Backbone

AUTO, RANDOM = "auto", "random"
RANDOM_ORIGIN = "random initialisation"


def pretrain(backbone: Backbone, weights: str, *, method: str) -> str:
    """Load pretrained weights into a backbone of timm; returns where they come from. See :func:`load_or_warn`."""
    from ...encoders import load_weights

    def load(path: str | None) -> str:
        card = load_weights(backbone.net, backbone.name, weights=path)
        return f"{card.weights} ({card.revision})"

    return load_or_warn(load, weights, method=method, name=backbone.name)


def load_or_warn(load: Callable[[str | None], str], weights: str, *, method: str, name: str) -> str:
    """Load weights and return where they come from.

    Parameters
    ----------
    load
        Loads from a file or folder, or with ``None`` from the hub or its cache, and says where from.
    weights
        ``"auto"``: from the hub or its cache, with a warning where that fails. ``"random"``: none. Else a file or folder,
        and an error where that fails.
    method, name
        Of the method and its image encoder, for the warning.

    Warns
    -----
    UserWarning
        If there are no pretrained weights within reach.
    """
    if weights == RANDOM:
        return RANDOM_ORIGIN
    if weights != AUTO:
        return load(weights)
    try:
        return load(None)
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        reason = str(error).split(". ", maxsplit=1)[0]
        msg = (
            f"method {method!r} starts its image encoder {name!r} from random initialisation, and needs far more slides for "
            f"it: no pretrained weights within reach ({reason}). Download them where there is a network and pass "
            '`weights="<file or folder>"`; `weights="random"` says that this is what you want.'
        )
        warn_user(msg)
        return RANDOM_ORIGIN
