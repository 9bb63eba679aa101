"""Priors by name: those that come with the package, and those that were made known to it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from .. import _keys
from .._registry import Registry
from ._hub import is_repo_id
from ._load import load
from ._store import read
from .phg2st import PHG2ST

_SHIPPED = Path(__file__).parent / "_shipped"
_OTHERWISE = ", a folder that `model.prior().save(folder)` wrote, or a repository `owner/name` of the hub"


@cache
def _facts_of(folder: Path) -> dict[str, Any]:
    return read(folder).card


def _card(folder: Path) -> dict[str, object]:
    card = _facts_of(folder)
    facts, features = card.get(_keys.PRIOR) or {}, card.get(_keys.FEATURES) or {}
    held_out = facts.get("held_out") or {}
    return {
        "tissue": facts.get("tissue"),
        "species": facts.get("species"),
        "platform": facts.get("platform"),
        "sections": facts.get("n_sections"),
        "patients": facts.get("n_patients"),
        "genes": facts.get("n_genes"),
        "encoder": features.get(_keys.ENCODER),
        "held out": ", ".join(f"{name} {score:.2f}" for name, score in held_out.items()),
        "license": facts.get("license"),
        "source": facts.get("source"),
    }


PRIORS: Registry[Path] = Registry("prior", _card, otherwise=_OTHERWISE)
"""Folder of every prior that has a name: what it was learned from, and how patients that were left out were predicted."""

for _folder in sorted(path.parent for path in _SHIPPED.glob("*/model.json")):
    PRIORS[_folder.name] = _folder


def priors() -> Registry[Path]:
    """Every prior that has a name, as a table: tissue, species, platform, how many sections and patients, license, source.

    ``held out`` is the depth-free correlation on patients that were left out, a tenth to a fifth of the spots measured. More
    priors, of a folder or the hub, are named to :func:`phg2st_sc.tl.impute` by their path, or added here by
    ``priors()["mine"] = folder``, after which ``prior="auto"`` considers them too.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> "rheumatoid_synovium" in phg2st.models.priors()
    True
    """
    return PRIORS


def load_prior(path: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None) -> PHG2ST:
    """Load a prior by its name, from a folder or from the Hugging Face hub.

    Parameters
    ----------
    path
        One of :func:`priors`, a folder, or a repository ``owner/name`` of the hub. A folder that is called as one of
        :func:`priors` is: ``"./name"``, or a :class:`pathlib.Path`.
    revision, token
        See :func:`load`.

    Raises
    ------
    KeyError
        If nothing has this name.
    TypeError
        If it is a trained method, and no default.
    ValueError
        If it is damaged, or was not trained.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.load_prior("rheumatoid_synovium").card["prior"]["species"]
    'human'
    """
    named = isinstance(path, str) and path in PRIORS  # a folder of this name in the working directory is ``./name``
    if not (named or Path(path).expanduser().exists() or is_repo_id(path)):
        PRIORS[str(path)]  # says which there are
    found = load(PRIORS[str(path)] if named else path, revision=revision, token=token)
    return checked_prior(found, str(path))


def checked_prior(found: Any, name: str) -> PHG2ST:
    """A trained default, or an error that says what it is instead."""
    if not isinstance(found, PHG2ST):
        msg = f"{name} holds method {getattr(found, 'name', type(found).__name__)!r}: priors are made of the default, `phg2st_sc.tl.train(slides).prior()`."
        raise TypeError(msg)
    if not found.is_fitted:
        msg = f"{name} was not trained: priors are made by `phg2st_sc.tl.train(slides).prior()`."
        raise ValueError(msg)
    return found
