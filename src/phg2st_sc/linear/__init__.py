"""The linear core that the simple methods share: arrays in, arrays out.

``_rates`` and ``_working`` bring counts to the scale they are modelled on; ``_kernels``, ``_gaussian`` and ``_krige`` predict
by covariance; ``_gene_basis`` and ``_image_regression`` hold what genes and images have in common over slides, and
``_cohort`` how settings are chosen on training slides.
"""
