"""`pp.add_targets` on a SpatialData."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.spatial import cKDTree

import phg2st_sc as phg2st

TARGET = "phg2st_target"
BOTH = {"spots": "he", "spots_1": "he"}


@pytest.mark.filterwarnings("ignore:.*cannot both lie on one picture")
class TestSpatialData:
    @pytest.fixture
    def sdata(self):
        sd = pytest.importorskip("spatialdata")
        from spatialdata.models import Image2DModel, ShapesModel, TableModel
        from spatialdata.transformations import Affine

        turn = Affine([[0, 2, 5], [2, 0, 7], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
        pixels = np.full((3, 220, 240), 255, dtype=np.uint8)
        pixels[:, 10:210, 10:230] = np.array([180, 110, 160])[:, None, None]
        rng = np.random.default_rng(0)
        shapes, region, instance = {}, [], []
        for name in ("spots", "spots_1"):
            centers = np.argwhere(np.ones((8, 9))) * 10.0 + 10.0
            shapes[name] = ShapesModel.parse(centers, geometry=0, radius=3.0, transformations={"global": turn})
            kept = [i for i in rng.permutation(72) if i not in (30, 41)]
            region += [name] * len(kept)
            instance += kept
        table = AnnData(rng.poisson(4, size=(140, 20)).astype(np.float32))
        table.obs_names = [f"s{i}" for i in range(140)]
        table.obs["region"] = pd.Categorical(region)
        table.obs["instance"] = instance
        table = TableModel.parse(table, region=["spots", "spots_1"], region_key="region", instance_key="instance")
        images = {"he": Image2DModel.parse(pixels, dims=("c", "y", "x"))}
        return sd.SpatialData(images=images, shapes=shapes, tables={"table": table})

    @pytest.mark.parametrize("region", ["tissue", "capture"])
    def test_gaps_through_a_transformation_and_a_store(self, sdata, region, tmp_path):
        import spatialdata as sd
        from spatialdata.transformations import get_transformation

        new = phg2st.pp.add_targets(sdata, region=region, image=BOTH)
        assert sdata["table"].n_obs == 140
        assert len(sdata["spots"]) == 72
        assert new["he"] is sdata["he"]
        new.write(tmp_path / "new.zarr")
        back = sd.read_zarr(tmp_path / "new.zarr")
        table = back["table"]
        assert (table.X[:140] == sdata["table"].X).all()
        targets = table.obs[table.obs[TARGET]]
        for name in ("spots", "spots_1"):
            assert get_transformation(back[name]) == get_transformation(sdata[name])
            mine = targets[targets["region"] == name]
            circles = back[name].loc[mine["instance"].to_numpy()]
            assert (circles["radius"] == 3.0).all()
            places = np.column_stack([circles.geometry.x, circles.geometry.y])
            gaps = sdata[name].loc[[30, 41]].geometry
            missing = np.column_stack([gaps.x, gaps.y])
            assert cKDTree(places).query(missing)[0].max() < 1e-6
            # of the picture, 10 x 11 places are tissue, 70 of them spots
            assert len(places) == (40 if region == "tissue" else 2)

    def test_chain(self, sdata):
        new = phg2st.pp.add_targets(sdata, image=BOTH, pitch_um=100, platform="ST")
        assert new["table"].n_obs > 3 * 140
        phg2st.pp.sample_prompts(new, fraction=0.4)
        phg2st.pp.extract_embeddings(new, image=BOTH, encoder="texture", platform="ST", progress=False)
        phg2st.tl.impute(new, method="kriging", prompt_mask="prompt")
        assert np.isfinite(new["table"].layers["kriging"]).all()

    def test_polygons_are_refused(self, sdata):
        from spatialdata.models import ShapesModel

        for name in ("spots", "spots_1"):
            squares = sdata[name].copy()
            squares["geometry"] = squares.geometry.buffer(3.0)
            sdata[name] = ShapesModel.parse(squares.drop(columns="radius"))
        with pytest.raises(ValueError, match="to_circles"):
            phg2st.pp.add_targets(sdata, region="capture")
