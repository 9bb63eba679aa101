"""One way to keep what was learned: any tree of frozen dataclasses, arrays and networks, as JSON-like settings and named arrays.

``pack`` takes a value apart. ``unpack`` puts it together again by its type, and is the one place where what is loaded gets
checked: names, shapes, dtypes, and that every number is finite.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ._text import quoted

Arrays = Mapping[str, NDArray[Any]]
Build = Callable[[Any, Mapping[str, Any]], Any]
"""From the class of a network and its configuration to a new network."""

_LARGE = 64
_KINDS_OF_NUMBERS = "fiub"
_SHOWN = 200
_VARIANCE = "running_var"
_LIMITS: Mapping[str, Callable[[Any], Any]] = {
    "> 0": lambda value: value > 0,
    ">= 0": lambda value: value >= 0,
    "0 to 1": lambda value: (value >= 0) & (value <= 1),
}
_FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What building a network with a configuration of nonsense may raise."""
_SEQUENCES = (tuple, list, frozenset, set)


@dataclass(frozen=True)
class Later:
    """A type, or ``None``, that is imported once there is a value of it."""

    type: Callable[[], Any]


# --- taking apart -----------------------------------------------------------------------------------------------------
def pack(value: Any) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Take a value apart into settings as JSON has them, and arrays by the path of names that leads to them.

    In place of each array the settings hold its dtype and shape, in place of each network its configuration.

    Parameters
    ----------
    value
        Dataclasses, mappings, tuples, arrays, networks (with a ``config`` that has ``as_dict``) and plain scalars.

    Raises
    ------
    TypeError
        If something in it is none of these.
    """
    arrays: dict[str, NDArray[Any]] = {}
    return _packed(value, "", arrays), arrays


def _packed(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[name] = _narrowed(value)
        return described(arrays[name])
    if is_dataclass(value):
        return {one.name: _packed(getattr(value, one.name), _join(name, one.name), arrays) for one in fields(value)}
    if hasattr(value, "state_dict"):
        weights = value.state_dict().items()
        arrays |= {_join(name, key): np.atleast_1d(weight.detach().cpu().numpy()) for key, weight in weights}
        return value.config.as_dict()
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _packed(one, _join(name, key), arrays) for key, one in value.items()}
        value = list(value.items())
    if isinstance(value, _SEQUENCES):
        ordered = sorted(value) if isinstance(value, (frozenset, set)) else value
        return [_packed(one, _join(name, number), arrays) for number, one in enumerate(ordered)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float)):
        return value
    msg = f"{name!r} is of type {type(value).__name__}, which cannot be kept."
    raise TypeError(msg)


def _narrowed(array: NDArray[Any]) -> NDArray[Any]:
    """A larger array in half the bytes where that loses nothing, as of what was in single precision before."""
    if array.dtype != np.float64 or array.size < _LARGE:
        return array
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    return single if np.array_equal(single, array) else array


def described(array: NDArray[Any]) -> str:
    """Dtype and shape of an array, as settings hold them in its place."""
    return f"{array.dtype}{list(array.shape)}"


def _join(name: str, part: Any) -> str:
    return f"{name}.{part}" if name else str(part)


# --- putting together -------------------------------------------------------------------------------------------------
def unpack(kind: Any, settings: Any, arrays: Arrays, *, build: Build | None = None) -> Any:
    """Put a value together again.

    Parameters
    ----------
    kind
        Its type, as an annotation says it; of a mapping also one type for each name. ``Annotated[Array, "G k"]`` is an array
        of so many axes, and ``Annotated[tuple[str, ...], "G"]`` are the names along one: a length is the same wherever
        its name stands, names in capitals over the whole value and others within one dataclass. A limit may follow, also
        of a number: ``"> 0"``, ``">= 0"`` or ``"0 to 1"``.
    settings, arrays
        As :func:`pack` returned them.
    build
        Makes a network; by default its class is asked (``of_config``).

    Raises
    ------
    ValueError
        If a name is missing or stands for nothing, a shape or dtype does not fit, or a number is not finite.
    """
    reader = _Reader(arrays, build or (lambda network, config: network.of_config(config)))
    value = reader.read(kind, settings, "", {})
    if surplus := sorted(set(arrays) - reader.used):
        msg = f"There is no place for {quoted(surplus)}."
        raise ValueError(msg)
    return value


@dataclass(frozen=True)
class _Reader:
    arrays: Arrays
    build: Build
    used: set[str] = field(default_factory=set)
    sizes: dict[str, tuple[int, str]] = field(default_factory=dict)

    def read(self, kind: Any, settings: Any, name: str, near: dict[str, tuple[int, str]]) -> Any:
        """Value of a type; ``near`` are the lengths within its dataclass."""
        kind, optional = _opened(kind)
        if settings is None and optional:
            return None
        origin, options = get_origin(kind), get_args(kind)
        if isinstance(kind, Later):
            return self.read(kind.type(), settings, name, near)
        if origin is Annotated:
            value = self.read(options[0], settings, name, near)
            for one in options[1:]:
                if one in _LIMITS:
                    _check_limit(value, one, name)
                else:
                    self._check_sizes(value, one, name, near)
            return value
        if isinstance(kind, Mapping):
            absent = {one: None for one, its in kind.items() if _opened(its)[1]}
            return self._named(kind, {**absent, **_checked(settings, dict, name)}, name, near)
        if is_dataclass(origin or kind):
            return self._dataclass(origin or kind, settings, name)
        if hasattr(kind, "state_dict"):
            return self._network(kind, _checked(settings, dict, name), name)
        if origin is np.ndarray:
            return self._array(options[1], settings, name)
        if origin in _SEQUENCES:
            return self._sequence(origin, options, _checked(settings, list, name), name)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(options, settings, name)
        return _scalar(kind, settings, name)

    def _dataclass(self, kind: Any, settings: Any, name: str) -> Any:
        hints = get_type_hints(kind, include_extras=True)
        optional = {one.name for one in fields(kind) if _has_default(one)}
        named = {one.name: hints[one.name] for one in fields(kind)}
        return kind(**self._named(named, _checked(settings, dict, name), name, {}, optional))

    def _named(
        self, kinds: Mapping[str, Any], settings: Any, name: str, near: dict[str, Any], optional: Collection[str] = ()
    ) -> dict[str, Any]:
        if missing := [_join(name, one) for one in kinds if one not in settings and one not in optional]:
            msg = f"{quoted(missing)} is missing."
            raise ValueError(msg)
        if surplus := [_join(name, one) for one in settings if one not in kinds]:
            msg = f"There is no place for {quoted(surplus)}."
            raise ValueError(msg)
        return {n: self.read(kinds[n], settings[n], _join(name, n), near) for n in kinds if n in settings}

    def _sequence(self, origin: Any, options: tuple[Any, ...], settings: Any, name: str) -> Any:
        alike = origin is not tuple or options[-1:] == (...,)
        kinds = options[:1] * len(settings) if alike else options
        if len(kinds) != len(settings):
            msg = f"{name!r} has {len(settings)} entries, not {len(kinds)}."
            raise ValueError(msg)
        numbered = enumerate(zip(kinds, settings, strict=True))
        return origin(self.read(kind, one, _join(name, number), {}) for number, (kind, one) in numbered)

    def _mapping(self, options: tuple[Any, ...], settings: Any, name: str) -> dict[Any, Any]:
        key, kind = options
        if key is str:
            return {n: self.read(kind, v, _join(name, n), {}) for n, v in _checked(settings, dict, name).items()}
        pair = types.GenericAlias(tuple, (key, kind))
        return dict(self._sequence(list, (pair,), _checked(settings or [], list, name), name))

    def _take(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            msg = f"The array {name!r} is missing."
            raise ValueError(msg)
        self.used.add(name)
        array = self.arrays[name]
        if array.dtype.kind not in _KINDS_OF_NUMBERS:
            msg = f"The array {name!r} is of dtype {array.dtype}, which is never saved."
            raise ValueError(msg)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            msg = f"The array {name!r} holds numbers that are not finite."
            raise ValueError(msg)
        return array

    def _array(self, dtype: Any, description: Any, name: str) -> NDArray[Any]:
        array = self._take(name)
        if described(array) != description:
            msg = f"The array {name!r} is {described(array)}, and {description} was saved."
            raise ValueError(msg)
        (wanted,) = get_args(dtype) or (Any,)
        if wanted is Any:
            return array
        if not np.can_cast(array.dtype, wanted):
            msg = f"The array {name!r} is of dtype {array.dtype}, which is no {np.dtype(wanted)}."
            raise ValueError(msg)
        return array.astype(wanted, copy=False)

    def _network(self, kind: Any, config: Mapping[str, Any], name: str) -> Any:
        network = self._built(kind, config, name)
        weights = {key: self._weight(_join(name, key), wanted) for key, wanted in network.state_dict().items()}
        network.load_state_dict(weights)
        return network.eval()

    def _built(self, kind: Any, config: Mapping[str, Any], name: str) -> Any:
        """A network of its configuration, as large as the arrays that there are and not larger."""
        import torch

        from ._budget import Budget

        sizes = [array.size for key, array in self.arrays.items() if key.startswith(f"{name}.")]
        try:
            with Budget(sum(sizes), len(sizes)):
                return self.build(kind, config)
        except torch.cuda.OutOfMemoryError:  # of this machine's GPU, no fault of the configuration
            raise
        except _FAILURES as error:
            msg = f"The network {name!r} cannot be made with its configuration ({error!s:.{_SHOWN}})."
            raise ValueError(msg) from error

    def _weight(self, name: str, wanted: Any) -> Any:
        import torch

        array = self._take(name)
        if array.size != wanted.numel() or array.shape not in (tuple(wanted.shape), (1,)):
            msg = f"The array {name!r} has the shape {array.shape}, not {tuple(wanted.shape)}."
            raise ValueError(msg)
        weight = torch.from_numpy(array.reshape(tuple(wanted.shape)))
        # trained in double precision, a network is used in single
        if (
            weight.dtype not in (wanted.dtype, torch.float64)
            or weight.is_floating_point() != wanted.is_floating_point()
        ):
            msg = f"The array {name!r} is of dtype {array.dtype}, and the network has {str(wanted.dtype).partition('.')[2]}."
            raise ValueError(msg)
        if not torch.isfinite(weight.to(wanted.dtype)).all() or (name.endswith(_VARIANCE) and bool((weight < 0).any())):
            msg = f"The array {name!r} holds numbers that no training gives."
            raise ValueError(msg)
        return weight

    def _check_sizes(self, value: Any, axes: str, name: str, near: dict[str, tuple[int, str]]) -> None:
        shape = value.shape if isinstance(value, np.ndarray) else (len(value),)
        if len(shape) != len(axes.split()):
            msg = f"{name!r} has {len(shape)} axes, not {len(axes.split())}."
            raise ValueError(msg)
        if not isinstance(value, np.ndarray) and len(set(value)) != len(value):
            twice = quoted(dict.fromkeys(one for one in value if value.count(one) > 1))
            msg = f"{name!r} has {twice} more than once."
            raise ValueError(msg)
        for axis, size in zip(axes.split(), shape, strict=True):
            known = self.sizes if axis.isupper() else near
            wanted, by = (int(axis), "its kind") if axis.isdigit() else known.setdefault(axis, (size, name))
            if size != wanted:
                msg = f"{name!r} has the shape {tuple(shape)}, which does not agree with {by!r}: {axis} is {wanted} there."
                raise ValueError(msg)


def _check_limit(value: Any, limit: str, name: str) -> None:
    if not np.all(_LIMITS[limit](np.asarray(value))):
        what = f"is {value!r:.80}" if np.ndim(value) == 0 else "holds numbers that are not so"
        msg = f"{name!r} must be {limit}, and {what}."
        raise ValueError(msg)


def _opened(kind: Any) -> tuple[Any, bool]:
    """Type of a value that is there, and whether there may be none."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (one for one in get_args(kind) if one is not types.NoneType)
        return _opened(kind)[0], True
    if hasattr(alias := get_origin(kind), "__value__"):  # `NDArray[...]` of numpy 2.5 is the name of a type
        return alias.__value__[get_args(kind)], False
    if isinstance(kind, TypeVar):
        return kind.__bound__, False
    return kind, isinstance(kind, Later)


def _has_default(one: Field[Any]) -> bool:
    return one.default is not MISSING or one.default_factory is not MISSING


def _checked(settings: Any, kind: type, name: str) -> Any:
    if not isinstance(settings, kind):
        msg = f"{name or 'The state'!r} is {settings!r:.80}, which is no {kind.__name__}."
        raise ValueError(msg)
    return settings


def _scalar(kind: Any, settings: Any, name: str) -> Any:
    if kind not in (str, int, float, bool):
        return settings
    fits = isinstance(settings, (int, float) if kind is float else kind)
    if not fits or isinstance(settings, bool) != (kind is bool) or (kind is float and not _is_finite(settings)):
        msg = f"{name!r} is {settings!r:.80}, which is no {'finite number' if kind is float else kind.__name__}."
        raise ValueError(msg)
    return float(settings) if kind is float else settings


def _is_finite(number: float) -> bool:
    try:
        return bool(np.isfinite(float(number)))
    except OverflowError:  # a whole number of many hundred digits
        return False
