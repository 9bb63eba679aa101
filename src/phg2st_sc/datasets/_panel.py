"""Gene panels, which users bring along: none ships with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read_panel(path: str | Path) -> list[str]:
    r"""Read a gene panel: one gene per line, or a NumPy array of names.

    Parameters
    ----------
    path
        A text file, where empty lines and lines starting with ``#`` are skipped and anything after the first tab or
        comma of a line is ignored, or a ``.npy`` file with an array of text.

    Returns
    -------
    list of str
        The genes, in the order of the file.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the panel is empty, lists a gene twice, or a ``.npy`` file holds pickled objects: those can run code when
        read, so they are refused.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import phg2st_sc as phg2st
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "panel.txt"
    >>> _ = file.write_text("FASN\nERBB2\n")
    >>> phg2st.datasets.read_panel(file)
    ['FASN', 'ERBB2']
    """
    path = Path(path)
    genes = _from_npy(path) if path.suffix == ".npy" else _from_text(path)
    if not genes:
        msg = f"{path} lists no genes."
        raise ValueError(msg)
    twice = sorted({gene for gene in genes if genes.count(gene) > 1})
    if twice:
        msg = f"{path} lists {len(twice)} genes more than once, among them {twice[0]!r}."
        raise ValueError(msg)
    return genes


def _from_text(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return [line.replace(",", "\t").split("\t")[0].strip() for line in lines if line and not line.startswith("#")]


def _from_npy(path: Path) -> list[str]:
    try:
        names = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        msg = (
            f"{path} is no array of names: it is damaged, or holds pickled objects, which can run code and are not read. Ask whoever "
            "made it for the names as text, one a line: `pathlib.Path('panel.txt').write_text('\\n'.join(genes))`."
        )
        raise ValueError(msg) from None  # NumPy's own words advise to run what is in the file
    return [str(name) for name in np.ravel(names)]
