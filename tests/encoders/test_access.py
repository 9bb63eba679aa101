"""What users without access, network, extra or token are told."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest

from phg2st_sc.encoders import get_encoder
from phg2st_sc.encoders._pathology import MIDNIGHT, UNI
from phg2st_sc.encoders._timm import open_recipe
from phg2st_sc.encoders._weights import find_weights

hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

# Older clients have one class for files that are nowhere.
_NOT_IN_REPOSITORY = getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)


def _http(kind, status):
    """The hub's error as it comes with an answer of that status."""
    error = kind.__new__(kind)
    Exception.__init__(error, f"{status} Client Error")
    error.response = type("Response", (), {"status_code": status})()
    return error


@pytest.fixture
def answer(monkeypatch):
    """Let the hub answer with an error."""

    def set_answer(error, token=None):
        def download(repo, name, **_):
            raise error

        monkeypatch.setattr(hub, "hf_hub_download", download)
        monkeypatch.setattr(hub, "get_token", lambda: token)

    return set_answer


@pytest.mark.usefixtures("timm")
def test_gated_without_token(answer):
    answer(_http(errors.GatedRepoError, 401))
    with pytest.raises(PermissionError) as told:
        get_encoder("uni")
    message = str(told.value)
    assert "Accept the conditions at https://huggingface.co/MahmoodLab/UNI (licence: CC-BY-NC-ND-4.0)" in message
    assert "This machine has no token: run `hf auth login`" in message
    assert "weights=<folder>" in message
    assert 'encoder="texture"' in message


def test_gated_with_a_token_that_may_not(answer):
    answer(_http(errors.GatedRepoError, 403), token="hf_x")
    with pytest.raises(PermissionError, match="account without access or no longer valid: `hf auth whoami`"):
        find_weights(UNI.card, UNI.repo)


@pytest.mark.parametrize(("kind", "status"), [("RepositoryNotFoundError", 401), ("HfHubHTTPError", 401)])
def test_invalid_token_for_a_gated_model(answer, kind, status):
    answer(_http(getattr(errors, kind), status), token="hf_old")
    with pytest.raises(PermissionError, match="gated.*no longer valid"):
        find_weights(UNI.card, UNI.repo)


def test_repository_that_is_not_there(answer):
    answer(_http(errors.RepositoryNotFoundError, 404))
    with pytest.raises(PermissionError, match="shows no repository 'kaiko-ai/midnight'.*there is none, it is private"):
        find_weights(MIDNIGHT.card, MIDNIGHT.repo)


@pytest.mark.parametrize(
    "error",
    [
        errors.LocalEntryNotFoundError("cannot find the requested files in the local cache"),
        errors.OfflineModeIsEnabled("offline mode is enabled"),
        _http(errors.HfHubHTTPError, 503),
    ],
    ids=["not cached", "offline mode", "hub down"],
)
def test_out_of_reach(answer, error):
    answer(error)
    with pytest.raises(ConnectionError) as told:
        find_weights(UNI.card, UNI.repo)
    assert "`hf download MahmoodLab/UNI --local-dir <folder>` (after accepting the conditions" in str(told.value)
    assert "pass `weights=<folder>`" in str(told.value)
    assert told.value.__cause__ is not None


def test_public_models_ask_for_no_conditions(answer):
    answer(errors.OfflineModeIsEnabled("offline mode is enabled"))
    with pytest.raises(ConnectionError) as told:
        find_weights(MIDNIGHT.card, MIDNIGHT.repo)
    assert "accepting" not in str(told.value)


def test_offline_for_real(monkeypatch, tmp_path):
    """No stand-in here: the hub's own client, in offline mode, with an empty cache."""
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match="not on this machine.*cannot be reached"):
        find_weights(UNI.card, UNI.repo)


def test_unknown_revision(answer):
    answer(_http(errors.RevisionNotFoundError, 404))
    with pytest.raises(ValueError, match="has no revision 'v9'"):
        find_weights(UNI.card, UNI.repo, revision="v9")


def test_revision_is_of_the_hub(tmp_path):
    with pytest.raises(ValueError, match="`revision` chooses weights on the hub"):
        find_weights(UNI.card, UNI.repo, weights=tmp_path, revision="v1")


def test_either_name_of_the_file_and_the_commit_in_the_record(monkeypatch, tmp_path):
    snapshot = tmp_path / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (snapshot / "pytorch_model.bin").write_bytes(b"weights")

    def download(repo, name, *, revision, **_):
        if not (snapshot / name).exists():
            raise _http(_NOT_IN_REPOSITORY, 404)
        return str(snapshot / name)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    file = find_weights(UNI.card, UNI.repo)
    assert file.origin == "MahmoodLab/UNI@0123abcd"
    assert file.path.read_bytes() == b"weights"


def test_out_of_reach_is_said_at_once(monkeypatch):
    """The client waits for the network by itself, so it is asked only once."""
    asked = []

    def download(repo, name, *, local_files_only, **_):
        asked.append(local_files_only)
        raise errors.LocalEntryNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr(hub, "hf_hub_download", download)
    with pytest.raises(ConnectionError):
        find_weights(UNI.card, UNI.repo)
    assert asked == [True, True, False]


def test_repository_without_weights(answer):
    answer(_http(_NOT_IN_REPOSITORY, 404))
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors and no pytorch_model\.bin"):
        find_weights(UNI.card, UNI.repo)


@pytest.mark.usefixtures("timm")
def test_cached_weights_need_no_network(monkeypatch, tiny, hub_folder, tmp_path, tiles):
    """The hub's own client finds weights in a cache that is laid out as it would lay it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "models--someone--tiny"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "pytorch_model.bin").write_bytes((hub_folder / "pytorch_model.bin").read_bytes())
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.file_download.constants, "HF_HUB_CACHE", str(tmp_path))
    opened = open_recipe(tiny, device="cpu")
    assert opened.card.weights == f"someone/tiny@{commit}"
    local = open_recipe(tiny, weights=hub_folder, device="cpu")
    assert opened.card.revision == local.card.revision
    np.testing.assert_array_equal(opened(tiles), local(tiles))


@pytest.mark.parametrize("missing", ["timm", "huggingface_hub"])
def test_missing_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf'needs {missing}: `pip install timm huggingface_hub`.*encoder="texture"'):
        get_encoder("uni")


def test_torchvision_of_another_torch(monkeypatch):
    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name == "timm":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ImportError, match=r"nms does not exist.*torchvision built for another torch.*--index-url"):
        get_encoder("uni")


def test_the_default_encoder_says_what_is_missing(monkeypatch, visium_adata):
    from phg2st_sc.pp import extract_embeddings

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r'pip install timm huggingface_hub.*--index-url.*encoder="texture"'):
        extract_embeddings(visium_adata, image="hires", pitch_um=100, progress=False)
    assert not [key for key in visium_adata.obsm if key.startswith("X_")]


@pytest.mark.usefixtures("timm")
def test_embeddings_record_which_weights(monkeypatch, visium_adata, tiny, hub_folder):
    from functools import partial

    from phg2st_sc.encoders import ENCODERS
    from phg2st_sc.encoders._registry import Registered
    from phg2st_sc.pp import extract_embeddings

    monkeypatch.setitem(ENCODERS, "tiny", Registered(tiny.card, partial(open_recipe, tiny)))
    options = {"image": "hires", "pitch_um": 100, "context": None, "progress": False}
    extract_embeddings(visium_adata, encoder="tiny", weights=hub_folder, device="cpu", batch_size=7, **options)
    record = visium_adata.uns["phg2st_embeddings"]["X_tiny"]
    assert visium_adata.obsm["X_tiny"].shape == (120, 32)
    assert record["revision"].startswith("sha256:")
    assert (record["weights"], record["precision"], record["dim"]) == ("pytorch_model.bin", "float32", 32)
    assert "timm" in record["versions"]

    again = get_encoder("tiny", weights=hub_folder, device="cpu")
    extract_embeddings(visium_adata, encoder=again, key_added="X_again", batch_size=64, **options)
    np.testing.assert_allclose(visium_adata.obsm["X_again"], visium_adata.obsm["X_tiny"], rtol=1e-4, atol=1e-5)
