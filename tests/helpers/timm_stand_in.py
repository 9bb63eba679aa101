"""timm on machines without a torchvision that fits."""

from __future__ import annotations

import enum
import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

_PARTS = ("", ".ops", ".ops.misc", ".transforms", ".transforms.functional", ".datasets", ".models")
_FEATURES = ".models.feature_extraction"


class _StandIn(ModuleType):
    """A module that has every class one asks for, each of them empty."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, type(name, (), {}))
        return getattr(self, name)


class _InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


@contextmanager
def _standing_in():
    modules = {}
    for part in (*_PARTS, _FEATURES):
        name = f"torchvision{part}"
        module = modules[name] = _StandIn(name)
        module.__spec__ = ModuleSpec(name, None)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    modules["torchvision.transforms.functional"].InterpolationMode = _InterpolationMode
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)


def _forget(*packages):
    for name in list(sys.modules):
        if name.partition(".")[0] in packages:
            del sys.modules[name]


def import_timm():
    """Import timm as it is, or else with a stand-in for torchvision, which is absent or built for another torch.

    timm imports torchvision for image augmentation, which is not used here; PyPI's builds of it for Linux want CUDA.
    """
    try:
        import timm
    except (RuntimeError, ImportError):
        _forget("timm", "torchvision")
        with _standing_in():
            import timm
    return timm
