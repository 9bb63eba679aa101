"""Load a method, whichever it is."""

from __future__ import annotations

import os

from ._base import Estimator
from ._hub import find
from ._registry import get_method
from ._store import read


def load(path: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None) -> Estimator:
    """Load a method that :func:`save` wrote, from a folder or from the Hugging Face hub.

    Parameters
    ----------
    path
        Folder, or a repository ``owner/name`` of the hub where there is no such folder.
    revision
        Branch, tag or commit of the repository.
    token
        Access token of the hub; by default the one of ``hf auth login``.

    Raises
    ------
    FileNotFoundError
        If the folder holds no saved model, or there is no such repository.
    ConnectionError
        If the hub cannot be reached.
    ValueError
        If it is damaged, or was written by a later version of the package.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import phg2st_sc as phg2st
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "model"
    >>> _ = phg2st.models.save(phg2st.models.Kriging(length_scale=3.0), folder)
    >>> phg2st.models.load(folder)
    Kriging(length_scale=3.0)
    """
    saved = read(find(path, revision=revision, token=token))
    return get_method(saved.method).restored(saved)
