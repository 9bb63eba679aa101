"""What a network was made to look at."""

from __future__ import annotations

from torch import Tensor

from ._spot_network import SpotInputs


def shown_picture(inputs: SpotInputs, n_features: int | None) -> Tensor:
    """The features of all spots where a network was made for embeddings of some width, else their pictures.

    Parameters
    ----------
    inputs
        Of a network that looks at all spots of a slide.
    n_features
        Of the network's configuration.

    Raises
    ------
    ValueError
        If the inputs have no such thing, or features of another width.
    """
    if n_features is None:
        if inputs.patches is None:
            raise ValueError("the network was made for pictures, and there are none: give `patches`")
        return inputs.patches
    if inputs.features is None or inputs.features.shape[1] != n_features:
        width = "there are none" if inputs.features is None else f"these have width {inputs.features.shape[1]}"
        raise ValueError(f"the network was made for features of width {n_features}, and {width}")
    return inputs.features


def shown_rows(inputs: SpotInputs, n_features: int | None) -> Tensor:
    """The features, or pictures, of the rows to predict.

    Parameters
    ----------
    inputs
        Of a network whose pictures are those of the rows.
    n_features
        Of the network's configuration.

    Raises
    ------
    ValueError
        If the inputs have no such thing, or features of another width.
    """
    shown = shown_picture(inputs, n_features)
    return shown if n_features is None else shown[inputs.rows]
