"""PHG2ST: prompt-guided hypergraph learning, in the form that propagates and in the published one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ...linear import check_training
from .._base import FOLDERS, Estimator
from .._network_settings import PAPER, PROPAGATE, NetworkSettings
from .._registry import register
from ..phg2st_paper import PublishedForm
from .form import PropagatingForm
from .parts import check_parts

_TRAINING = ("max_epochs", "patience", "lr", "prompt_fraction", "validation_fraction")


@register
class PHG2ST(Estimator):
    """Predict expression over a whole section from its image and the few spots that were measured.

    With ``fusion="propagate"`` (the default) every prompt reaches every spot. Without training it uses the slide alone:
    prompts are kriged in a space of places and of image features propagated over the spot hypergraph. Fitted on training
    slides it also knows how genes covary, what the image says about them, and what was measured on other sections of the
    patient, which are laid on the slide; the prompts correct all of it, and where prompts that are left out in turn say that
    the cohort misleads, the single-slide form takes over, by gene group.

    With ``fusion="paper"`` it is the network as published: a prompt meets the image tokens of its own spot and moves no other
    prediction. It predicts log1p(s * count / total) by the mean of the logarithms; a factor per gene, learned from the
    training slides, brings the level to that of the rates. Training draws new prompts in every step, shows one slide per
    step, and stops when the depth-free correlation at the unprompted spots of left-out patients (else slides, else a block
    of spots) no longer rises. Slides without an image take part with a learned stand-in for their features.

    Parameters
    ----------
    fusion
        ``"propagate"`` or ``"paper"``.
    n_components
        Gene components to learn from training slides (``"propagate"``).
    correction
        Whether to train a network on what the propagating form misses (:class:`phg2st_sc.nn.CorrectionNetwork`: hypergraph
        convolution and transformers over image and prompts, attention biased by distance and histology, kriging of the
        residuals). It is trusted as far as left-out patients gain by it. ``None``: where at least four training patients
        have images. With fewer, on real sections, left-out patients gained nothing. Settings of the network and of its
        training from ``branches`` on count here only where it is trained.
    without
        Parts of the propagating form to leave out, to see what each is worth: ``"image"``, ``"hypergraph"``,
        ``"propagation"``, ``"gene_covariance"``, ``"cohort_image"``, ``"serial"``, ``"depth"``, ``"guard"``.
    preset
        Of ``fusion="paper"``; the other form has one size. ``"default"``: small, for a CPU. ``"paper"``: published sizes,
        Adam with the rate times 0.9 every 50 epochs. ``"released"``: settings of the released code (AdamW, plateau
        schedule, a tenth of the spots as prompts, 256 spots per step, positional convolution, a loss on the prompt
        embedding).
    branches
        Of the network. ``"both"``, or ``"spot"`` or ``"context"`` alone.
    engine
        Of the hypergraph convolution: ``"auto"``, ``"dgl"`` or ``"torch"``.
    n_neighbors
        Spots, or tiles, in a hyperedge beside its own.
    max_epochs, patience, lr, prompt_fraction, validation_fraction
        See :class:`phg2st_sc.training.TrainingConfig`; ``None`` takes the preset's, or the correction's own. ``prompt_fraction``
        is one of ``fusion="paper"``.
    network, training
        Further settings by name, of :class:`phg2st_sc.nn.NetworkConfig` and :class:`phg2st_sc.training.TrainingConfig`.
    accelerator, devices, precision, strategy
        Handed to :class:`lightning.Trainer`.
    checkpoint_dir
        Folder for a checkpoint per epoch.
    resume_from
        Checkpoint to go on from; all else must be as in the interrupted run.
    progress
        Show a progress bar.
    seed
        Seed of everything drawn at random.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(
    ...     n_slides=2, n_patients=2, n_spots=60, n_genes=20, image=False, progress=False
    ... )
    >>> model = phg2st.tl.train(slides, progress=False)
    >>> model.card["slides"]
    ['P1_S1', 'P2_S1']

    References
    ----------
    ST-Prompt Guided Histological Hypergraph Learning for Spatial Gene Expression Prediction, arXiv 2503.16816.
    """

    name = "phg2st"
    uses_image = True
    slow_imports = ("phg2st_sc.training",)

    def __init__(
        self,
        *,
        fusion: str = PROPAGATE,
        n_components: int = 30,
        correction: bool | None = None,
        without: Iterable[str] = (),
        preset: str | None = None,
        branches: str = "both",
        engine: str = "auto",
        n_neighbors: int = 4,
        max_epochs: int | None = None,
        patience: int | None = None,
        lr: float | None = None,
        prompt_fraction: float | None = None,
        validation_fraction: float | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        devices: int | str | Sequence[int] = 1,
        precision: str = "32-true",
        strategy: str = "auto",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.fusion, self.n_components, self.correction = fusion, n_components, correction
        self.without = tuple(sorted(check_parts(without)))
        self.preset, self.branches = preset, branches
        self.engine, self.n_neighbors = engine, n_neighbors
        self.max_epochs, self.patience, self.lr = max_epochs, patience, lr
        self.prompt_fraction, self.validation_fraction = prompt_fraction, validation_fraction
        self.network, self.training = dict(network or {}), dict(training or {})
        self.accelerator, self.devices, self.precision, self.strategy = accelerator, devices, precision, strategy
        self.checkpoint_dir = None if checkpoint_dir is None else os.fspath(checkpoint_dir)
        self.resume_from = None if resume_from is None else os.fspath(resume_from)
        self.progress, self.seed = progress, seed
        self._refuse_settings_of_the_paper()
        self.needs_fit = fusion == PAPER
        self._form = self._new_form()

    def _refuse_settings_of_the_paper(self) -> None:
        """Settings that another form has no use for are mistakes."""
        given = {"preset": self.preset, "prompt_fraction": self.prompt_fraction}
        wrong = [name for name, value in given.items() if value is not None]
        if wrong and self.fusion == PROPAGATE:
            msg = f'`{wrong[0]}` is a setting of the published network: pass fusion="paper" with it, or leave it out'
            raise ValueError(msg)

    def _new_form(self) -> PropagatingForm | PublishedForm:
        if self.fusion == PROPAGATE:
            without = frozenset(self.without)
            return PropagatingForm(
                self._settings(), n_components=self.n_components, correct=self.correction, without=without
            )
        if self.fusion == PAPER:
            return PublishedForm(self._settings())
        msg = f"unknown fusion {self.fusion!r}; available: {PROPAGATE!r}, {PAPER!r}"
        raise ValueError(msg)

    def _settings(self) -> NetworkSettings:
        given = {name: getattr(self, name) for name in _TRAINING if getattr(self, name) is not None}
        return NetworkSettings(
            fusion=self.fusion,
            preset=self.preset,
            branches=self.branches,
            engine=self.engine,
            n_neighbors=self.n_neighbors,
            accelerator=self.accelerator,
            devices=self.devices,
            precision=self.precision,
            strategy=self.strategy,
            checkpoint_dir=self.checkpoint_dir,
            resume_from=self.resume_from,
            progress=self.progress,
            seed=self.seed,
            network_changes=self.network,
            training_changes={**self.training, **given},
        )

    def check_settings(self) -> None:
        """Raise where ``network`` or ``training`` names what the form does not have."""
        self._settings().check(self.name)

    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn from slides that were measured at every spot. Returns the method itself."""
        self.check_settings()
        genes = check_training(slides, self.name)
        form = self._new_form()
        form.fit(slides)
        self._form, self.genes, self.record = form, genes, form.record
        self.__dict__.pop("_cache", None)
        return self

    def encode(self, slide: SlideArrays) -> Any:
        """Compute once what depends on the slide but not on the prompts."""
        return self._form.encode(slide)

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self._form.predict(slide, self._encoded(slide), prompts)

    def kept_parameters(self) -> dict[str, Any]:
        """Settings less the folders of this machine."""
        return {**super().kept_parameters(), **FOLDERS}

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Settings and arrays to keep."""
        if self.genes is None:
            return {}, {}
        settings, arrays = self._form.state()
        return {**settings, "genes": list(self.genes), "record": self.record}, arrays

    def set_state(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned."""
        if not settings:
            return
        self.genes, self.record = tuple(settings["genes"]), settings["record"]
        self._form.set_state(settings, arrays)
