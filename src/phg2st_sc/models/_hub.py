"""Share fitted methods through the Hugging Face hub."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any, Protocol

from .. import _keys
from .._progress import hub_bars
from ._read import ARRAYS, SETTINGS
from ._store import Keepable, save

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
CARD = "README.md"
_SNAPSHOTS = "snapshots"


class Fitted(Keepable, Protocol):
    """What a method must offer to be shared."""

    genes: tuple[str, ...] | None


def find(path: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None) -> Path:
    """Folder of a saved model: on this disk, or of the hub where there is no such folder."""
    return download(str(path), revision=revision, token=token) if is_repo_id(path) else Path(path).expanduser()


def is_repo_id(path: str | os.PathLike[str]) -> bool:
    """Whether a text names a hub repository (``owner/name``) rather than something on this disk."""
    if not isinstance(path, str) or path.startswith((".", "~")) or Path(path).exists():
        return False
    return _REPO.fullmatch(path) is not None


def download(repo_id: str, *, revision: str | None = None, token: str | bool | None = None) -> Path:
    """Folder with a model of the hub, downloaded once and kept in the hub's cache.

    Raises
    ------
    FileNotFoundError
        If there is no such repository, it is private or gated and there is no access, or it holds no saved model.
    ConnectionError
        If the hub cannot be reached and the model is not in the cache.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        with hub_bars():
            settings = Path(hf_hub_download(repo_id, SETTINGS, revision=revision, token=token))
        # of the same commit, also where another is pushed in between
        commit = settings.parent.name if settings.parent.parent.name == _SNAPSHOTS else revision
        hf_hub_download(repo_id, ARRAYS, revision=commit, token=token)
    except RepositoryNotFoundError as error:
        msg = (
            f"{repo_id!r} is neither a folder here nor a repository of the hub that you may read. Check the name; for a "
            "private or gated one ask for access on its page and log in with `hf auth login`."
        )
        raise FileNotFoundError(msg) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        msg = (
            f"There is no folder {repo_id!r} here, the hub cannot be reached, and it is not in the hub's cache. On a machine with network run "
            f"`hf download {repo_id}`, copy the folder, and pass its path."
        )
        raise ConnectionError(msg) from error
    except EntryNotFoundError as error:
        msg = f"The repository {repo_id!r} holds no saved model ({SETTINGS} and {ARRAYS})."
        raise FileNotFoundError(msg) from error
    return settings.parent


def push(
    model: Fitted,
    repo_id: str,
    *,
    private: bool = True,
    token: str | bool | None = None,
    message: str | None = None,
    api: Any = None,
) -> str:
    """Upload a fitted method to the hub: its settings, its arrays and a model card, in one commit.

    Parameters
    ----------
    model
        A fitted method.
    repo_id
        ``owner/name``; made where it does not exist.
    private
        Whether a new repository is private.
    token
        Access token; by default the one of ``hf auth login``.
    message
        Commit message.
    api
        A ``huggingface_hub.HfApi`` to use, e.g. of another endpoint.

    Returns
    -------
    Address of the commit.

    Raises
    ------
    ValueError
        If the method is not fitted, or ``repo_id`` is not of the form ``owner/name``.
    """
    if model.genes is None:
        msg = f"Method {model.name!r} is not fitted: train it with `phg2st_sc.tl.train` before sharing it."
        raise ValueError(msg)
    if _REPO.fullmatch(repo_id) is None:
        msg = f"repo_id={repo_id!r} must be of the form 'owner/name'."
        raise ValueError(msg)
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = save(model, Path(scratch) / "model")
        (folder / CARD).write_text(model_card(model, repo_id), encoding="utf-8")
        with hub_bars():
            done = api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=message or f"Upload {model.name} of phg2st-sc"
            )
    return str(done)


def _learned_from(card: dict[str, Any]) -> list[str]:
    """Lines on what a model was trained on; of a prior also what may be done with it."""
    prior = card.get(_keys.PRIOR)
    if prior is None:
        patients = card.get("patients") or []
        return [
            f"- trained on {len(card.get('slides') or [])} slides, {len(patients)} patients, {card.get('n_spots', 0)} spots"
        ]
    counted = {"n_sections": "sections", "n_patients": "patients", "n_cells": "cells"}
    told = [f"{prior[key]} {word}" for key, word in counted.items() if key in prior]
    facts = [
        f"- {word}: {prior[word]}" for word in ("tissue", "species", "platform", "license", "source") if prior.get(word)
    ]
    return [
        f"- a prior, learned from {', '.join(told)}, and holding none of them: `prior=` in place of `model=` helps other panels",
        *facts,
    ]


def model_card(model: Fitted, repo_id: str) -> str:
    """Model card of a fitted method: what it was trained on, what it predicts, how to use it."""
    card = model.card
    features = card.get("features") or {}
    pictures = card.get("pictures")
    argument = _keys.PRIOR if _keys.N_CELLS in (card.get(_keys.PRIOR) or {}) else _keys.MODEL
    lines = [
        "---",
        "library_name: phg2st-sc",
        "tags: [spatial-transcriptomics, histology, gene-expression]",
        "---",
        f"# {repo_id}",
        "",
        f"Method `{model.name}` of phg2st-sc, which predicts expression over an H&E section from a few measured spots.",
        "",
        f"- genes: {len(model.genes or ())}",
        *_learned_from(card),
        f"- image features: {features.get('encoder', 'none')}"
        + (f", tiles of {features['tile_um']} µm" if "tile_um" in features else ""),
        *([f"- reads the image itself: {pictures['edge_um']:g} µm around each spot"] if pictures else []),
        "",
        "```python",
        "import phg2st_sc as phg2st",
        "",
        f'phg2st.tl.impute(adata, prompt_mask="prompt", {argument}="{repo_id}")',
        "```",
        "",
    ]
    return "\n".join(lines)
