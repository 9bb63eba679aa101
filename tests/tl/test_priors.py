"""``prior=`` of ``tl.impute`` and ``tl.predict``: names, species, genes, what is kept, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._reading import species_of_table
from phg2st_sc.models import PRIORS
from phg2st_sc.models._hub import model_card


def human(slides):
    """Genes with names as those of human ones."""
    for one in slides.values():
        one.var_names = [f"GENE{number}A" for number in range(one.n_vars)]
    return slides


@pytest.fixture(scope="module")
def slides():
    return human(
        phg2st.datasets.simulate(n_slides=4, n_patients=4, n_spots=110, n_genes=30, image=False, progress=False, seed=2)
    )


@pytest.fixture(scope="module")
def prior(slides):
    names = list(slides)[:3]
    trained = phg2st.tl.train({name: slides[name] for name in names}, progress=False)
    return trained.prior(name="simulated", tissue="none")


@pytest.fixture
def new(slides):
    one = slides[list(slides)[3]].copy()
    phg2st.pp.sample_prompts(one, fraction=0.25, seed=0)
    return one


@pytest.fixture
def of_other_mice(prior, tmp_path):
    """Name of a prior of mouse genes that no object here has."""
    other = prior.prior(name="other_mice", species="mouse")
    other.genes = tuple(f"Other{number}a" for number in range(30))
    PRIORS["other_mice"] = other.save(tmp_path / "other_mice")
    yield "other_mice"
    del PRIORS["other_mice"]


def test_what_was_used_is_kept(prior, new, tmp_path):
    phg2st.tl.impute(new, prior=prior, progress=False)
    record = new.uns["phg2st"]
    used = record["priors"]["used"]["simulated"]
    assert (used["n_shared"], used["n_sections"], used["species"], used["image"]) == (30, 3, "human", False)
    details = next(iter(record["details"].values()))
    assert set(details["shares"]) == {"slide", "simulated"}
    assert details["priors"]["simulated"]["level_agreement"] > 0.5
    new.write_h5ad(tmp_path / "new.h5ad")
    phg2st.tl.evaluate(new)


def test_a_folder_a_name_and_the_model_say_the_same(prior, new, tmp_path):
    folder = prior.save(tmp_path / "mine")
    wanted = phg2st.tl.predict(new, prior=prior, progress=False).X
    np.testing.assert_array_equal(phg2st.tl.predict(new, prior=folder, progress=False).X, wanted)
    np.testing.assert_array_equal(phg2st.tl.predict(new, prior=[str(folder)], progress=False).X, wanted)
    phg2st.models.priors()["mine"] = folder
    try:
        np.testing.assert_array_equal(phg2st.tl.predict(new, prior="mine", progress=False).X, wanted)
        assert "simulated" not in repr(phg2st.models.priors()).split()
        made = phg2st.tl.predict(new, prior="auto", progress=False)
        assert "mine" in made.uns["priors"]["used"]
        assert "rheumatoid_synovium" in made.uns["priors"]["passed_over"]
    finally:
        del PRIORS["mine"]


def test_another_order_of_letters_in_names(prior, new):
    wanted = phg2st.tl.predict(new, prior=prior, progress=False).X
    small = new.copy()
    small.var_names = [f"gene-{number}" for number in range(new.n_vars)]
    small.var["symbol"] = list(new.var_names.str.lower())
    made = phg2st.tl.predict(small, prior=prior, gene_key="symbol", progress=False).X
    np.testing.assert_allclose(made, wanted, atol=1e-6)


def test_a_mouse_is_offered_a_human_prior(prior, new, of_other_mice):
    mouse = new.copy()
    mouse.var_names = [f"Gene{number}a" for number in range(new.n_vars)]
    with pytest.raises(ValueError, match=r"'simulated' is of human genes, .* those of mouse: .*models\.priors\(\)"):
        phg2st.tl.impute(mouse, prior=prior, progress=False)
    phg2st.tl.impute(mouse, prior="auto", progress=False)
    passed = mouse.uns["phg2st"]["priors"]["passed_over"]
    assert "of human genes" in passed["rheumatoid_synovium"]
    assert "knows 30 genes, and only 0" in passed[of_other_mice]
    phg2st.tl.impute(mouse, key_added="alone", progress=False)
    np.testing.assert_array_equal(mouse.layers["phg2st"], mouse.layers["alone"])


def of_species(adata, **columns):
    """A copy whose ``var_names`` are Entrez ids, with other columns of ``var``."""
    made = adata.copy()
    for name, values in columns.items():
        made.var[name] = values
    made.var_names = [str(1000 + number) for number in range(made.n_vars)]
    return made


def test_columns_that_hold_no_genes_do_not_tell_the_species(new):
    kinds = {"feature_types": "Gene Expression", "genome": "GRCh38", "description": [f"Protein {i}" for i in range(30)]}
    assert species_of_table(of_species(new, **kinds)) == ""
    assert species_of_table(of_species(new, **kinds, symbol=list(new.var_names))) == "human"
    mouse = [f"Gene{number}a" for number in range(new.n_vars)]
    assert species_of_table(of_species(new, genome="GRCh38", symbol=mouse)) == "mouse"


def test_other_species_are_neither(prior, new):
    pig = new.copy()
    pig.var["symbol"] = list(new.var_names)
    pig.var_names = [f"ENSSSCG{number:011d}" for number in range(new.n_vars)]
    with pytest.raises(ValueError, match=r"of human genes, .* those of another species"):
        phg2st.tl.predict(pig, prior=prior, progress=False)
    of_pigs = prior.prior(species="pig")  # whose symbols pass for those of humans
    wanted = phg2st.tl.predict(new, prior=prior, progress=False).X
    for one in (pig, new):
        np.testing.assert_array_equal(phg2st.tl.predict(one, prior=of_pigs, progress=False).X, wanted)


def test_capitals_match_only_where_the_species_is_known(prior, new):
    small = new.copy()
    small.var_names = new.var_names.str.lower()
    wanted = phg2st.tl.predict(new, prior=prior, progress=False).X
    np.testing.assert_allclose(phg2st.tl.predict(small, prior=prior, progress=False).X, wanted, atol=1e-6)
    unclear = prior.prior()
    unclear.card["prior"] = {**unclear.card["prior"], "species": ""}
    with pytest.raises(ValueError, match="knows 30 genes, and only 0 of them"):
        phg2st.tl.predict(small, prior=unclear, progress=False)


def test_auto_matches_no_genes_of_unknown_species_by_capitals(prior, new, tmp_path):
    small = new.copy()
    small.var_names = new.var_names.str.lower()
    phg2st.models.priors()["mine"] = prior.save(tmp_path / "mine")
    try:
        phg2st.tl.impute(small, prior="auto", progress=False)
    finally:
        del PRIORS["mine"]
    assert "only 0 of them" in small.uns["phg2st"]["priors"]["passed_over"]["mine"]


def test_a_folder_does_not_hide_a_name(tmp_path, monkeypatch, new):
    name = "rheumatoid_synovium"
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert phg2st.models.load_prior(name).card["prior"]["name"] == name
    phg2st.tl.impute(new, prior="auto", progress=False)
    for path in (f"./{name}", tmp_path / name):
        with pytest.raises(FileNotFoundError):
            phg2st.models.load_prior(path)


def test_a_prior_of_cells_is_no_model(new, tmp_path):
    cells = phg2st.tl.learn_prior(human({"x": new.copy()})["x"], n_components=3)
    for model in (cells, cells.save(tmp_path / "cells")):
        with pytest.raises(ValueError, match=r"learned from single cells, .* as `prior=`"):
            phg2st.tl.impute(new, model=model, progress=False)
    phg2st.tl.impute(new, prior=cells, progress=False)
    assert 'prior="lab/cells"' in model_card(cells, "lab/cells")


def test_names_that_do_not_fit(prior, new):
    other = new.copy()
    other.var_names = [f"OTHER{number}" for number in range(new.n_vars)]
    with pytest.raises(ValueError, match=r"knows 30 genes, and only 0 of them .* `gene_key=`"):
        phg2st.tl.impute(other, prior=prior, progress=False)


def test_what_is_no_prior(prior, new, tmp_path):
    with pytest.raises(KeyError, match="no prior 'rheumatic_synovium': did you mean 'rheumatoid_synovium'"):
        phg2st.tl.impute(new, prior="rheumatic_synovium", progress=False)
    with pytest.raises(ValueError, match="Both `model` and `prior`"):
        phg2st.tl.impute(new, prior=prior, model=prior, progress=False)
    with pytest.raises(TypeError, match="Method 'kriging' takes no prior"):
        phg2st.tl.impute(new, prior=prior, method="kriging", progress=False)
    with pytest.raises(TypeError, match="not int"):
        phg2st.tl.impute(new, prior=3, progress=False)
    with pytest.raises(ValueError, match="one name"):
        phg2st.tl.impute(new, prior=[prior, prior], progress=False)
    with pytest.raises(TypeError, match="holds method 'kriging'"):
        phg2st.models.load_prior(phg2st.models.Kriging().save(tmp_path / "kriging"))
    with pytest.raises(ValueError, match="was not trained"):
        phg2st.tl.impute(new, prior=phg2st.models.PHG2ST(), progress=False)


def test_features_of_another_encoder_leave_the_image_out():
    slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=60, n_genes=20, progress=False)
    for one in slides.values():
        phg2st.pp.extract_embeddings(one, encoder="texture", context=None, progress=False)
    new = slides.pop(next(iter(slides)))
    prior = phg2st.tl.train(slides, use_network=False, progress=False).prior(name="imaged")
    assert prior._knowledge.regression is not None
    phg2st.pp.sample_prompts(new, fraction=0.3, seed=0)
    phg2st.tl.impute(new, prior=prior, progress=False)
    assert new.uns["phg2st"]["priors"]["used"]["imaged"]["image"]
    other = prior.prior()
    other.card["features"]["encoder"] = "another"
    phg2st.tl.impute(new, prior=other, key_added="other", progress=False)
    assert not new.uns["other"]["priors"]["used"]["imaged"]["image"]
    assert np.abs(new.layers["other"] - new.layers["phg2st"]).max() > 0
    assert prior.lend("x", prior.genes, image=False, asked=True).regression is None


def test_shipped_priors_hold_no_section_and_say_where_they_come_from():
    total = 0
    for name in phg2st.models.priors():
        folder = PRIORS[name]
        total += sum(file.stat().st_size for file in folder.iterdir())
        prior = phg2st.models.load_prior(name)
        facts = prior.card["prior"]
        assert facts["license"] == "BSD-3-Clause"
        assert "Redistribution and use" in (folder / "LICENSE").read_text(encoding="utf-8")
        assert "https://github.com/mssanjavickovic/3dst, commit" in (folder / "NOTICE").read_text(encoding="utf-8")
        assert 0.5 < prior._knowledge.share < 0.95  # the panel leaves genes out
        assert set(facts["held_out"]) == {"scattered", "block"}
        assert {"tissue", "species", "platform", "source", "n_sections", "n_patients", "n_genes"} <= set(facts)
        assert prior._knowledge.references == ()
        assert "slides" not in prior.card
        assert "fingerprints" not in prior.card
        assert len(prior.card["shortened_fingerprints"]) == facts["n_sections"]
    assert total < 8_000_000
    assert "BSD-3-Clause" in repr(phg2st.models.priors())
