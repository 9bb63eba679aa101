"""Simulated sections: an H&E-like picture, spots, and counts whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from .. import _keys
from .._docs import documented
from .._progress import bar, is_shown
from ._containers import to_spatialdata, write_picture
from ._expression import GeneDesign, design_genes, draw_counts, draw_depth, program_activity, true_rates
from ._record import visium_record
from ._render import render
from ._tissue import COMPARTMENTS, LATTICES, grow_tissue, spot_compartments, spot_nuclei

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spatialdata import SpatialData

# Independent streams of randomness, so that leaving out the picture or adding genes moves no nucleus.
_GENES, _PATIENT, _STAIN, _TISSUE, _SPACE, _COUNTS, _PICTURE = range(7)
_MPP = {"visium": 1.0, "st": 2.0}
_FEWEST_SPOTS = 30


@dataclass(frozen=True)
class _Settings:
    n_spots: int
    n_genes: int
    lattice: str
    mpp: float
    depth: float
    depth_sd: float
    overdispersion: float
    space_fraction: float
    mixed_fraction: float
    noise_fraction: float
    nonlinear_fraction: float
    seed: int

    def rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *stream])

    def genes(self) -> GeneDesign:
        fractions = (self.space_fraction, self.mixed_fraction, self.noise_fraction)
        return design_genes(self.rng(_GENES), self.n_genes, fractions, self.overdispersion, self.nonlinear_fraction)


@documented
def simulate(
    *,
    n_slides: int = 1,
    n_patients: int = 1,
    n_spots: int = 400,
    n_genes: int = 200,
    lattice: Literal["visium", "st"] = "visium",
    mpp: float | None = None,
    image: bool = True,
    image_dir: str | Path | None = None,
    container: Literal["anndata", "spatialdata"] = "anndata",
    multiscale: bool = True,
    depth: float = 4000.0,
    depth_sd: float = 0.4,
    overdispersion: float = 0.2,
    space_fraction: float = 0.2,
    mixed_fraction: float = 0.15,
    noise_fraction: float = 0.15,
    nonlinear_fraction: float = 0.0,
    seed: int = 0,
    progress: bool | None = None,
) -> Any:
    """Simulate tissue sections with an H&E-like picture, spots and counts whose truth is known.

    Tumour nests, stroma, immune aggregates, fat and necrosis come from smooth random fields. The picture shows them
    by stain, texture and nuclei; their number, size and form depend on the compartment. Genes follow programmes: of
    the picture (the compartments, and ``cellularity``, the nuclei under a spot), of space alone (``gradient``,
    ``domain``, ``patch``; on every slide linearly unrelated to the picture's), of both, or of nothing. Slides share
    loadings, so genes covary alike everywhere; each patient shifts abundances, loadings and stain a little.
    Counts are negative binomial around depth x share, with variance mean + a mean².

    Parameters
    ----------
    n_slides
        Number of sections.
    n_patients
        Number of patients they come from, in turn: section i belongs to patient ``i % n_patients``.
    n_spots
        Spots of every section, exactly. The section grows with it.
    n_genes
        Number of genes.
    lattice
        ``"visium"``: hexagonal, pitch 100 µm, spots of 55 µm. ``"st"``: square, pitch 200 µm, spots of 100 µm.
    {mpp}
        1 for ``"visium"`` and 2 for ``"st"`` by default.
    {image:drawn}
    image_dir
        AnnData only: write the picture as ``<slide>.tif`` (tiled, with its resolution) into this folder, record
        its path and keep a thumbnail. By default the whole picture is held in ``uns``, with a scale factor of 1.
    container
        ``"anndata"`` or ``"spatialdata"``.
    multiscale
        SpatialData only: store the picture as a pyramid of three levels.
    depth, depth_sd
        Median total count of a spot, and the standard deviation of its logarithm; half of that variance is smooth
        over the section.
    overdispersion
        Median over genes of a in variance = mean + a mean²; 0 gives Poisson counts.
    space_fraction, mixed_fraction, noise_fraction
        Shares of genes that follow space alone, both, or nothing. The others follow the picture.
    nonlinear_fraction
        Share of the picture's genes whose main programme is no linear function of what lies under a spot: of tumour and
        stroma that meet under it (``interface``), of immune cells or crowding that raise it in tumour and lower it in
        stroma (``crosstalk``, ``crowded_nest``), or of surroundings that are neither tumour nor free of it (``border``).
        Such cohorts tell methods that learn from pictures apart; on the others a linear regression is nearly the truth.
    {seed}
        Section i does not depend on the number of sections.
    {progress}

    Returns
    -------
    AnnData, SpatialData, or a dict of them
        One object for one section, else a dict by name (``"P1_S1"``, ``"P2_S1"``, ...). The table has

        - ``X``: counts, CSR float32 (n_spots, n_genes)
        - ``layers["true_rate"]``: expected share of the spot's counts, rows sum to 1, float32
        - ``obsm["spatial"]``: centres (x, y) in full-resolution pixels, float64
        - ``obsm["true_programmes"]``: programme activities in the order of ``uns["simulation"]["programmes"]``
        - ``obs``: ``true_depth`` (expected total), ``compartment`` (the largest under the spot), ``n_nuclei``,
          ``array_row``, ``array_col``, ``in_tissue``, ``patient``, ``section``
        - ``var``: ``programme`` (strongest loading), ``is_noise``, ``image_driven`` and ``space_driven`` (shares of the
          squared loadings, both 0 for noise), ``nonlinear_driven`` (part of ``image_driven``), ``overdispersion``
        - ``uns["spatial"][slide]``: Visium-style record with ``mpp``, ``platform`` and ``pitch_um``;
          ``uns["simulation"]``: the settings

        A SpatialData holds it as ``tables["table"]``, annotating circles ``<slide>_spots`` over the image
        ``<slide>_image``, in the coordinate systems ``global`` (pixels) and ``um``.

    Raises
    ------
    ValueError
        When a number is out of range, there are more patients than slides, or the container does not exist.

    Notes
    -----
    Noise genes keep a constant share of every spot of a slide: nothing but depth can be predicted of them. With several
    slides, make spot ids unique before joining tables: ``anndata.concat(slides, index_unique="-", merge="same")``.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=20, image=False)
    >>> adata.shape, adata.uns["spatial"]["P1_S1"]["metadata"]["mpp"]
    ((60, 20), 1.0)
    >>> slides = phg2st.datasets.simulate(n_slides=3, n_patients=2, n_spots=60, n_genes=20, image=False)
    >>> list(slides)
    ['P1_S1', 'P2_S1', 'P1_S2']
    """
    settings = _Settings(
        n_spots=n_spots,
        n_genes=n_genes,
        lattice=lattice,
        mpp=_MPP.get(lattice, 1.0) if mpp is None else mpp,
        depth=depth,
        depth_sd=depth_sd,
        overdispersion=overdispersion,
        space_fraction=space_fraction,
        mixed_fraction=mixed_fraction,
        noise_fraction=noise_fraction,
        nonlinear_fraction=nonlinear_fraction,
        seed=seed,
    )
    _check(settings, n_slides=n_slides, n_patients=n_patients)
    _check_container(container, image=image, image_dir=image_dir)
    folder = None if image_dir is None else Path(image_dir)
    genes = settings.genes()
    slides: dict[str, AnnData | SpatialData] = {}
    for index in bar(range(n_slides), progress=is_shown(progress) and n_slides > 1, desc="simulate", unit="section"):
        patient = index % n_patients
        name = f"P{patient + 1}_S{index // n_patients + 1}"
        table, picture = _slide(settings, genes, index=index, patient=patient, name=name, image=image)
        if container == "spatialdata":
            slides[name] = to_spatialdata(table, picture, name=name, mpp=settings.mpp, multiscale=multiscale)
        else:
            _add_picture(table, picture, name=name, mpp=settings.mpp, folder=folder)
            slides[name] = table
    return slides if n_slides > 1 else next(iter(slides.values()))


def _check(settings: _Settings, *, n_slides: int, n_patients: int) -> None:
    if settings.lattice not in LATTICES:
        msg = f"Unknown lattice {settings.lattice!r}; there are {', '.join(map(repr, LATTICES))}."
        raise ValueError(msg)
    if not 1 <= n_patients <= n_slides:
        msg = f"n_patients must be between 1 and n_slides={n_slides}, not {n_patients}."
        raise ValueError(msg)
    if settings.n_spots < _FEWEST_SPOTS:
        msg = f"n_spots must be at least {_FEWEST_SPOTS}, not {settings.n_spots}: fewer give no compartments."
        raise ValueError(msg)
    if isinstance(settings.seed, bool) or not isinstance(settings.seed, (int, np.integer)) or settings.seed < 0:
        msg = f"seed={settings.seed!r} must be an integer of at least 0."
        raise ValueError(msg)
    if settings.n_genes < 1:
        msg = f"n_genes must be positive, not {settings.n_genes}."
        raise ValueError(msg)
    if not (0 < settings.mpp <= 10 and settings.depth > 0 and settings.depth_sd >= 0 and settings.overdispersion >= 0):
        msg = (
            "mpp must be in (0, 10], depth positive, depth_sd and overdispersion not negative; not "
            f"{settings.mpp}, {settings.depth}, {settings.depth_sd} and {settings.overdispersion}."
        )
        raise ValueError(msg)
    shares = (settings.space_fraction, settings.mixed_fraction, settings.noise_fraction)
    if min(shares) < 0 or sum(shares) > 1 + 1e-9:
        msg = (
            f"space_fraction, mixed_fraction and noise_fraction must not be negative, nor exceed 1 together: {shares}."
        )
        raise ValueError(msg)
    if not 0 <= settings.nonlinear_fraction <= 1:
        msg = f"nonlinear_fraction must be between 0 and 1, not {settings.nonlinear_fraction}."
        raise ValueError(msg)


def _check_container(container: str, *, image: bool, image_dir: str | Path | None) -> None:
    if container not in {"anndata", "spatialdata"}:
        msg = f"container must be 'anndata' or 'spatialdata', not {container!r}."
        raise ValueError(msg)
    if image_dir is not None and (container == "spatialdata" or not image):
        msg = "image_dir goes with image=True and container='anndata'; a SpatialData holds its picture itself."
        raise ValueError(msg)


def _slide(
    settings: _Settings, genes: GeneDesign, *, index: int, patient: int, name: str, image: bool
) -> tuple[AnnData, NDArray[np.uint8] | None]:
    lattice = LATTICES[settings.lattice]
    tissue = grow_tissue(settings.rng(_TISSUE, index), settings.n_spots, lattice)
    nonlinear = settings.nonlinear_fraction > 0
    activity = program_activity(settings.rng(_SPACE, index), tissue, lattice, nonlinear=nonlinear)
    rates = true_rates(settings.rng(_PATIENT, patient), genes, activity)
    counts_rng = settings.rng(_COUNTS, index)
    totals = draw_depth(counts_rng, tissue, settings.depth, settings.depth_sd)
    counts = draw_counts(counts_rng, totals[:, None] * rates, genes.overdispersion)
    compartment = spot_compartments(tissue, lattice).argmax(1)
    obs = pd.DataFrame(
        {
            _keys.IN_TISSUE: 1,
            _keys.ARRAY_ROW: tissue.array[:, 0],
            _keys.ARRAY_COL: tissue.array[:, 1],
            _keys.SECTION: pd.Categorical([name] * settings.n_spots),
            _keys.PATIENT: pd.Categorical([f"P{patient + 1}"] * settings.n_spots),
            _keys.COMPARTMENT: pd.Categorical(np.array(COMPARTMENTS)[compartment], categories=list(COMPARTMENTS)),
            _keys.N_NUCLEI: spot_nuclei(tissue, lattice),
            _keys.TRUE_DEPTH: totals,
        },
        index=[f"{column}x{row}" for row, column in tissue.array],
    )
    table = AnnData(csr_matrix(counts), obs=obs, var=genes.var())
    table.layers[_keys.TRUE_RATE] = rates.astype(np.float32)
    table.obsm[_keys.SPATIAL] = tissue.spots / settings.mpp
    table.obsm[_keys.TRUE_PROGRAMS] = activity.astype(np.float32)
    table.uns[_keys.SIMULATION] = {**vars(settings), "programmes": list(genes.programs), "slide": index}
    metadata = {_keys.MPP: settings.mpp, _keys.PLATFORM: lattice.platform, _keys.PITCH_UM: lattice.pitch_um}
    record = visium_record(spot_diameter_px=lattice.spot_um / settings.mpp, metadata=metadata)
    table.uns[_keys.SPATIAL] = {name: record}
    picture = None
    if image:
        stain = np.exp(settings.rng(_STAIN, patient).normal(0.0, 0.06, 6))
        picture = render(settings.rng(_PICTURE, index), tissue, settings.mpp, stain)
    return table, picture


def _add_picture(
    table: AnnData, picture: NDArray[np.uint8] | None, *, name: str, mpp: float, folder: Path | None
) -> None:
    if picture is None:
        return
    record = cast("dict[str, Any]", table.uns[_keys.SPATIAL][name])
    if folder is None:
        record[_keys.IMAGES] = {_keys.HIRES: picture}
        record[_keys.SCALEFACTORS][_keys.HIRES_SCALEF] = 1.0
        return
    path = write_picture(folder / f"{name}.tif", picture, mpp=mpp)
    table.uns[_keys.SPATIAL][name] = visium_record(
        spot_diameter_px=record[_keys.SCALEFACTORS][_keys.SPOT_DIAMETER],
        metadata=record[_keys.METADATA],
        image_path=path,
    )
