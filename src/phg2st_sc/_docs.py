"""What a parameter means is said once: texts that the docstrings of public functions and classes share."""

from __future__ import annotations

import re
from textwrap import indent
from typing import TypeVar

_Documented = TypeVar("_Documented")

# An entry is "name" or "name:variant", where a parameter has to mean something else in some functions.
_PARAMETERS = """
data
    AnnData with spot centres in ``obsm["spatial"]``, in full-resolution pixels, or SpatialData.
adatas
    AnnData or SpatialData, a list or dict of them, or one object with several slides.
counts_layer
    Layer with raw counts; ``None`` for ``X``. ``"raw"``: ``.raw``, unless a layer has that name; totals are then over all
    genes of ``.raw``.
counts_layer:kept
    Layer with raw counts. ``None``: the one that the model was trained on, or the prediction made from, else ``X``. ``"X"``:
    ``X`` in any case. ``"raw"``: ``.raw``, unless a layer has that name; totals are then over all genes of ``.raw``.
gex_only
    Count genes only: antibodies, control probes, blanks, guides and spike-ins, by ``var["feature_types"]`` or by their names,
    are left out of totals and panels. ``None``: so, and a warning says what is left out. ``False``: count every feature. The
    name of a bool column of ``var``: count what it marks.
gex_only:kept
    Count genes only: antibodies, control probes, blanks, guides and spike-ins, by ``var["feature_types"]`` or by their names,
    are left out of totals and panels. ``False``: count every feature. The name of a bool column of ``var``: count what it
    marks. ``None``: as the model was trained, or the prediction made, else genes only.
slide_key
    Column of ``obs`` that tells the slides of an object apart; each is a slide of its own in all that is done.
table_key
    Table of a SpatialData, where several annotate spots.
coordinate_system
    Coordinate system of a SpatialData in which spots and image are aligned, where several disagree.
patient_key
    Column of ``obs`` with the patient.
use_rep
    Key in ``obsm`` of the image embeddings. ``None``: the only ones with a record, as
    :func:`phg2st_sc.pp.extract_embeddings` writes it.
trust_rep
    Accept embeddings without a record that they come from the image, and not from expression.
gene_key
    Column of ``var`` with the gene names that ``model`` uses. ``None``: ``var_names``, or whatever column of ``var``
    matches where those do not (symbols against Ensembl ids).
target_sum
    Scale s of log1p(s * rate).
prompt_mask
    Which spots were measured: boolean array over all rows, boolean Series by obs name, or an ``obs`` column. ``None``
    reads ``obs["prompt"]``.
prompt_mask:so_far
    Which spots were measured so far: boolean array over all rows, boolean Series by obs name, or an ``obs`` column. ``None``
    reads ``obs["prompt"]`` where there is one; else nothing was measured yet.
prompt_mask:every
    Which spots were measured: boolean array over all rows, boolean Series by obs name, or an ``obs`` column. ``None``
    reads **every** spot.
prompt_mask:stored
    Not needed: the mask that the prediction was made with is stored. A mask given here must be the same.
model:use
    A fitted method, the folder it was saved to, or its repository ``owner/name`` on the Hugging Face hub. Excludes
    ``method``. Genes are matched by name; genes of the model that the object lacks are not predicted.
model:drawn
    A fitted method, the folder it was saved to, or its repository ``owner/name`` on the Hugging Face hub.
prior
    What was learned from other sections of the tissue, and holds nothing of theirs: the name of one
    (:func:`phg2st_sc.models.priors`), its folder or hub repository, what ``model.prior()`` returned, or a list of these.
    ``"auto"``: all that have a name and fit species and genes. Mixed with the section alone as far as levels of genes
    agree, and as prompts that are left out say.
method:section
    Name of a method that learns from this slide's prompts alone (:func:`phg2st_sc.models.methods`). With neither,
    :class:`phg2st_sc.models.PHG2ST` as it is without training.
genes:returned
    Genes to return. The method works with all genes detected in at least three prompts (or those that
    :func:`phg2st_sc.pp.select_genes` marked) whatever is asked for here: what is predicted of a gene is its share of all of
    them, and the same to the last bit as without ``genes``. A gene that fewer prompts detected joins them. Fewer genes take
    less memory. ``None`` returns all of these.
**parameters
    Settings of the method, e.g. ``length_scale=4.0`` for ``"kriging"``.
seed
    Seed of all that is drawn at random.
client
    A client of Dask, ``distributed.Client``: the work is cut into tasks for its workers, on this machine or others, and the
    results are the same bits. Workers read themselves what stands in a SpatialData store or in an image file, by its path; what
    is in memory alone is sent to them. ``None``: this process works, also where a client is open, since its workers need not
    see the files or have the memory; :func:`distributed.get_client` returns the open one.
progress
    Show a progress bar. ``None``: as :data:`phg2st_sc.settings` say, which show them unless told otherwise. The environment
    variable ``TQDM_DISABLE=1`` turns all of them off.
progress:long
    Show progress bars where the call takes more than a few seconds. ``None``: as :data:`phg2st_sc.settings` say, which show them
    unless told otherwise. The environment variable ``TQDM_DISABLE=1`` turns all of them off.
progress:method
    Show a progress bar. :func:`phg2st_sc.tl.train` says so by its own ``progress``.
copy
    Return a changed copy, and leave ``data`` as it is.
write
    Also save what was written, and nothing else, into the zarr store behind a SpatialData.
write:predicted
    Also save what was written, and nothing else, into the zarr store behind a SpatialData. A layer or table of 512 MB or more
    then goes into the store block by block and never stands in memory: on the object it is a dask array that reads from there
    (``.compute()`` for all of it). Until it is complete, store and object hold what they held before. Before you delete such a
    table from the store to write it anew, put the layer into memory, ``table.layers[k] = table.layers[k].compute()``.
n_splits
    Random splits of the counts into halves that the noise ceiling is averaged over.
extra
    Further scores: any of ``"ssim"``, ``"morans_i"``, ``"gene_correlation"`` and ``"markers"``, or ``"all"``; what they
    mean, and what flatters them, is told in :func:`phg2st_sc.metrics.score_section`.
markers
    Genes that ``extra="markers"`` summarises; default the whole panel.
scores:benchmark
    What :func:`phg2st_sc.tl.benchmark` returned.
scores:evaluate
    What :func:`phg2st_sc.tl.evaluate` returned.
scores:by_share
    By share of the spots, what :func:`phg2st_sc.tl.benchmark` or :func:`phg2st_sc.tl.evaluate` returned for it; or one
    DataFrame of these with a column ``fraction``.
protocol:rows
    Which protocol's rows, ``"honest"`` or ``"published"``.
mpp
    µm per full-resolution pixel.
pitch
    Distance of neighbouring spots in the unit of the spot centres, which is the unit in which methods, graphs and scores count
    distances. A dict by slide name for several slides. ``None``: measured, the pitch of a lattice, or the typical spacing of
    beads and cells, which lie on none; that is told.
pitch:kept
    Distance of neighbouring spots in the unit of the spot centres, or a dict by slide name. ``None``: the one that the
    prediction was made with, else measured.
pitch_um
    Distance of neighbouring spots in µm. Where spots lie on no lattice and µm per pixel are known, ``pitch`` follows from it;
    else mpp does.
pitch_um:targets
    Distance of neighbouring targets in µm.
platform
    A platform with a known pitch, e.g. ``"visium"``, from which mpp follows.
image
    The full-resolution H&E image: a path, array, ``DataArray``, ``ImageContainer`` of squidpy or image element; by default
    what the object's record names. ``"hires"`` takes the thumbnail of an AnnData. A dict by slide name for several slides. Of a file with several
    pictures, :func:`phg2st_sc.io.open_image` says which is meant.
image:drawn
    Draw the picture. Counts are the same with and without it.
slide:drawn
    Which slide to draw, where ``data`` holds several; by default the first.
image:under
    Draw the picture of the tissue under the spots, where there is one: the thumbnail in ``uns["spatial"]`` of an AnnData, the
    image of a SpatialData.
tile_um
    Side of a tile in µm.
device
    Where a network runs, e.g. ``"cpu"`` or ``"cuda:1"``; ``"auto"`` is the fastest there is. ``None``: as
    :data:`phg2st_sc.settings` say, ``"auto"`` unless told otherwise.
precision:encoder
    What a network computes in: ``"float32"``, ``"bfloat16"`` or ``"float16"``. ``None``: as :data:`phg2st_sc.settings` say,
    ``"float32"`` unless told otherwise.
weights:encoder
    Folder or file of a network's weights; by default the Hugging Face hub's, or its cache's.
strategy:prompts
    How prompts are drawn: a name in :data:`phg2st_sc.prompts.STRATEGIES`, to which
    :func:`phg2st_sc.prompts.register_strategy` adds.
positions:any
    (n_spots, 2) spot centres, in any unit.
n_neighbors:hyperedge
    Spots, or tiles, in a hyperedge beside its own.
exact_up_to
    Largest number of spots for which all pairs are compared.
engine
    Of the hypergraph convolution: ``"auto"`` takes DGL if it loads and computes a known answer on the device, else torch.
    ``"dgl"`` and ``"torch"`` are taken at their word.
device:features
    Where features are, and the convolution runs.
length_scale
    Range of the exponential spatial covariance, in lattice pitches. ``None``: 5, or learned from training slides, or whatever
    predicts the prompts better that are left out one at a time, up to the extent of the slide: where there are at least 100, or 20
    that lie farther than 5 pitches from each other.
ratio
    Squared coefficient of variation of a gene's rate over the slide: times the counts that the median prompt has of it, the
    signal variance in units of the noise variance. In gene components a factor of what is expected of each. ``None``: as
    ``length_scale``.
n_components:genes
    Gene components to learn from training slides.
branches
    Of the network: ``"both"``, or ``"spot"`` or ``"context"`` alone.
lr
    Rate of learning.
optimizer
    ``"adam"`` or ``"adamw"``.
weight_decay
    Decay of the weights.
schedule
    ``"step"``: the rate times 0.9 every 50 epochs. ``"plateau"``: a tenth of it after 10 epochs without a better validation
    score. ``"none"``.
max_epochs
    Epochs at most.
patience
    Epochs without a better validation score after which training ends; 0 never ends early.
validation_fraction
    Share of spots to validate on, at least; 0 trains on everything and keeps the last epoch.
gradient_clip
    Largest norm of the gradient; ``None`` for no limit.
prompt_fraction
    Share of a slide's spots that are drawn as prompts in each step of training.
validation_prompts
    Share of a validation slide's spots that are prompts.
batch_size:spots
    Spots at which a step predicts.
network
    Further settings of the network, by name.
training
    Further settings of the training, by name. ``logger`` and ``callbacks`` (a list) go to :class:`lightning.Trainer`, and are
    not saved with the method.
accelerator
    Handed to :class:`lightning.Trainer`, as the three below. ``"auto"`` with ``devices=1`` is the device of
    :data:`phg2st_sc.settings`, where they name one.
devices
    How many, or which.
precision
    Of the computation, as Lightning calls it, e.g. ``"bf16-mixed"``. ``None``: as :data:`phg2st_sc.settings` say, ``"32-true"``
    unless told otherwise.
strategy
    For several devices.
checkpoint_dir
    Folder for a checkpoint per epoch.
resume_from
    Checkpoint to go on from; all else must be as in the interrupted run.
preset:published
    ``"default"``: small, on frozen embeddings, for a CPU. ``"paper"``: the published sizes on raw pictures.
inputs:published
    ``"features"``: the embeddings of :func:`phg2st_sc.pp.extract_embeddings`, the same for every method that is compared.
    ``"patches"``: the image around each spot, through the method's own image encoder. ``None``: the preset's.
weights:published
    Of the image encoder, with ``inputs="patches"``: ``"auto"`` takes pretrained ones from the Hugging Face hub or its cache,
    and warns where there are none; ``"random"``; or a file or folder.
patch_um:published
    Side of the pictures in µm; ``None``: the preset's.
standardize:published
    Bring embeddings to mean 0 and scale 1 within each ``"slide"``, as the simple methods do, which takes out what staining
    and scanner add to all spots of a slide; or over all training slides, ``"cohort"``.
fine_tune:published
    Epochs of tuning on the prompts of a slide; 0 for none. ``None``: chosen on left-out training slides, and left out where
    one half of the prompts says that it would predict the other half worse.
fine_tune:bank
    How many times a retrieved prompt counts in the mean; 0 for prompts that do not join the bank. ``None``: chosen on
    left-out training slides, and left out where one half of the prompts says that it would predict the other half worse.
fine_tune_lr:published
    Rate of tuning.
batch_size:published
    Spots at which a step predicts. Here and in the four settings above ``None`` takes the preset's.
network:published
    Further settings of the network, by the names of its configuration.
training:published
    Further settings of the training, by the names of :class:`phg2st_sc.training.SpotConfig`. ``logger`` and ``callbacks`` (a list)
    go to :class:`lightning.Trainer`, and are not saved with the method.
counts
    (n, G) raw counts, dense or sparse.
totals
    (n,) total counts of the spots over all genes.
depths
    (n,) totals of the spots over the whole panel. Default: row sums of ``counts``; needed where ``counts`` holds only some
    genes of the panel.
truth
    (n, G) values, or (n,) for one gene.
prediction
    (n, G) values, or (n,): one map that is compared with every gene.
prediction:log
    (n, G) prediction log1p(s * rate).
positions
    (n, 2) spot centres in lattice pitches.
radius
    Reach of a neighbourhood in lattice pitches.
theta:dispersion
    Overdispersion of the negative binomial; ``numpy.inf`` for Poisson.
share
    Of the spots that count as strongest, above 0 and below 1; at least one spot.
ax
    Axes to draw into; by default those of a new figure.
ax:grid
    Array of axes to draw into, (rows, columns); by default those of a new figure.
title
    Title of the figure.
show
    Call ``matplotlib.pyplot.show``.
save
    File to write the figure to.
"""


def _parsed(texts: str) -> dict[str, str]:
    entries = (entry.partition("\n") for entry in re.split(r"\n(?=\S)", texts.strip()))
    return {key: f"{key.partition(':')[0]}\n{text}" for key, _, text in entries}


TEXTS = _parsed(_PARAMETERS)
"""Entry of a Parameters section by name, or by ``name:variant``."""

_PUBLISHED = """
preset:published inputs:published weights:published patch_um:published standardize:published fine_tune:published
fine_tune_lr:published max_epochs patience lr validation_fraction batch_size:published network:published training:published
accelerator devices precision strategy checkpoint_dir resume_from progress:method seed
"""
_GROUPS = {
    "published_settings": _PUBLISHED.split(),
    "published_settings:bank": _PUBLISHED.replace("fine_tune:published", "fine_tune:bank").split(),
}
"""Settings that several classes share as a whole."""

_PLACES = re.compile(r"^( *)(\{[\w:*]+\}(?: \{[\w:*]+\})*)$", re.MULTILINE)


def documented(thing: _Documented) -> _Documented:
    """Replace ``{name}`` in the docstring of a function or class by what the parameter of that name means everywhere.

    Such a line stands where the entry of the parameter would stand, with several names on a line for several entries.
    Lines below it that are indented further say what else holds there.

    Parameters
    ----------
    thing
        A function or class; it is returned, with its docstring filled in.
    """
    if thing.__doc__:
        thing.__doc__ = _PLACES.sub(_entries, thing.__doc__)
    return thing


def _entries(line: re.Match[str]) -> str:
    names = [name.strip("{}") for name in line[2].split()]
    return "\n".join(indent(TEXTS[one], line[1]) for name in names for one in _GROUPS.get(name, [name]))
