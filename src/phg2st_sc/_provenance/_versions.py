"""What results carry so that they can be trusted later: which spots, which software."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

_RECORDED = ("phg2st-sc", "anndata", "numpy", "scipy", "scikit-image", "scikit-learn", "torch")


def names_hash(names: Iterable[object]) -> str:
    """Return a short hash of names and their order, e.g. of ``obs_names``.

    Examples
    --------
    >>> names_hash(["a", "b"]) == names_hash(["b", "a"])
    False
    """
    digest = sha256()
    for name in names:
        encoded = str(name).encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def package_versions(packages: Iterable[str] = _RECORDED) -> dict[str, str]:
    """Return the installed versions of the packages that shape results; absent ones are left out."""
    found = {package: _version(package) for package in packages}
    return {package: known for package, known in found.items() if known is not None}


@cache  # what was imported stays what it is, and looking it up takes longer than a small prediction
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
