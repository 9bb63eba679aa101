"""Gene components: a planted structure is found."""

from __future__ import annotations

import numpy as np

from phg2st_sc import models
from phg2st_sc.linear._gene_basis import learn_gene_basis


def test_gene_basis_finds_a_planted_structure(rng):
    n_genes, loadings = 40, np.linalg.qr(rng.normal(size=(40, 2)))[0]
    level = np.full(n_genes, 1 / n_genes)
    # a shift of all genes by their level is no change of composition
    loadings -= np.sqrt(level)[:, None] * (np.sqrt(level) @ loadings)
    positions = np.argwhere(np.ones((20, 20))).astype(float)
    slides = []
    for number in range(3):
        phase = rng.uniform(0, 6, 2)
        scores = np.stack([np.sin(positions[:, 0] / 4 + phase[0]), np.sin(positions[:, 1] / 3 + phase[1])], axis=1)
        rate = np.maximum(level + np.sqrt(level) * ((scores * [0.25, 0.15]) @ loadings.T), 1e-4)
        counts = rng.poisson(2000 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
        arrays = models.SlideArrays(f"s{number}", positions)
        slides.append(
            models.TrainingSlide(
                arrays, counts, counts.sum(axis=1, dtype=float), tuple(f"g{i}" for i in range(n_genes))
            )
        )
    basis = learn_gene_basis(slides, 2).vectors
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-10)
    planted = np.linalg.qr(loadings)[0]
    angles = np.linalg.svd(basis.T @ planted, compute_uv=False)
    assert angles.min() > 0.95


def test_no_more_components_than_there_are(cohort):
    basis = learn_gene_basis(cohort, 100)
    assert basis.vectors.shape[0] == 24
    assert basis.vectors.shape[1] < 24
    assert learn_gene_basis(cohort, 0) is None
