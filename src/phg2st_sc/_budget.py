"""Make a network from a configuration that anybody may have written, in little more memory than its weights take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_SPARE_ELEMENTS = 1 << 22
_PER_ELEMENT = 8
_SPARE_CALLS = 2000
_CALLS_PER_ARRAY = 200


class Budget(TorchDispatchMode):
    """Within this context no step of torch may be larger than weights of some size and number call for.

    Parameters
    ----------
    n_elements
        Numbers in all arrays of the network that is to be made.
    n_arrays
        How many arrays it has.

    Raises
    ------
    ValueError
        Before memory is taken for a step that is larger, and where there are more steps than making such a network takes.
    """

    def __init__(self, n_elements: int, n_arrays: int) -> None:
        super().__init__()
        self._most = _SPARE_ELEMENTS + _PER_ELEMENT * n_elements
        self._calls = _SPARE_CALLS + _CALLS_PER_ARRAY * n_arrays
        self._taken = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Look at what a step is about before it is done."""
        self._calls -= 1
        asked = max(_sizes([*args, *(kwargs or {}).values()]), default=0)
        self._taken += asked if not any(isinstance(one, torch.Tensor) for one in args) else 0
        if self._calls < 0 or asked > self._most or self._taken > self._most:
            msg = "it asks for a far larger network than there are weights"
            raise ValueError(msg)
        return func(*args, **(kwargs or {}))


def _sizes(arguments: Sequence[Any]) -> Iterator[int]:
    """Numbers of elements that a step has to do with: of tensors, of them together, and of sizes that are asked for."""
    tensors = [one for one in arguments if isinstance(one, torch.Tensor)]
    yield from (one.numel() for one in tensors)
    with suppress(RuntimeError):  # where they are not taken element by element
        yield math.prod(torch.broadcast_shapes(*(one.shape for one in tensors)))
    for one in arguments:
        if isinstance(one, (list, tuple)) and all(isinstance(side, int) for side in one):
            yield math.prod(map(abs, one))
        elif isinstance(one, int):
            yield abs(one)
