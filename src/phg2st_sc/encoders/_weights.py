"""Find weights on disk or on the Hugging Face hub, and say what to do where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from .._progress import hub_bars
from .._text import plain
from ._base import EncoderCard

FILES = ("model.safetensors", "pytorch_model.bin")
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
_WITHOUT = 'Without weights: `encoder="texture"`.'


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights.

    Attributes
    ----------
    path
        Where it is.
    origin
        ``<repository>@<commit>``, or the file's name.
    """

    path: Path
    origin: str

    @property
    def revision(self) -> str:
        """Hash of the content: the same weights have the same revision wherever they came from."""
        with self.path.open("rb") as stream:
            return f"sha256:{file_digest(stream, 'sha256').hexdigest()}"


def find_weights(
    card: EncoderCard,
    repo: str,
    *,
    weights: str | Path | None = None,
    revision: str | None = None,
    names: tuple[str, ...] = FILES,
) -> WeightsFile:
    """Return the file of weights of an encoder.

    Parameters
    ----------
    card
        Whose weights.
    repo
        Repository on the hub.
    weights
        A file, or a folder as ``hf download <repo> --local-dir <folder>`` makes it; ``None`` asks the hub's cache and
        then the hub.
    revision
        Branch, tag or commit on the hub.
    names
        Names that the file may have in the repository, the preferred one first.
    """
    if weights is None:
        return _download(card, repo, revision, names)
    if revision is not None:
        msg = f"`revision` chooses weights on the hub; {str(weights)!r} is on disk. Leave one of the two out."
        raise ValueError(msg)
    path = _local_file(card, Path(weights).expanduser(), repo, names)
    return WeightsFile(path, path.name)


def _local_file(card: EncoderCard, path: Path, repo: str, names: tuple[str, ...]) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        msg = f"No weights of {card.name!r} at {str(path)!r}: there is no such file or folder."
        raise FileNotFoundError(msg)
    named = [path / name for name in names if (path / name).is_file()]
    found = named or sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES)
    if not found or (len(found) > 1 and not named):
        held = ", ".join(plain(one) for one in sorted(p.name for p in path.iterdir())[:10]) or "nothing"
        msg = (
            f"The folder {str(path)!r} holds no single file of weights (it holds {held}). Expected "
            f"{' or '.join(names)}, as `hf download {repo} --local-dir {path}` makes it; or pass the file itself."
        )
        raise FileNotFoundError(msg)
    return found[0]


def _download(card: EncoderCard, repo: str, revision: str | None, names: tuple[str, ...]) -> WeightsFile:
    with explained(card, repo, revision):
        path = _fetch(repo, revision, names)
    return WeightsFile(path, f"{repo}@{path.parent.name}")


def _fetch(repo: str, revision: str | None, names: tuple[str, ...]) -> Path:
    """Take the first of the usual names that the cache holds, or else the hub: published weights do not change."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for only_cache in (True, False):
        for name in names:
            try:
                with hub_bars():
                    return Path(hf_hub_download(repo, name, revision=revision, local_files_only=only_cache))
            except LocalEntryNotFoundError:
                if not only_cache:
                    raise  # out of reach: another name would only wait for the network again
            except EntryNotFoundError:
                continue
    msg = f"The repository {repo!r} holds no {' and no '.join(names)}. Download its weights and pass `weights=`."
    raise FileNotFoundError(msg)


@contextmanager
def explained(card: EncoderCard, repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn the hub's errors into ones that say what to do."""
    try:
        yield
    except Exception as error:
        told = _explain(error, card, repo, revision)
        if told is None:
            raise
        raise told from error


def _explain(error: Exception, card: EncoderCard, repo: str, revision: str | None) -> Exception | None:
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return ValueError(f"{_page(repo)} has no revision {revision!r}. Leave `revision` out for the newest.")
    if isinstance(error, errors.GatedRepoError) or (card.gated and _refused(error)):
        return PermissionError(_no_access(card, repo))
    if _refused(error):
        return PermissionError(
            f"The hub shows no repository {repo!r} (encoder {card.name!r}) to this machine: there is none, it is private, "
            f"or this machine's token is no longer valid. Check {_page(repo)} and `hf auth whoami`. {_WITHOUT}"
        )
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, errors.HfHubHTTPError)):
        return ConnectionError(_offline(error, card, repo))
    return None


def _refused(error: Exception) -> bool:
    from huggingface_hub.errors import RepositoryNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, RepositoryNotFoundError) or status in (401, 403)


def _page(repo: str) -> str:
    return f"https://huggingface.co/{repo}"


def _no_access(card: EncoderCard, repo: str) -> str:
    from huggingface_hub import get_token

    step = (
        "This machine has no token: run `hf auth login` (or set HF_TOKEN) with a token of that account."
        if get_token() is None
        else "This machine has a token, of an account without access or no longer valid: `hf auth whoami` names the "
        "account, `hf auth login` changes it."
    )
    return (
        f"The weights of {card.name!r} are gated. 1. Accept the conditions at {_page(repo)} (licence: {card.license}). "
        f"2. {step} Weights that are on disk already: pass `weights=<folder>`. {_WITHOUT}"
    )


def _offline(error: Exception, card: EncoderCard, repo: str) -> str:
    login = " (after accepting the conditions there, and `hf auth login`)" if card.gated else ""
    return (
        f"The weights of {card.name!r} are not on this machine, and {_page(repo)} cannot be reached "
        f"({_first_line(error.__cause__ or error)}). On a machine that can, run "
        f"`hf download {repo} --local-dir <folder>`{login}, copy the folder here and pass `weights=<folder>`. {_WITHOUT}"
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
