"""What is learned is taken apart and put together again, and whatever does not fit is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from phg2st_sc._state import Later, pack, unpack

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    values: Annotated[Array, "n k"]
    weight: Annotated[Array, "n"] | None = None
    label: str = ""


@dataclass(frozen=True, eq=False)
class Whole:
    part: Part
    many: tuple[Part, ...] = ()
    counts: NDArray[Any] | None = None
    scale: float = 1.0
    n: int = 0
    on: bool = False
    names: frozenset[str] = frozenset()
    slopes: Mapping[tuple[str, ...], tuple[float, ...]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def there_and_back(kind, value):
    kept, named = pack(value)
    return unpack(kind, json.loads(json.dumps(kept)), named)


def same(one, other):
    """Equal to the bit, with the same types."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif hasattr(one, "__dataclass_fields__"):
        for name in one.__dataclass_fields__:
            same(getattr(one, name), getattr(other, name))
    elif isinstance(one, (tuple, list)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    else:
        assert one == other


finite = st.floats(allow_nan=False, allow_infinity=False)
matrices = arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 3)), elements=finite)
counts = array_shapes(min_dims=0, max_dims=3).flatmap(lambda s: arrays(st.sampled_from([np.int64, np.uint8, bool]), s))
parts = matrices.flatmap(
    lambda values: st.builds(
        Part,
        st.just(values),
        st.none() | arrays(np.float64, len(values), elements=finite),
        st.text(),
    )
)
wholes = st.builds(
    Whole,
    parts,
    st.lists(parts, max_size=3).map(tuple),
    st.none() | counts,
    finite,
    st.integers(),
    st.booleans(),
    st.frozensets(st.text()),
    st.dictionaries(st.lists(st.text()).map(tuple), st.lists(finite).map(tuple)),
    st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.lists(st.booleans())),
)


@settings(deadline=None, max_examples=60)
@given(wholes)
def test_every_tree_comes_back_to_the_bit(whole):
    same(there_and_back(Whole, whole), whole)


def test_single_precision_is_kept_in_half_the_bytes():
    exact, other = np.arange(99.0).reshape(33, 3), np.full((33, 3), 0.1)
    assert pack(Part(exact))[1]["values"].dtype == np.float32
    assert pack(Part(other))[1]["values"].dtype == np.float64
    same(there_and_back(Part, Part(exact)), Part(exact))


def test_what_cannot_be_kept_is_named():
    with pytest.raises(TypeError, match=r"'facts\.when' is of type object, which cannot be kept"):
        pack(Whole(Part(np.ones((1, 1))), facts={"when": object()}))


def test_a_late_type_is_imported_once_there_is_a_value():
    def no() -> Any:
        raise AssertionError("imported too early")

    assert unpack({"part": Later(no)}, {"part": None}, {}) == {"part": None}
    assert unpack({"part": Later(no)}, {}, {}) == {"part": None}
    part = Part(np.ones((2, 2)), label="a")
    kept, named = pack({"part": part})
    same(unpack({"part": Later(lambda: Part)}, kept, named)["part"], part)


@pytest.fixture
def packed():
    part = Part(np.full((3, 2), 0.1), np.full(3, 0.2), "a")
    kept, named = pack({"genes": ("A", "B", "C"), "whole": Whole(part, (part,), scale=2.0), "levels": np.ones(3)})
    return json.loads(json.dumps(kept)), named


KINDS = {"genes": Annotated[tuple[str, ...], "G"], "whole": Whole, "levels": Annotated[Array, "G"] | None}


def test_undamaged(packed):
    assert unpack(KINDS, *packed)["whole"].many[0].label == "a"


DAMAGES = {
    "an array is gone": (lambda s, a: a.pop("whole.many.0.values"), r"array 'whole\.many\.0\.values' is missing"),
    "an array too many": (lambda s, a: a.update(more=np.ones(1)), "no place for 'more'"),
    "a name is gone": (lambda s, a: s["whole"].pop("part"), r"'whole\.part' is missing"),
    "a name too many": (lambda s, a: s["whole"].update(more=1), r"no place for 'whole\.more'"),
    "not a number": (
        lambda s, a: a["whole.part.values"].__setitem__((0, 0), np.nan),
        r"array 'whole\.part\.values' holds numbers that are not finite",
    ),
    "infinite": (
        lambda s, a: s["whole"].update(scale=float("inf")),
        r"'whole\.scale' is inf, which is no finite number",
    ),
    "another shape": (
        lambda s, a: a.update({"whole.part.values": np.full((2, 2), 0.1)}),
        r"'whole\.part\.values' is float64\[2, 2\], and float64\[3, 2\] was saved",
    ),
    "another dtype": (lambda s, a: a.update(levels=np.ones(3, np.int64)), r"int64\[3\], and float64\[3\] was saved"),
    "shapes that do not agree": (
        lambda s, a: s["genes"].append("D"),
        r"'levels' has the shape \(3,\).*'genes': G is 4",
    ),
    "shapes that do not agree within a part": (
        lambda s, a: (
            a.update({"whole.many.0.weight": np.full(2, 0.1)}),
            s["whole"]["many"][0].update(weight="float64[2]"),
        ),
        r"'whole\.many\.0\.weight' has the shape \(2,\).*'whole\.many\.0\.values': n is 3",
    ),
    "axes": (
        lambda s, a: (a.update(levels=np.full((3, 1), 0.1)), s.update(levels="float64[3, 1]")),
        "'levels' has 2 axes, not 1",
    ),
    "a dtype that is not a kind of the wanted one": (
        lambda s, a: (a.update(levels=np.ones(3, np.complex128)), s.update(levels="complex128[3]")),
        "array 'levels' is of dtype complex128, which is never saved",
    ),
    "twice the same gene": (lambda s, a: s.update(genes=["A", "B", "A"]), "'genes' has 'A' more than once"),
    "another type": (lambda s, a: s["whole"].update(n="many"), r"'whole\.n' is 'many', which is no int"),
    "a flag for a number": (lambda s, a: s["whole"].update(scale=True), r"'whole\.scale' is True, which is no finite"),
    "no list": (lambda s, a: s.update(genes="ABC"), "'genes' is 'ABC', which is no list"),
    "no record": (lambda s, a: s.update(whole=[]), r"'whole' is \[\], which is no dict"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(packed, damage):
    change, message = DAMAGES[damage]
    change(*packed)
    with pytest.raises(ValueError, match=message):
        unpack(KINDS, *packed)


def test_pairs_of_a_fixed_length():
    assert unpack({"pair": tuple[str, float]}, {"pair": ["a", 1]}, {}) == {"pair": ("a", 1.0)}
    with pytest.raises(ValueError, match="'pair' has 3 entries, not 2"):
        unpack({"pair": tuple[str, float]}, {"pair": ["a", 1, 2]}, {})


# --- networks ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Sizes:
    width: int = 3

    def as_dict(self) -> dict[str, Any]:
        return {"width": self.width}


def network_type():
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def __init__(self, config: Sizes) -> None:
            super().__init__()
            self.config = config
            self.layer = torch.nn.Linear(config.width, 2)
            self.norm = torch.nn.BatchNorm1d(2)

        @classmethod
        def of_config(cls, config):
            return cls(Sizes(**config))

    return Network


def test_a_network_comes_back_with_its_weights():
    kind = network_type()
    network = kind(Sizes(4))
    kept, named = pack({"net": network})
    assert kept == {"net": {"width": 4}}
    again = unpack({"net": kind}, kept, named)["net"]
    assert not again.training
    for name, value in network.state_dict().items():
        assert (again.state_dict()[name] == value).all()
    other = unpack({"net": kind}, kept, named, build=lambda _, config: kind(Sizes(config["width"])))["net"]
    assert (other.layer.weight == network.layer.weight).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, a: a.pop("net.layer.bias"), r"'net\.layer\.bias' is missing"),
        (lambda s, a: a["net.layer.weight"].fill(np.nan), r"'net\.layer\.weight' holds numbers that are not finite"),
        (
            lambda s, a: a.update({"net.layer.bias": np.ones(3, np.float32)}),
            r"'net\.layer\.bias' has the shape \(3,\), not \(2,\)",
        ),
        (lambda s, a: s["net"].update(width=5), r"'net\.layer\.weight' has the shape \(2, 3\), not \(2, 5\)"),
        (lambda s, a: s["net"].update(depth=5), "network 'net' cannot be made with its configuration.*depth"),
        (lambda s, a: a.update({"net.more": np.ones(3)}), r"no place for 'net\.more'"),
    ],
)
def test_a_damaged_network_is_named(change, message):
    kind = network_type()
    kept, named = pack({"net": kind(Sizes())})
    named = {name: array.copy() for name, array in named.items()}
    change(kept, named)
    with pytest.raises(ValueError, match=message):
        unpack({"net": kind}, kept, named)
