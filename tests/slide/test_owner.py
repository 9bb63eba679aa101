"""What the user holds is never overwritten; what the package wrote is."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._slide import Owner, SlotUpdate, write_slots


def color(tiles):
    return tiles.mean(axis=(1, 2))


def embed(adata, image):
    phg2st.pp.extract_embeddings(adata, image=image, encoder=color, input_px=8, pitch_um=200, progress=False)


def impute(adata, key):
    phg2st.pp.sample_prompts(adata, fraction=0.3, key_added="drawn")
    phg2st.tl.impute(adata, prompt_mask="drawn", method="idw", key_added=key)


CALLS = {
    "impute, layer": ("layers", "mine", lambda a, _: impute(a, "mine")),
    "impute, uns": ("uns", "mine", lambda a, _: impute(a, "mine")),
    "normalize": ("layers", "phg2st_lognorm", lambda a, _: phg2st.pp.normalize(a)),
    "embeddings": ("obsm", "X_color", embed),
    "context of embeddings": ("obsm", "X_color_context_index", embed),
    "hypergraph": (
        "obsp",
        "h_distances",
        lambda a, _: phg2st.pp.build_hypergraph(a, builder="position", key_added="h"),
    ),
    "genes": ("var", "mine", lambda a, _: phg2st.pp.select_genes(a, n_top_genes=5, key_added="mine")),
    "prompts": ("uns", "phg2st_mine", lambda a, _: phg2st.pp.sample_prompts(a, key_added="mine")),
}


def own(adata, slot):
    n, g = adata.shape
    shapes = {"layers": (n, g), "obsm": (n, 2), "obsp": (n, n), "var": g}
    return {"note": "mine"} if slot == "uns" else np.full(shapes[slot], 7.0)


@pytest.mark.parametrize("case", CALLS)
def test_slots_of_the_user_are_refused_and_stay(case, spot_adata, he_image):
    slot, key, call = CALLS[case]
    getattr(spot_adata, slot)[key] = own(spot_adata, slot)
    with pytest.raises(ValueError, match=rf"{slot}\['{key}'\].*not written by phg2st_sc.*del data\."):
        call(spot_adata, he_image)
    kept = getattr(spot_adata, slot)[key]
    assert kept == own(spot_adata, slot) if slot == "uns" else (np.asarray(kept) == 7.0).all()


@pytest.mark.parametrize("case", CALLS)
def test_results_are_replaced_also_after_a_file_and_a_subset(case, spot_adata, he_image, tmp_path):
    _, _, call = CALLS[case]
    call(spot_adata, he_image)
    call(spot_adata, he_image)
    spot_adata.write_h5ad(tmp_path / "a.h5ad")
    part = ad.read_h5ad(tmp_path / "a.h5ad")[:90].copy()
    call(part, he_image)


def test_the_record_of_the_image_is_no_record_of_a_prediction(spot_adata):
    before = dict(spot_adata.uns["spatial"]) if "spatial" in spot_adata.uns else {"s": {"images": {}}}
    spot_adata.uns["spatial"] = before
    with pytest.raises(ValueError, match=r"uns\['spatial'\] exists"):
        impute(spot_adata, "spatial")
    assert spot_adata.uns["spatial"] == before
    assert "spatial" not in spot_adata.layers


def test_one_result_does_not_replace_another_kind(spot_adata):
    phg2st.pp.build_hypergraph(spot_adata, builder="position", key_added="h")
    with pytest.raises(ValueError, match=r"uns\['h'\] exists"):
        impute(spot_adata, "h")


def test_results_whose_record_was_lost_are_refused(spot_adata):
    impute(spot_adata, "mine")
    del spot_adata.uns["mine"]
    with pytest.raises(ValueError, match=r"layers\['mine'\].*uns_merge.*choose another `key_added=`, or delete them"):
        impute(spot_adata, "mine")


def test_nothing_of_the_user_is_taken_away(spot_adata):
    spot_adata.layers["r_std"] = own(spot_adata, "layers")
    owner = Owner(("r",), ("method",))
    update = SlotUpdate(uns={"r": {"method": "x"}}, remove={"layers": ["r_std"]}, owner=owner)
    with pytest.raises(ValueError, match=r"layers\['r_std'\] exists"):
        write_slots(spot_adata, spot_adata, update)
    assert "r" not in spot_adata.uns
    write_slots(spot_adata, spot_adata, SlotUpdate(uns={"r": {"method": "x"}}, owner=owner))
    write_slots(spot_adata, spot_adata, update)
    assert "r_std" not in spot_adata.layers


def test_genes_are_marked_in_all_objects_or_in_none(spot_adata):
    other = spot_adata.copy()
    other.var["mine"] = "own"
    with pytest.raises(ValueError, match=r"var\['mine'\] exists"):
        phg2st.pp.select_genes([spot_adata, other], n_top_genes=5, key_added="mine")
    assert "mine" not in spot_adata.var
