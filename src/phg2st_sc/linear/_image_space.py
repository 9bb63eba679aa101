"""Image features of one slide as a few standardised components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._arrays import SlideArrays

Array = NDArray[np.float64]

N_COMPONENTS = 20


def standardize(features: NDArray[np.float32]) -> Array:
    """Zero mean and unit variance over the slide: differences of stain and scanner between slides go out here."""
    values = np.asarray(features, dtype=np.float64)
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 1e-8, spread, 1.0)


def image_components(features: NDArray[np.float32], *, n_components: int = N_COMPONENTS) -> Array:
    """Leading principal components (n, k) of the slide's own features, scaled to unit mean square length.

    The image of the whole slide is known before anything is measured, so no prompt enters.
    """
    values = standardize(features)
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    components = left[:, :n_components] * singular[:n_components]
    return components / max(float(np.sqrt((components**2).sum(axis=1).mean())), 1e-12)


def require_features(slide: SlideArrays, method: str) -> NDArray[np.float32]:
    """Features of a slide, or an error that names the call to make."""
    if slide.features is None:
        msg = (
            f"Method {method!r} needs image features, and slide {slide.name!r} has none. "
            "Call `phg2st_sc.pp.extract_embeddings(data)` first, or use a method without an image such as 'kriging'."
        )
        raise ValueError(msg)
    return slide.features
