"""Objects that are not in memory: read, or told how to be."""

from __future__ import annotations

import anndata
import numpy as np
import pytest

import phg2st_sc as phg2st

CALLS = {
    "sample_prompts": lambda a: phg2st.pp.sample_prompts(a, key_added="drawn"),
    "select_genes": lambda a: phg2st.pp.select_genes(a, n_top_genes=5),
    "normalize": phg2st.pp.normalize,
    "build_hypergraph": lambda a: phg2st.pp.build_hypergraph(a, builder="position"),
    "add_targets": lambda a: phg2st.pp.add_targets(a, region="capture"),
    "predict": lambda a: phg2st.tl.predict(a, method="idw"),
    "predict a view": lambda a: phg2st.tl.predict(a[:60], method="idw"),
    "impute": lambda a: phg2st.tl.impute(a, method="idw"),
    "evaluate": lambda a: phg2st.tl.evaluate(a, layer="idw"),
    "train": lambda a: phg2st.tl.train(a, method="gene_kriging", progress=False),
}


@pytest.fixture(params=["h5ad", "zarr"])
def path(request, adata, tmp_path):
    """A section with a prediction, in a file."""
    phg2st.tl.impute(adata, method="idw")
    target = tmp_path / f"a.{request.param}"
    getattr(adata, f"write_{request.param}")(target)
    return target


@pytest.mark.parametrize("call", list(CALLS))
def test_a_lazy_object_is_told_how_to_come_into_memory(path, call):
    lazy = pytest.importorskip("anndata.experimental").read_lazy(path)
    with pytest.raises(TypeError, match=r"lazy.*`adata\.to_memory\(\)`.*backed='r'"):
        CALLS[call](lazy)


def test_the_ways_out_that_the_error_names_are_open(path, adata):
    expected = phg2st.tl.predict(adata).X
    lazy = pytest.importorskip("anndata.experimental").read_lazy(path)
    np.testing.assert_array_equal(phg2st.tl.predict(lazy.to_memory()).X, expected)
    if path.suffix == ".h5ad":
        backed = anndata.read_h5ad(path, backed="r")
        np.testing.assert_array_equal(phg2st.tl.predict(backed).X, expected)
        backed.file.close()
