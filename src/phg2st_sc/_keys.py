"""Every slot name and record key the package reads or writes, once.

Reference: the slot table of the documentation page *Slots*. A literal key anywhere else in the package is a bug.
"""

from __future__ import annotations

# --- read: what squidpy, scanpy and spatialdata-io write -------------------------------------------------------------
SPATIAL = "spatial"
"""``obsm``: spot centres in full-resolution pixels (x, y); ``uns``: one Visium-style record per library."""
IMAGES = "images"
SCALEFACTORS = "scalefactors"
METADATA = "metadata"
HIRES = "hires"
LOWRES = "lowres"
SPOT_DIAMETER = "spot_diameter_fullres"
HIRES_SCALEF = "tissue_hires_scalef"
MICRONS_PER_PIXEL = "microns_per_pixel"
BIN_SIZE_UM = "bin_size_um"
SOURCE_IMAGE = "source_image_path"
MPP = "mpp"
PLATFORM = "platform"
PITCH_UM = "pitch_um"
PATIENT = "patient"
LIBRARY = "library_id"
SECTION = "section"
IN_TISSUE = "in_tissue"
ARRAY_ROW = "array_row"
ARRAY_COL = "array_col"
ARRAY_X, ARRAY_Y = "array_x", "array_y"
"""``obs``: places on the array with their decimals."""
SPATIAL_ARRAY = "spatial_array"
"""``obsm``: the same, of data without a picture."""
GROUP = "group"
"""``obs``: genotype, age and sex of an animal."""
GENOME = "genome"
X = "X"
"""``counts_layer`` that means ``X`` in any case; in records, that counts were read from ``X``."""
RAW = "raw"
"""``counts_layer`` that means ``.raw``, where no layer has that name."""
LABEL = "pathologist_label"
SPATIALDATA_ATTRS = "spatialdata_attrs"

# --- written ----------------------------------------------------------------------------------------------------------
LOGNORM = "phg2st_lognorm"
"""``layers``: log1p(s * count / total); ``uns``: its recipe."""
PANEL = "phg2st_panel"
"""``var``: bool, the genes that :func:`phg2st_sc.pp.select_genes` chose; ``uns``: how."""
PROMPT = "prompt"
"""``obs``: bool, True where expression was measured; ``uns["phg2st_prompt"]`` holds how it was drawn."""
TARGET = "phg2st_target"
"""``obs``: bool, True for a place where no spot was; ``uns``: how :func:`phg2st_sc.pp.add_targets` laid them."""
PICTURES = "pictures"
"""In the record of targets: the pictures that the embeddings which it dropped were computed from."""
EMBEDDINGS = "phg2st_embeddings"
"""``uns``: provenance of every ``obsm["X_<encoder>"]`` the package wrote, by that key."""
SOURCE = "source"
FROM_IMAGE = "image"
ENCODER = "encoder"
REVISION = "revision"
WEIGHTS = "weights"
TRANSFORM = "transform"
PRECISION = "precision"
LICENSE = "licence"
DIM = "dim"
INPUT_PX = "input_px"
FIELDS = "fields"
POOLED_FIELDS = "pooled"
TILE_UM = "tile_um"
CONTEXT = "context"
CONTEXT_FORM = "context_form"
CONTEXT_MODE = "context_mode"
PARTS = "parts"
BLOCKS = "blocks"
POOL_UM = "pool_um"
SKIP_GLASS = "skip_glass"
LAYOUT = "layout"
SLIDES = "slides"
MPP_SOURCE = "mpp_source"
N_PADDED = "n_padded"
FILES = "files"
N_WITHOUT = "n_without"
"""Fields of such a record, and what tells that features come from the image."""
TILES = "phg2st_tiles"
"""``uns``: tile features (tiles, d) float16 of every embedding with context, by its ``obsm`` key."""
HYPERGRAPH = "hypergraph"
"""``uns``: how the hypergraph was built, in the shape of scanpy's neighbours; ``obsp``: see the functions below."""
INCIDENCE_KEY = "incidence_key"
CONNECTIVITIES_KEY = "connectivities_key"
DISTANCES_KEY = "distances_key"
PARAMS = "params"
NAMES_HASH = "obs_names_hash"
N_OBS = "n_obs"
DEFAULT_RESULT = "phg2st"
"""``key_added`` of predictions when the default method is used."""
DERIVED_TABLE = "phg2st_table"
"""``uns`` of a table of its own: which table of the SpatialData it belongs to."""
SUGGESTED = "suggested"
"""``obs``: bool, the spots that :func:`phg2st_sc.tl.suggest_spots` would measure next; ``uns["phg2st_suggested"]``: how they were chosen."""
DESIGN = "design"
"""Field of that record."""
UNFINISHED = "phg2st_unfinished"
"""``uns`` of a table in a store while results are exchanged on it: until it is gone, they are neither old nor new."""
METHOD = "method"
MODEL = "model"
DETAILS = "details"
FEATURES = "features"
HYPERGRAPH_KEY = "hypergraph_key"
NOT_MEASURED = "not_measured"
GENE_COUNTS = "gene_counts"
N_COUNTS = "n_counts"
READING = "reading"
PRIOR = "prior"
PRIORS = "priors"
N_CELLS = "n_cells"
PATIENT_KEY = "patient_key"
GEX_ONLY = "gex_only"
"""Fields of the record of a prediction, and of the card of a model."""
COMPONENTS = "components"
HAS_STD = "has_std"
"""In ``uns[key_added]``, where ``layers["<key_added>_std"]`` was written with it: else that is the user's."""
N_SAMPLES = "n_samples"
"""In ``uns[key_added]``: number of the layers :func:`sample` that were written with it."""
MOST_SAMPLES = 100
LEVEL = "level"
SPREAD = "spread"
LINEAR = "linear"
KEPT_SHARE = "kept"
LOW_RANK = "low_rank"
"""In ``uns[key_added]``: components of a prediction of which only scores are kept at the spots, and what goes with them."""
PITCH = "pitch"
"""In ``uns[key_added]``: the unit of distances by slide, where it is not the pitch of a lattice."""
TARGET_SUM = "target_sum"
"""Scale s of log1p(s * rate): in ``uns[key_added]``, and in ``uns`` of what ``tl.predict`` returns."""

# --- simulated truth: written by phg2st_sc.datasets.simulate ----------------------------------------------------------
TRUE_RATE = "true_rate"
"""``layers``: expected share of a spot's counts, so every row sums to 1."""
TRUE_DEPTH = "true_depth"
"""``obs``: expected total count of the spot."""
TRUE_PROGRAMS = "true_programmes"
"""``obsm``: activity of every gene programme, in the order of ``uns["simulation"]["programmes"]``."""
COMPARTMENT = "compartment"
N_NUCLEI = "n_nuclei"
GENE_PROGRAM = "programme"
IS_NOISE = "is_noise"
IMAGE_DRIVEN = "image_driven"
NONLINEAR_DRIVEN = "nonlinear_driven"
SPACE_DRIVEN = "space_driven"
OVERDISPERSION = "overdispersion"
"""``var``: a of variance = mean + a * mean**2."""
SIMULATION = "simulation"
"""``uns``: the settings a simulated slide was made with."""


def scalef(thumbnail: str) -> str:
    """Scale factor of a thumbnail, ``"hires"`` or ``"lowres"``, in the Visium record."""
    return f"tissue_{thumbnail}_scalef"


def embedding(encoder: str) -> str:
    """``obsm`` key of the spot embeddings of an encoder."""
    return f"X_{encoder}"


def tokens(encoder: str) -> str:
    """What an encoder is called where its patches were pooled: they are features of another kind."""
    return f"{encoder}_tokens"


def context_index(rep: str) -> str:
    """``obsm`` key of the (n_obs, 25) index into the tile features of an embedding."""
    return f"{rep}_context_index"


def context(rep: str) -> str:
    """``obsm`` key of the (n_obs, 25, d) context features of an embedding in the exact per-spot mode."""
    return f"{rep}_context"


def incidence(key: str) -> str:
    """``obsp`` key of a hypergraph's incidence: column e holds the weights of hyperedge e."""
    return f"{key}_incidence"


def connectivities(key: str) -> str:
    """``obsp`` key of the plain graph that stands for a hypergraph, where squidpy and scanpy look for it."""
    return f"{key}_connectivities"


def distances(key: str) -> str:
    """``obsp`` key of the distances of a hyperedge's members from its centre, row by row."""
    return f"{key}_distances"


def prompt_record(key: str) -> str:
    """``uns`` key of the record that tells how the prompts in ``obs[key]`` were drawn."""
    return f"phg2st_{key}"


def rank(key: str) -> str:
    """``obs`` key of the order in which spots were suggested: 1 for the first, 0 for a spot that was not."""
    return f"{key}_rank"


def suggestion_record(key: str) -> str:
    """``uns`` key of the record that tells how the spots in ``obs[key]`` were suggested."""
    return f"phg2st_{key}"


def slide_entry(name: str) -> str:
    """Key of a slide in a record by slide: its name, with ``/`` and ``%`` written as in an address."""
    return name.replace("%", "%25").replace("/", "%2F") or "%"


STD = "std"
"""``layers`` of what ``tl.predict`` returns: predictive standard deviation."""


def std(key_added: str) -> str:
    """``layers`` key of the predictive standard deviation."""
    return f"{key_added}_std"


def sample(key_added: str, number: int) -> str:
    """``layers`` key of a map that is as likely as the prediction."""
    return f"{key_added}_sample_{number}"


TRUST, TRUST_SE, TRUST_NULL, UNLIKE = "trust", "trust_se", "trust_null", "unlike"
INTERVALS = "intervals"
"""In ``uns[key_added][TRUST]`` of a slide: what :func:`phg2st_sc.tl.intervals` needs beside the standard deviation."""
LOWER, UPPER = "lower", "upper"
"""``layers`` of what it returns."""
ASSESSED = {"var": (TRUST, TRUST_SE, TRUST_NULL), "obs": (TRUST, UNLIKE)}
"""Columns that say how far a prediction can be trusted; ``TRUST`` in ``uns[key_added]`` says that they were written with it."""


def assessed(key_added: str, name: str) -> str:
    """``var`` or ``obs`` key of what is said of the genes or spots of a prediction."""
    return f"{key_added}_{name}"


def scores(key_added: str) -> str:
    """``obsm`` key of the scores of a low-rank prediction."""
    return f"{key_added}_scores"


def factor(key_added: str) -> str:
    """``obs`` key of the factor by which the rates of a spot in a low-rank prediction add up."""
    return f"{key_added}_factor"


def components(key_added: str) -> str:
    """``obs`` key that names the components of a spot in a low-rank prediction."""
    return f"{key_added}_components"


def predicted(key_added: str) -> str:
    """``var`` key that marks the predicted genes."""
    return f"{key_added}_predicted"


def used_prompts(key_added: str) -> str:
    """``obs`` key of the prompt mask that was used."""
    return f"{key_added}_prompt"
