"""Sharing through the hub, against a local folder laid out like a repository."""

import shutil

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

import phg2st_sc as phg2st
from phg2st_sc.models import _hub


class LocalApi:
    """What the hub's client does, in a folder."""

    def __init__(self, root):
        self.root, self.private = root, {}

    def create_repo(self, repo_id, *, private, exist_ok):
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)
        self.private.setdefault(repo_id, private)

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        assert commit_message
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return f"https://hub/{repo_id}/commit/1"

    def download(self, repo_id, name, *, revision=None, token=None):
        if not (self.root / repo_id).exists():
            raise RepositoryNotFoundError("404", response=_Response())
        if not (self.root / repo_id / name).exists():
            raise EntryNotFoundError("404")
        return str(self.root / repo_id / name)


class _Response:
    headers, status_code, request, url = {}, 404, None, ""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    api = LocalApi(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", api.download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token=None: api)
    return api


@pytest.fixture(scope="module")
def trained():
    slides = phg2st.datasets.simulate(
        n_slides=2, n_patients=2, n_spots=60, n_genes=30, image=False, progress=False, seed=0
    )
    new = slides.pop("P2_S1")
    phg2st.pp.sample_prompts(new, fraction=0.2, seed=0)
    return phg2st.tl.train(slides, method="gene_kriging", progress=False), new


def test_a_pushed_model_predicts_the_same_by_its_name(hub, trained):
    model, new = trained
    assert model.push_to_hub("lab/tumour").startswith("https://")
    assert hub.private == {"lab/tumour": True}
    assert {p.name for p in (hub.root / "lab/tumour").iterdir()} == {"model.json", "arrays.safetensors", "README.md"}
    card = (hub.root / "lab/tumour/README.md").read_text()
    assert "gene_kriging" in card
    assert "genes: 30" in card
    assert 'model="lab/tumour"' in card
    by_name = phg2st.tl.predict(new, model="lab/tumour")
    np.testing.assert_array_equal(by_name.X, phg2st.tl.predict(new, model=model).X)
    assert type(model).from_pretrained("lab/tumour").genes == model.genes


@pytest.fixture(scope="module")
def propagating():
    """The default model with all that it can learn: image regression, gene components, a section of the same patient."""
    slides = phg2st.datasets.simulate(
        n_slides=4, n_patients=2, n_spots=100, n_genes=30, image=False, progress=False, seed=0
    )
    for seed, adata in enumerate(slides.values()):
        shown = np.asarray(adata.obsm["true_programmes"])[:, :4] @ np.random.default_rng(5).normal(size=(4, 12))
        features = shown + 0.3 * np.random.default_rng(seed).normal(size=shown.shape)
        adata.obsm["X_texture"] = features.astype(np.float32)
        adata.uns["phg2st_embeddings"] = {
            "X_texture": {
                "source": "image",
                "encoder": "texture",
                "revision": "1",
                "transform": "none",
                "tile_um": 112.0,
            }
        }
    new = slides.pop("P2_S1")
    phg2st.pp.sample_prompts(new, fraction=0.2, seed=0)
    return phg2st.tl.train(slides, method="phg2st", progress=False), new


def test_the_default_model_comes_back_with_image_regression_and_references(hub, propagating):
    model, new = propagating
    model.push_to_hub("lab/default")
    card = (hub.root / "lab/default/README.md").read_text()
    assert "image features: texture, tiles of 112.0 µm" in card
    assert "3 slides, 2 patients, 300 spots" in card
    loaded = type(model).from_pretrained("lab/default")
    here, there = (phg2st.tl.predict(new.copy(), model=one) for one in (model, "lab/default"))
    np.testing.assert_array_equal(there.X, here.X)
    details = here.uns["details"]["P2_S1"]
    assert details["form"] == "cohort"
    assert {"slope_serial", "slope_same_patient"} <= set(details)
    assert there.uns["details"]["P2_S1"] == details
    assert loaded.card == model.card
    wrong = new.copy()
    wrong.uns["phg2st_embeddings"]["X_texture"]["encoder"] = "uni"
    with pytest.raises(ValueError, match="'uni'.*'texture'.*extract_embeddings"):
        phg2st.tl.predict(wrong, model="lab/default")


def test_a_folder_comes_before_the_hub(hub, trained, tmp_path, monkeypatch):
    model, _ = trained
    monkeypatch.chdir(tmp_path)
    model.save("lab/here")
    assert phg2st.models.load("lab/here").genes == model.genes


def test_errors_say_what_to_do(hub, trained, monkeypatch):
    model, _ = trained
    with pytest.raises(FileNotFoundError, match="neither a folder here nor a repository"):
        phg2st.models.load("lab/nothing")
    (hub.root / "lab/empty").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        phg2st.models.load("lab/empty")
    with pytest.raises(ValueError, match="'owner/name'"):
        model.push_to_hub("tumour")
    with pytest.raises(ValueError, match="not fitted"):
        phg2st.models.GeneKriging().push_to_hub("lab/tumour")

    def offline(*_, **__):
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(ConnectionError, match="hf download lab/tumour"):
        phg2st.models.load("lab/tumour")


def test_both_files_are_of_one_commit(tmp_path, monkeypatch):
    asked = []

    def download(repo_id, name, *, revision=None, token=None):
        asked.append((name, revision))
        return str(tmp_path / "models--lab--tumour" / "snapshots" / "0123abcd" / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert _hub.download("lab/tumour", revision="main").name == "0123abcd"
    assert asked == [("model.json", "main"), ("arrays.safetensors", "0123abcd")]


@pytest.mark.parametrize(
    ("path", "is_repo"),
    [("lab/x", True), ("x", False), ("./x", False), ("../x", False), ("~/x", False), ("/a/b", False)],
)
def test_what_counts_as_a_repository(path, is_repo):
    assert _hub.is_repo_id(path) is is_repo
