"""Methods that write down what they were given, and what else tests of the benchmark share."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from phg2st_sc.models import Estimator, Prediction

QUICK = {"n_masks": 1, "n_splits": 0, "progress": False}


def copies(slides):
    return {name: adata.copy() for name, adata in slides.items()}


def embed(adata, key, *, tile_um):
    adata.obsm[key] = np.random.default_rng(0).normal(size=(adata.n_obs, 3)).astype(np.float32)
    record = {"source": "image", "encoder": "made up", "revision": "1", "transform": "none", "tile_um": tile_um}
    adata.uns.setdefault("phg2st_embeddings", {})[key] = record


class Spy(Estimator):
    """Predicts 0 and writes down what it was given."""

    name = "spy"
    trained: list = []  # noqa: RUF012
    asked: list = []  # noqa: RUF012

    def fit(self, slides):
        type(self).trained.append([(s.arrays.name, s.arrays.patient, s.genes) for s in slides])
        self.genes = slides[0].genes
        return self

    def predict(self, slide, prompts):
        type(self).asked.append((slide.name, prompts))
        return Prediction(np.zeros((slide.n_spots, prompts.n_genes), np.float32))


class Broken(Spy):
    name = "broken"

    def predict(self, slide, prompts):
        raise RuntimeError("no such luck")


class Looks(Spy):
    """Writes down how wide the features are that it was given."""

    name = "looks"
    uses_image = True
    asked: list = []  # noqa: RUF012

    def predict(self, slide, prompts):
        width = None if slide.features is None else slide.features.shape[1]
        type(self).asked.append((slide.name, width))
        return Prediction(np.zeros((slide.n_spots, prompts.n_genes), np.float32))


class Holder(Spy):
    """Counts the training slides of earlier folds that are still in memory."""

    name = "holder"
    seen: list = []  # noqa: RUF012
    alive: list = []  # noqa: RUF012

    def fit(self, slides):
        gc.collect()
        Holder.alive.append(sum(one() is not None for one in Holder.seen))
        Holder.seen += [weakref.ref(one) for one in slides]
        self.genes = slides[0].genes
        return self
