"""Sections that ``same_predictions.py`` trains on and predicts: simulated and real, with and without image features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

import phg2st_sc as phg2st

SIMULATED, ODD, NO_IMAGE, MIXED, PICTURES = "simulated", "odd", "no_image", "mixed", "pictures"
BENT, MISLED, REAL = "bent", "misled", "real"
COHORT = {"n_slides": 6, "n_patients": 5, "n_spots": 150, "n_genes": 60, "seed": 3, "progress": False}
TRAINING = ("P1_S1", "P2_S1", "P3_S1", "P4_S1")
"""Four patients with images: enough for the default model to train its network without being told to."""
SEEN, NEW = "P1_S2", "P5_S1"
"""Sections to predict: of a patient of the training sections, and of another."""
OWN_HYPERGRAPH = "own"
PLANTED_REP = "X_planted"
USE_PLANTED = {"use_rep": PLANTED_REP, "trust_rep": True}
Factors = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(n, 4) factors from what the image looks like (n, 4), places (n, 2) and phases (3,)."""
PANEL_COLUMN = "phg2st_panel"
N_REAL_GENES = 100


@dataclass(frozen=True, eq=False)
class Target:
    """A section to predict, and what calls about it have to be told: all of them, and ``tl.predict``."""

    data: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    predict: Mapping[str, Any] = field(default_factory=dict)
    fraction: float = 0.12

    def mask(self, strategy: str | None, seed: int) -> np.ndarray:
        """(n_obs,) prompts of a strategy; none at all where it is ``None``."""
        table = self.table
        if strategy is None:
            return np.zeros(table.n_obs, dtype=bool)
        phg2st.pp.sample_prompts(self.data, fraction=self.fraction, strategy=strategy, seed=seed, **self.options)
        return table.obs["prompt"].to_numpy(dtype=bool)

    @property
    def table(self) -> ad.AnnData:
        """The table of its spots."""
        return self.data if isinstance(self.data, ad.AnnData) else next(iter(self.data.tables.values()))


@dataclass(frozen=True, eq=False)
class World:
    """Sections to train on, and sections to predict; ``options`` are what ``tl.train`` has to be told."""

    training: Mapping[str, ad.AnnData]
    targets: Mapping[str, Target]
    options: Mapping[str, Any] = field(default_factory=dict)


class Worlds:
    """Makes every world once, when it is asked for.

    Parameters
    ----------
    data
        Folder of the HER2+ data set; ``None`` for simulated sections alone.
    panel
        File of gene names for the HER2+ sections.
    """

    def __init__(self, data: Path | None, panel: Path | None) -> None:
        self.data, self.panel = data, panel
        self._makers: dict[str, Callable[[], World]] = {
            SIMULATED: self._simulated,
            ODD: self._odd,
            NO_IMAGE: self._no_image,
            MIXED: self._mixed,
            PICTURES: self._pictures,
            BENT: self._bent,
            MISLED: self._misled,
        }
        if data is not None:
            self._makers[REAL] = self._real
        self._made: dict[str, World] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._makers

    def __getitem__(self, name: str) -> World:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    @property
    def made(self) -> Mapping[str, World]:
        """Worlds that were asked for."""
        return self._made

    def _simulated(self) -> World:
        tables = phg2st.datasets.simulate(**COHORT)
        for table in tables.values():
            embed(table)
            phg2st.pp.build_hypergraph(table, builder="radius", radius=1.5, key_added=OWN_HYPERGRAPH)
        return World({name: tables[name] for name in TRAINING}, {name: Target(tables[name]) for name in (SEEN, NEW)})

    def _odd(self) -> World:
        usual = self[SIMULATED]
        tables = {name: target.data for name, target in usual.targets.items()}
        return World(usual.training, odd_targets(tables) | misleading(tables[NEW]))

    def _no_image(self) -> World:
        tables = phg2st.datasets.simulate(image=False, **COHORT)
        return World({name: tables[name] for name in TRAINING}, {name: Target(tables[name]) for name in (SEEN, NEW)})

    def _mixed(self) -> World:
        imaged, bare = self[SIMULATED], self[NO_IMAGE]
        training = {name: (imaged if name in TRAINING[:2] else bare).training[name] for name in TRAINING}
        return World(training, {SEEN: bare.targets[SEEN], NEW: imaged.targets[NEW]})

    def _pictures(self) -> World:
        whole = self[SIMULATED]
        return World({name: whole.training[name] for name in TRAINING[:2]}, {NEW: whole.targets[NEW]})

    def _bent(self) -> World:
        new = planted(6, bent)
        bare = new.copy()
        del bare.obsm[PLANTED_REP]
        targets = {"P6": Target(new, predict=USE_PLANTED), "no_image": Target(bare)}
        return World({f"P{number}": planted(number, bent) for number in range(6)}, targets, USE_PLANTED)

    def _misled(self) -> World:
        new = Target(planted(6, of_space), predict=USE_PLANTED, fraction=0.4)
        return World({f"P{number}": planted(number, of_image) for number in range(4)}, {"P6": new}, USE_PLANTED)

    def _real(self) -> World:
        if self.data is None or self.panel is None:
            raise ValueError("real sections need a folder and a panel")
        tables = phg2st.datasets.her2st(self.data, sections=["C2", "C3", "C4"], progress=False)
        known = [set(table.var_names) for table in tables.values()]
        genes = [gene for gene in phg2st.datasets.read_panel(self.panel) if all(gene in names for names in known)]
        for table in tables.values():
            table.var[PANEL_COLUMN] = table.var_names.isin(genes[:N_REAL_GENES])
            embed(table)
        return World({name: tables[name] for name in ("C2", "C3")}, {"C4": Target(tables["C4"])})


def embed(data: Any, **options: Any) -> None:
    """Texture features of every spot, and of the tiles around it."""
    phg2st.pp.extract_embeddings(data, encoder="texture", progress=False, **{"context": 5, **options})


def bent(looks: np.ndarray, where: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Factors that are bent in the image: the linear part misses them, and the network earns trust."""
    return np.hstack([np.sin(where[:, :1] / 3.0 + phase), 2.0 * np.abs(looks[:, :1]) - 1.6]) / 2.0


def of_image(looks: np.ndarray, where: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Factors of the image, without any order in space."""
    return 0.4 * looks


def of_space(looks: np.ndarray, where: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Factors of space, of which the image knows nothing, for other genes than those of the image."""
    waves = np.sin(where[:, :1] / 2.0 + where[:, 1:] / 3.0 + phase)
    return 0.7 * np.hstack([waves, np.zeros((len(where), 1))])[:, ::-1]


def planted(number: int, factors: Factors, *, side: int = 12, n_genes: int = 40) -> ad.AnnData:
    """A section on a square lattice whose logarithms of rates are linear in four factors."""
    rng, shared = np.random.default_rng([7, number]), np.random.default_rng(11)
    levels, loadings = 0.7 * shared.normal(size=n_genes), shared.normal(size=(4, n_genes))
    where = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    looks = rng.normal(size=(side**2, 4)).astype(np.float32)
    rate = np.exp(levels + factors(looks, where, rng.uniform(0, 6, 3)) @ loadings)
    table = ad.AnnData(rng.poisson(2e4 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32))
    table.obs_names, table.var_names = [f"s{i}" for i in range(side**2)], [f"g{i}" for i in range(n_genes)]
    table.obs["patient"], table.obsm["spatial"], table.obsm[PLANTED_REP] = f"P{number}", 100.0 * where, looks
    table.uns["spatial"] = {f"P{number}": {"images": {}, "scalefactors": {}, "metadata": {}}}
    return table


def misleading(table: ad.AnnData) -> dict[str, Target]:
    """What the guards of our method are for.

    A section under the names of other genes, as of another tissue; one with the picture of other places, and prompts enough to
    see that; and one with fewer prompts than anything is compared on.
    """
    rng = np.random.default_rng(5)
    renamed, turned = table.copy(), table.copy()
    renamed.var_names = table.var_names[rng.permutation(table.n_vars)]
    for key in [key for key in turned.obsm if key.startswith("X_") and not key.endswith("_index")]:
        turned.obsm[key] = turned.obsm[key][rng.permutation(table.n_obs)]
    few = Target(table, fraction=0.04)
    return {"other_genes": Target(renamed), "other_places": Target(turned, fraction=0.6), "few_prompts": few}


def odd_targets(tables: Mapping[str, ad.AnnData]) -> dict[str, Target]:
    """Objects of other shapes: genes missing and out of order, two slides in one, places without a spot, SpatialData."""
    few = tables[NEW][:, tables[NEW].var_names[::-1][8:]].copy()
    joined = ad.concat([tables[SEEN], tables[NEW]], join="inner", index_unique="-", uns_merge="unique")
    for key in [key for key in joined.obsm if key.startswith("X_")]:
        del joined.obsm[key]
    embed(joined, context=None, slide_key="section")
    finer = phg2st.pp.add_targets(tables[NEW], region="capture", pitch_um=70)
    embed(finer)
    container = phg2st.datasets.simulate(
        n_spots=COHORT["n_spots"],
        n_genes=COHORT["n_genes"],
        seed=COHORT["seed"],
        container="spatialdata",
        progress=False,
    )
    embed(container)
    return {
        "few_genes": Target(few),
        "joined": Target(joined, {"slide_key": "section"}),
        "finer": Target(finer),
        "spatialdata": Target(container),
    }
