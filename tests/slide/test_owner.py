"""What the user holds is never overwritten; what the package wrote is."""

from __future__ import annotations

import re

import anndata as ad
import numpy as np
import pytest
from sections import compare, contents
from slot_updates import reread

import phg2st_sc as phg2st
from phg2st_sc._slide import Owner, SlotUpdate, write_slots
from phg2st_sc.models import IDW, Prediction

SLOTS = ("layers", "obs", "obsm", "obsp", "uns", "var")


def color(tiles):
    return tiles.mean(axis=(1, 2))


def impute(adata, _image=None, key="mine"):
    phg2st.tl.impute(adata, prompt_mask="drawn", method="idw", key_added=key)


def embed(adata, image, key="X_color"):
    phg2st.pp.extract_embeddings(
        adata, image=image, encoder=color, context=5, input_px=8, pitch_um=200, key_added=key, progress=False
    )


def link(adata, _image=None, key="h"):
    phg2st.pp.build_hypergraph(adata, builder="position", key_added=key)


def mark_genes(adata, _image=None, key="mine"):
    phg2st.pp.select_genes(adata, n_top_genes=5, key_added=key)


def draw(adata, _image=None, key="mine"):
    phg2st.pp.sample_prompts(adata, seed=3, key_added=key)


def normalize(adata, _image=None):
    phg2st.pp.normalize(adata)


OF_IMPUTE = {("layers", "mine"), ("obs", "mine_prompt"), ("uns", "mine"), ("var", "mine_predicted")}
WRITES = {
    impute: OF_IMPUTE,
    normalize: {("layers", "phg2st_lognorm"), ("uns", "phg2st_lognorm")},
    embed: {
        ("obsm", "X_color"),
        ("obsm", "X_color_context_index"),
        ("uns", "phg2st_embeddings"),
        ("uns", "phg2st_tiles"),
    },
    link: {("obsp", "h_incidence"), ("obsp", "h_connectivities"), ("obsp", "h_distances"), ("uns", "h")},
    mark_genes: {("var", "mine"), ("uns", "mine")},
    draw: {("obs", "mine"), ("uns", "phg2st_mine")},
}
"""All that a call writes, by call."""
SHARED = {("uns", "phg2st_embeddings"), ("uns", "phg2st_tiles")}
"""Records of several results: a call adds to them."""
CASES = [(call, slot, key) for call, written in WRITES.items() for slot, key in sorted(written - SHARED)]
each_write = pytest.mark.parametrize(
    ("call", "slot", "key"), CASES, ids=[f"{call.__name__}-{slot}-{key}" for call, slot, key in CASES]
)
REFUSED = "was not (written by phg2st_sc|drawn by `sample_prompts`)"
each_call = pytest.mark.parametrize("call", WRITES, ids=lambda call: call.__name__)


@pytest.fixture
def table(spot_adata):
    """Spots with prompts."""
    phg2st.pp.sample_prompts(spot_adata, fraction=0.3, key_added="drawn")
    return spot_adata


def keys(table):
    return {(slot, key) for slot in SLOTS for key in getattr(table, slot) if key is not None}


def own(table, slot):
    """Something of the user's that fits the slot."""
    n, g = table.shape
    shapes = {"layers": (n, g), "obsm": (n, 2), "obsp": (n, n), "var": (g,), "obs": (n,)}
    return {"note": "mine", "values": np.arange(3.0)} if slot == "uns" else np.full(shapes[slot], 7.0)


def unchanged(before, table):
    after = contents(table)
    compare(before, after)
    compare(after, before)


@each_call
def test_all_that_is_written_is_known(call, table, he_image):
    before = keys(table)
    call(table, he_image)
    assert keys(table) - before == WRITES[call]


@each_write
def test_a_slot_of_the_user_is_refused_and_the_object_stays_as_it_was(call, slot, key, table, he_image):
    getattr(table, slot)[key] = own(table, slot)
    before = contents(table)
    with pytest.raises(ValueError, match=rf"{slot}\['{key}'\] exists and {REFUSED}"):
        call(table, he_image)
    unchanged(before, table)


@each_write
def test_the_ways_out_that_the_error_names_are_open(call, slot, key, table, he_image):
    getattr(table, slot)[key] = own(table, slot)
    with pytest.raises(ValueError, match=REFUSED) as caught:
        call(table, he_image)
    other = table.copy()
    if call is not normalize:  # which has one place
        assert "choose another `key_added=`" in str(caught.value).replace("Choose", "choose")
        before = contents(other)
        call(other, he_image, key="X_else" if call is embed else "elsewhere")
        compare(before, contents(other))
    (told,) = re.findall(r"`del data\.(\w+)\['(\w+)'\]`", str(caught.value))
    assert told == (slot, key)
    del getattr(table, slot)[key]
    call(table, he_image)
    assert keys(table) >= WRITES[call]


def test_all_slots_that_are_in_the_way_are_named_at_once(table):
    for slot, key in OF_IMPUTE:
        getattr(table, slot)[key] = own(table, slot)
    before = contents(table)
    with pytest.raises(ValueError, match=r"exist and were not written by phg2st_sc.*delete them first") as caught:
        impute(table)
    assert all(f"{slot}['{key}']" in str(caught.value) for slot, key in OF_IMPUTE)
    unchanged(before, table)


class Spread(IDW):
    """A method with a spread."""

    def predict(self, slide, prompts):
        found = super().predict(slide, prompts)
        return Prediction(found.blocks, std=np.ones(found.shape, dtype=np.float32))


@pytest.mark.parametrize("first", [True, False])
def test_a_spread_of_the_user_is_never_taken_away(first, table):
    """`idw` has none to write, and the record says that none was written."""
    if first:
        impute(table)
    table.layers["mine_std"] = own(table, "layers")
    impute(table)
    assert (table.layers["mine_std"] == 7.0).all()
    phg2st.tl.impute(table, prompt_mask="drawn", method="idw", key_added="mine", low_rank=3)
    assert (table.layers["mine_std"] == 7.0).all()
    before = contents(table)
    with pytest.raises(ValueError, match=r"layers\['mine_std'\] exists and was not written by phg2st_sc"):
        phg2st.tl.impute(table, prompt_mask="drawn", model=Spread(), key_added="mine")
    unchanged(before, table)


def test_a_spread_of_an_earlier_result_is_taken_away(table):
    phg2st.tl.impute(table, prompt_mask="drawn", model=Spread(), key_added="mine")
    assert (table.layers["mine_std"] == 1.0).all()
    phg2st.tl.impute(table, prompt_mask="drawn", model=Spread(), key_added="mine")
    impute(table)
    assert "mine_std" not in table.layers


@pytest.mark.parametrize("slot", ["phg2st_embeddings", "phg2st_tiles"])
def test_shared_records_are_added_to(slot, table, he_image):
    table.uns[slot] = {"X_own": {"note": "mine", "values": np.arange(3.0)}}
    before = contents(table)
    embed(table, he_image)
    compare(before, contents(table))
    assert len(table.uns[slot]) > 1


@pytest.mark.parametrize("slot", ["phg2st_embeddings", "phg2st_tiles"])
def test_a_record_of_the_user_under_the_name_is_refused(slot, table, he_image):
    table.uns[slot] = {"X_color": {"note": "mine", "values": np.arange(3.0)}}
    before = contents(table)
    with pytest.raises(ValueError, match=rf"uns\['{slot}'\]\['X_color'\] exists and was not written by phg2st_sc"):
        embed(table, he_image)
    unchanged(before, table)
    embed(table, he_image, key="X_else")
    compare(before, contents(table))


@pytest.mark.parametrize("slot", ["phg2st_embeddings", "phg2st_tiles"])
@pytest.mark.parametrize("value", ["mine", np.arange(3.0), ["X_color"]])
def test_what_stands_where_records_are_kept_is_refused(slot, value, table, he_image):
    table.uns[slot] = value
    before = contents(table)
    with pytest.raises(
        ValueError, match=rf"uns\['{slot}'\] is a (str|ndarray|list) that phg2st_sc did not write.*another name"
    ):
        embed(table, he_image)
    unchanged(before, table)
    table.uns[slot] = None
    embed(table, he_image)
    assert set(table.uns[slot]) == {"X_color"}


@each_call
def test_results_are_replaced_also_after_a_file_and_a_subset(call, table, he_image, tmp_path):
    expected, part = table.copy(), table[:90].copy()
    call(expected, he_image)
    call(part, he_image)
    call(table, he_image)
    spoil(table, WRITES[call])
    call(table, he_image)
    unchanged(contents(expected), table)
    table.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")[:90].copy()
    call(back, he_image)
    now, then = contents(back), contents(part)
    for slot, key in WRITES[call]:
        if slot != "uns":  # whose records name what was read
            compare({f"{slot}/{key}": then[f"{slot}/{key}"]}, now)


def spoil(table, written):
    """Other values in what an earlier call left, its record aside."""
    for slot, key in written:
        place = getattr(table, slot)
        if slot == "obs" or slot == "var":
            place[key] = ~place[key]
        elif slot != "uns":
            place[key] = place[key] * 0


def test_the_record_of_the_image_is_no_record_of_a_prediction(table, he_image):
    table.uns["spatial"] = {"s": {"images": {"hires": he_image.copy()}}}
    before = contents(table)
    with pytest.raises(ValueError, match=r"uns\['spatial'\] exists"):
        impute(table, key="spatial")
    unchanged(before, table)


def test_one_result_does_not_replace_another_kind(table):
    link(table)
    before = contents(table)
    with pytest.raises(ValueError, match=r"uns\['h'\] exists"):
        impute(table, key="h")
    unchanged(before, table)


def test_results_whose_record_was_lost_are_refused(table):
    impute(table)
    del table.uns["mine"]
    before = contents(table)
    with pytest.raises(ValueError, match=r"layers\['mine'\].*uns_merge.*choose another `key_added=`, or delete them"):
        impute(table)
    unchanged(before, table)


def test_nothing_of_the_user_is_taken_away(spot_adata):
    spot_adata.layers["r_std"] = own(spot_adata, "layers")
    before = contents(spot_adata)
    owner = Owner(("r",), ("method",))
    update = SlotUpdate(uns={"r": {"method": "x"}}, remove={"layers": ["r_std"]}, owner=owner)
    with pytest.raises(ValueError, match=r"layers\['r_std'\] exists"):
        write_slots(spot_adata, spot_adata, update)
    unchanged(before, spot_adata)
    write_slots(spot_adata, spot_adata, SlotUpdate(uns={"r": {"method": "x"}}, owner=owner))
    write_slots(spot_adata, spot_adata, update)
    assert "r_std" not in spot_adata.layers


def test_refused_before_a_store_is_touched(stored):
    table = stored["table"]
    before = contents(reread(stored))
    update = SlotUpdate(layers={"mine": table.X * 3}, owner=Owner(("mine_too",), ("method",)))
    with pytest.raises(ValueError, match=r"layers\['mine'\] exists and was not written by phg2st_sc"):
        write_slots(stored, table, update, write=True)
    unchanged(before, reread(stored))
    unchanged(before, table)


def test_genes_are_marked_in_all_objects_or_in_none(spot_adata):
    other = spot_adata.copy()
    other.var["mine"] = "own"
    before = [contents(one) for one in (spot_adata, other)]
    with pytest.raises(ValueError, match=r"var\['mine'\] exists"):
        phg2st.pp.select_genes([spot_adata, other], n_top_genes=5, key_added="mine")
    for then, one in zip(before, (spot_adata, other), strict=True):
        unchanged(then, one)
