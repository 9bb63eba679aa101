"""What is no gene: out of totals, panels and predictions unless asked for, and said once."""

from __future__ import annotations

import gzip
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._reading import is_gene

NO_GENES = [
    "NegControlProbe_00042",
    "NegControlCodeword_0500",
    "UnassignedCodeword_0001",
    "DeprecatedCodeword_0007",
    "GenomicControl_3",
    "Intergenic_Region_1005",
    "BLANK_0006",
    "antisense_PROKR2",
    "NegPrb1",
    "NegPrb10",
    "Negative01",
    "SystemControl17",
    "FalseCode204",
    "Blank-1",
    "Blank-50",
    "blank_12",
    "DEPRECATED_ENSG00000211890",
    "NegProbe-WTX",
    "NegProbe-CTP01",
    "Negative Probe",
    "__ambiguous[ENSG00000000001+ENSG00000000002]",
    "__ambiguous.Dst.AC123072.1",
    "X__ambiguous.Dst.AC123072.1",
    "__no_feature",
    "__too_low_aQual",
    "__not_aligned",
    "__alignment_not_unique",
    "alignment_not_unique",
    "ERCC-00002",
    "CD3_TotalSeqB",
    "CD19_control_TotalSeqB",
    "Non-Targeting-1",
    "non_targeting_0003",
]
LOOK_ALIKES = [
    *(
        "BLNK",
        "Blnk",
        "BLK",
        "blanks",
        "NEGR1",
        "Negr1",
        "NEGRC1",
        "ANTXR1",
        "Antxr2",
        "ERCC1",
        "ERCC6L",
        "ERCC-1",
        "NEFL",
        "NPRB",
    ),
    *(
        "AMBN",
        "AMBP",
        "AMBRA1",
        "SYS1",
        "FALZ",
        "CTRL",
        "CTRB1",
        "CTRC",
        "PROKR2",
        "PROKR2-AS1",
        "DEPDC1",
        "DEPP1",
        "UNC5B",
    ),
    *("HLA-DRB1", "MT-CO1", "mt-Nd1", "H1-4", "NKX2-1", "LINC00969", "AC013461.1", "RP11-34P13.7", "Gm20390", "TARBP1"),
    *(
        "CD163.1",
        "ENSG00000211890",
        "1110004F10Rik",
        "1-Mar",
        "Sept5",
        "7SK",
        "Y_RNA",
        "U2",
        "NTRK1",
        "TSC1",
        "GRCh38_GAPDH",
    ),
    *("T", "Neg1", "Custom", "SGK1", "SGCA", "PROB1", "ROBO1", "CODE1", "antxr", "TOTALE", "SAFB", "TARGET1"),
]


def test_controls_by_name():
    assert [
        name
        for name, gene in zip(NO_GENES, is_gene(pd.DataFrame(index=NO_GENES[:-1] + ["GAPDH"])), strict=True)
        if gene
    ] == [NO_GENES[-1]]
    assert not is_gene(pd.DataFrame(index=[*NO_GENES, "GAPDH"]))[:-1].any()


def test_real_genes_that_look_alike_stay():
    assert is_gene(pd.DataFrame(index=LOOK_ALIKES)).all()


def test_no_real_gene_of_the_public_sections_is_dropped(real_data):
    dropped, kept = set(), set()
    for path in sorted(real_data.glob("**/*.h5ad")):
        names = ad.read_h5ad(path, backed="r").var_names
        genes = is_gene(pd.DataFrame(index=names))
        dropped |= set(names[~genes])
        kept |= set(names[genes])
    for path in sorted(real_data.glob("her2st/ST-cnts/*.tsv.gz")):
        with gzip.open(path, "rt") as file:
            names = pd.Index(file.readline().rstrip("\n").split("\t")[1:])
        assert is_gene(pd.DataFrame(index=names)).all()
    for path in sorted(real_data.glob("*_genes.txt")):
        assert is_gene(pd.DataFrame(index=path.read_text().split())).all()
    assert all(name.startswith("__ambiguous") for name in dropped)
    assert not any(name.startswith("__") for name in kept)


def with_controls(n_spots=80, *, types=True, form="csr", seed=0):
    """A section with an antibody that swamps all genes, and two control probes; and the section without them."""
    plain = phg2st.datasets.simulate(n_spots=n_spots, n_genes=24, image=False, progress=False, seed=seed)
    phg2st.pp.sample_prompts(plain, fraction=0.3, seed=0)
    counts = plain.X.toarray() if sparse.issparse(plain.X) else np.asarray(plain.X)
    other = np.random.default_rng(1).poisson([40000.0, 2.0, 2.0], size=(n_spots, 3))
    names = ["CD3E.1", "NegControlProbe_1", "Blank-1"] if types else ["CD3_TotalSeqB", "NegControlProbe_1", "Blank-1"]
    joined = np.concatenate([counts[:, :10], other, counts[:, 10:]], axis=1).astype(np.float32)
    var = pd.DataFrame(index=[*plain.var_names[:10], *names, *plain.var_names[10:]])
    if types:
        var["feature_types"] = "Gene Expression"
        var.loc["CD3E.1", "feature_types"] = "Antibody Capture"
    adata = ad.AnnData(sparse.csr_matrix(joined) if form == "csr" else joined, obs=plain.obs.copy(), var=var)
    adata.obsm["spatial"] = plain.obsm["spatial"].copy()
    return adata, plain


@pytest.mark.parametrize("form", ["csr", "dense"])
@pytest.mark.parametrize("types", [True, False])
def test_predictions_are_those_of_the_genes_alone(types, form):
    adata, plain = with_controls(types=types, form=form)
    expected = phg2st.tl.predict(plain, method="gene_kriging")
    with pytest.warns(UserWarning, match="3 of 27 features are no genes.*gex_only=False") as caught:
        predicted = phg2st.tl.predict(adata, method="gene_kriging")
    assert len(caught) == 1
    assert list(predicted.var_names) == list(expected.var_names)
    assert predicted.X.tobytes() == expected.X.tobytes()
    assert predicted.uns["target_sum"] == expected.uns["target_sum"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert phg2st.tl.predict(adata, method="gene_kriging", gex_only=True).X.tobytes() == expected.X.tobytes()


def test_every_feature_counts_where_that_is_asked_for():
    adata, plain = with_controls()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = phg2st.tl.predict(adata, method="kriging", gex_only=False)
    assert "CD3E.1" in predicted.var_names
    assert predicted.uns["target_sum"] > 4 * phg2st.tl.predict(plain, method="kriging").uns["target_sum"]


def test_a_column_says_what_counts():
    adata, plain = with_controls()
    adata.var["mine"] = ~adata.var_names.isin(["CD3E.1", "NegControlProbe_1", "Blank-1"])
    got = phg2st.tl.predict(adata, method="kriging", gex_only="mine").X
    assert got.tobytes() == phg2st.tl.predict(plain, method="kriging").X.tobytes()
    with pytest.raises(KeyError, match="gex_only='his' is no column of var"):
        phg2st.tl.predict(adata, method="kriging", gex_only="his")
    with pytest.raises(TypeError, match="not bool"):
        phg2st.tl.predict(adata, method="kriging", gex_only="feature_types")
    with pytest.raises(TypeError, match="gex_only=3 is True, False or"):
        phg2st.tl.predict(adata, method="kriging", gex_only=3)


def test_what_is_no_gene_cannot_be_asked_for_beside_genes():
    adata, _ = with_controls()
    with pytest.raises(ValueError, match="'CD3E.1'.*gex_only=False"):
        phg2st.tl.predict(adata, method="kriging", genes=["CD3E.1"], gex_only=True)


def test_an_object_of_antibodies_alone_is_an_error_that_says_what_to_pass():
    adata, _ = with_controls()
    adata.var["feature_types"] = "Antibody Capture"
    with pytest.raises(ValueError, match="None of the 27 features is a gene.*gex_only=False"):
        phg2st.tl.predict(adata, method="kriging")
    assert phg2st.tl.predict(adata, method="kriging", gex_only=False).n_vars == 27


@pytest.mark.parametrize("kind", ["protein_coding", "gene"])
def test_other_words_in_the_column_are_no_reason_to_leave_genes_out(kind):
    assert is_gene(pd.DataFrame({"feature_type": kind}, index=["A", "B"])).all()


def test_gaps_in_the_column_are_decided_by_name():
    var = pd.DataFrame({"feature_types": ["Gene Expression", None, None]}, index=["A", "B", "Blank-1"])
    assert is_gene(var).tolist() == [True, True, False]


def test_the_values_of_what_is_left_out_are_not_checked():
    adata, plain = with_controls(form="dense")
    adata.X[:, adata.var_names.get_loc("CD3E.1")] = 0.5
    got = phg2st.tl.predict(adata, method="kriging", gex_only=True).X
    assert got.tobytes() == phg2st.tl.predict(plain, method="kriging").X.tobytes()


@pytest.mark.parametrize("form", ["csr", "dense"])
def test_normalize_takes_totals_over_genes(form):
    adata, plain = with_controls(form=form)
    with pytest.warns(UserWarning, match="3 of 27 features are no genes"):
        phg2st.pp.normalize(adata)
    phg2st.pp.normalize(plain)
    dense = [one.layers["phg2st_lognorm"] for one in (adata, plain)]
    got, expected = (one.toarray() if sparse.issparse(one) else one for one in dense)
    genes = is_gene(adata.var)
    np.testing.assert_array_equal(got[:, genes], expected)
    assert np.isnan(got[:, ~genes]).all() if form == "dense" else not got[:, ~genes].any()
    assert adata.uns["phg2st_lognorm"]["n_genes"] == 24


def test_selection_training_and_scores_are_those_of_the_genes_alone():
    pairs = {f"s{seed}": with_controls(seed=seed) for seed in range(3)}
    mixed, plain = ({name: pair[i] for name, pair in pairs.items()} for i in (0, 1))
    with pytest.warns(UserWarning, match="no genes") as caught:
        chosen = phg2st.pp.select_genes(mixed, n_top_genes=12)
    assert sum("no genes" in str(one.message) for one in caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert chosen == phg2st.pp.select_genes(plain, n_top_genes=12)
        new, bare = mixed.pop("s2"), plain.pop("s2")
        ours = phg2st.tl.train(mixed, method="gene_kriging", progress=False)
        theirs = phg2st.tl.train(plain, method="gene_kriging", progress=False)
    assert ours.card["target_sum"] == theirs.card["target_sum"]
    phg2st.tl.impute(new, model=ours, gex_only=True, key_added="done")
    phg2st.tl.impute(bare, model=theirs, key_added="done")
    with warnings.catch_warnings():  # it was told of by the prediction
        warnings.simplefilter("error", UserWarning)
        scores = [phg2st.tl.evaluate(one, layer="done", n_splits=1, compare="kriging") for one in (new, bare)]
    pd.testing.assert_frame_equal(*scores)


def test_the_reading_travels_with_a_prediction_and_a_model(tmp_path):
    adata, _ = with_controls()
    phg2st.tl.impute(adata, method="kriging", gex_only=False)
    assert adata.uns["kriging"]["reading"]["gex_only"] is False
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = phg2st.tl.evaluate(again, layer="kriging", n_splits=0)
    assert "CD3E.1" in set(scores["gene"])
    model = phg2st.tl.train(
        {"a": adata, "b": with_controls(seed=5)[0]}, method="kriging", gex_only=False, progress=False
    )
    loaded = phg2st.models.load(model.save(tmp_path / "model"))
    assert "CD3E.1" in phg2st.tl.predict(with_controls(seed=6)[0], model=loaded).var_names


def test_a_prediction_made_before_this_was_kept_counted_every_feature():
    adata, _ = with_controls()
    phg2st.tl.impute(adata, method="kriging", gex_only=False)
    expected = phg2st.tl.evaluate(adata, layer="kriging", n_splits=0)
    del adata.uns["kriging"]["reading"]["gex_only"]
    pd.testing.assert_frame_equal(phg2st.tl.evaluate(adata, layer="kriging", n_splits=0), expected)


def test_genes_of_two_genomes_are_told_of():
    adata, _ = with_controls()
    adata.var["genome"] = ["GRCh38"] * 14 + ["mm10"] * 13
    adata.var.loc["CD3E.1", "genome"] = ""
    with pytest.warns(UserWarning, match="Genes of 2 genomes.*gex_only='mine'") as caught:
        phg2st.tl.predict(adata, method="kriging")
    assert len(caught) == 2
    adata.var["mine"] = adata.var["genome"] == "GRCh38"
    assert phg2st.tl.predict(adata, method="kriging", gex_only="mine").n_vars == 13


def test_a_benchmark_leaves_them_out():
    pairs = {f"s{seed}": with_controls(seed=seed) for seed in range(2)}
    settings = {"methods": ["idw"], "folds": None, "genes": None, "n_masks": 1, "n_splits": 0, "progress": False}
    tables = [
        phg2st.tl.benchmark({name: pair[i] for name, pair in pairs.items()}, gex_only=True, **settings) for i in (0, 1)
    ]
    timed = tables[0]["metric"].str.contains("seconds|_mb")
    pd.testing.assert_frame_equal(*(table[~timed] for table in tables))


@pytest.mark.parametrize("form", ["csr", "dense"])
def test_normalize_takes_any_value_of_what_is_no_gene(form):
    adata, plain = with_controls(form=form)
    dense = sparse.csr_matrix(adata.X).toarray()
    dense[:, adata.var_names.get_loc("CD3E.1")] = -4.0
    adata.X = sparse.csr_matrix(dense) if form == "csr" else dense
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.pp.normalize(adata, gex_only=True)
    phg2st.pp.normalize(plain)
    got, expected = (sparse.csr_matrix(one.layers["phg2st_lognorm"]).toarray() for one in (adata, plain))
    np.testing.assert_array_equal(got[:, is_gene(adata.var)], expected)
