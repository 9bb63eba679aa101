"""PHG2ST, the default method: its settings, and what it learns."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ... import _keys
from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ..._deprecated import dropped_parameters
from ..._docs import documented
from ..._state import Later
from ..._warn import warn_user
from ...linear import check_training
from .._limits import AtLeast
from .._network_settings import NetworkEstimator, check_prompted
from .._registry import get_method, register
from .borrowing import Borrower, BorrowingPredictor
from .episodes import CohortEpisodes
from .form import Forms, Predictor, looked_at
from .knowledge import Knowledge, Learned, learn
from .lent import Lent
from .of_cells import knowledge_of_cells
from .parts import GENE_COVARIANCE, NETWORK, check_parts
from .survey import survey
from .without_sections import knowledge_without_sections, prior_card, settings_without_paths

if TYPE_CHECKING:
    from ...design import Survey
    from .network import NetworkMember

_FEWEST_IMAGED = 2
"""Patients with images from which on the network is trained: without, and with one, it gained nothing on others."""
_FORMER = {"propagate": "phg2st", "paper": "phg2st_paper"}
"""Methods by the name that each had as a ``fusion`` of this one."""
_OF_THE_PAPER = ("preset", "prompt_fraction")
_DROPPED = ("branches", "n_neighbors", "patience", "validation_fraction")
_CORRECTION = (
    "`correction=` goes with the next release: the network no longer corrects the linear prediction but is averaged into it, "
    "use `use_network=`."
)


def _member() -> type[NetworkMember]:
    from .network import NetworkMember

    return NetworkMember


@register
@documented
class PHG2ST(NetworkEstimator):
    """Predict expression over a whole section from its image and the few spots that were measured.

    Every prompt reaches every spot. Without training it uses the slide alone: prompts are kriged in a space of places and of
    image features propagated over the spot hypergraph. Fitted on training slides it also knows how genes covary, what the
    image says about them, and what was measured on other sections of the patient, which are laid on the slide; the
    prompts correct all of it, and where prompts that are left out in turn say that the cohort misleads, the single-slide
    form takes over, by gene group. The network as published is :class:`PHG2STPaper`.

    Parameters
    ----------
    {n_components:genes}
    use_network
        Whether to train networks that predict the gene components too, and average them in: transformers in which every spot
        looks at the prompts, guided by distance and likeness, hypergraph convolution over the image, kriging of the residuals.
        Three are trained, each without a third of the patients; these decide how much they count, by how the prompts lie
        and by group of components. They have a say on slides with an image. ``None``: where at least two training patients
        have images. Settings of the networks and of their training, from ``engine`` on, count only where they are trained.
    without
        Parts to leave out, to see what each is worth: ``"image"``, ``"hypergraph"``,
        ``"propagation"``, ``"gene_covariance"``, ``"cohort_image"``, ``"serial"``, ``"depth"``, ``"guard"``, ``"network"``.
    {engine}
    {max_epochs} {lr} {network}
        See :class:`phg2st_sc.nn.NetworkConfig`.
    {training}
        See :class:`phg2st_sc.training.EpisodeConfig`, whose values stand where ``None`` is given above.
    {accelerator} {devices} {precision} {strategy} {checkpoint_dir} {resume_from} {progress:method} {seed}
    correction
        Deprecated: ``use_network``.
    fusion
        Deprecated. ``"paper"`` makes a :class:`PHG2STPaper`, with its settings.

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
    kind = "default"
    paper = "arXiv 2503.16816"
    limits: ClassVar = {"n_components": AtLeast(0)}
    uses_image = True
    renamed: ClassVar = {"correction": "use_network"}
    dropped = _DROPPED
    learns: ClassVar = {"_knowledge": Knowledge | None, "_member": Later(_member)}
    n_components: int
    use_network: bool | None
    without: tuple[str, ...]
    engine: str

    def __new__(cls, *, fusion: str | None = None, **settings: Any) -> Any:
        """A :class:`PHG2STPaper` where ``fusion="paper"`` asks for it, as it did before that was a method of its own."""
        if fusion is None:
            return super().__new__(cls)
        name, settings = cls.called_today({"fusion": fusion, **settings})
        return super().__new__(cls) if name == cls.name else get_method(name)(**settings)

    @dropped_parameters(*_DROPPED)
    def __init__(
        self,
        *,
        n_components: int = 30,
        use_network: bool | None = None,
        without: Iterable[str] = (),
        engine: str = "auto",
        max_epochs: int | None = None,
        lr: float | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        devices: int | str | Sequence[int] = 1,
        precision: str | None = None,
        strategy: str = "auto",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        progress: bool = False,
        seed: int = 0,
        correction: bool | None = None,
        fusion: str | None = None,
    ) -> None:
        if correction is not None:
            warn_user(_CORRECTION, FutureWarning)
            use_network = correction
        self._keep(locals())
        self.without = tuple(sorted(check_parts(without)))
        self._knowledge: Knowledge | None = None
        self._member: NetworkMember | None = None
        self._lent: tuple[Lent, ...] = ()

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Settings that the method takes when it is made."""
        return tuple(name for name in super().parameter_names() if name not in ("correction", "fusion"))

    @classmethod
    def called_today(cls, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Name and settings of the method that is meant: the published network was a ``fusion`` of this one."""
        if "fusion" not in settings:
            if wrong := [name for name in _OF_THE_PAPER if name in settings]:
                msg = f"`{wrong[0]}` is a setting of the published network: use method='phg2st_paper', or leave it out."
                raise TypeError(msg)
            return super().called_today(settings)
        fusion = settings["fusion"]
        if fusion not in _FORMER:
            msg = f"Unknown fusion {fusion!r}; available: {', '.join(map(repr, _FORMER))}."
            raise ValueError(msg)
        name = _FORMER[fusion]
        instead = f"use method={name!r}" if name != cls.name else "it is what method='phg2st' does, leave it out"
        warn_user(f"`fusion={fusion!r}` goes with the next release: {instead}.", FutureWarning)
        rest = {setting: value for setting, value in settings.items() if setting != "fusion"}
        return super().called_today(rest) if name == cls.name else (name, rest)

    def check_settings(self) -> None:
        """Raise where ``network`` or ``training`` names what the networks or their training do not have."""
        if self.network or self.training:  # what follows loads torch
            from ...training import EpisodeConfig

            check_prompted(self, EpisodeConfig)

    @property
    def averages_networks(self) -> bool:
        """Whether networks have a say on slides with an image."""
        return self._member is not None and NETWORK not in self.without

    # --- fit, encode, predict -----------------------------------------------------------------------------------------
    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn from slides that were measured at every spot. Returns the method itself."""
        self.check_settings()
        genes = check_training(slides, self.name)
        seen = [replace(slide, arrays=looked_at(slide.arrays, self.without)) for slide in slides]
        learned = learn(seen, n_components=self.n_components, method=self.name, seed=self.seed, progress=self.progress)
        member = self._trained_member(learned) if learned is not None and self._needs_network(seen) else None
        self.genes, self.record = genes, {} if member is None else member.record
        self._knowledge = None if learned is None else learned.knowledge
        self._member = member if member is not None and member.is_trusted else None
        self.__dict__.pop("_cache", None)
        return self

    def _needs_network(self, slides: Sequence[TrainingSlide]) -> bool:
        if NETWORK in self.without or GENE_COVARIANCE in self.without:
            return False
        imaged = {s.arrays.patient for s in slides if s.arrays.features is not None and s.arrays.patient is not None}
        return len(imaged) >= _FEWEST_IMAGED if self.use_network is None else self.use_network

    def _trained_member(self, learned: Learned) -> NetworkMember:
        """Networks that predict gene components, and how far they are trusted."""
        from ...training import EpisodeConfig
        from .network import NetworkMember

        changes = self._training_changes()
        for name in ("patience", "validation_fraction"):
            changes.pop(name, None)
        return NetworkMember.train(
            CohortEpisodes(learned, self.name),
            network=self.network,
            training=EpisodeConfig(**changes),
            machine=self._machine(),
            engine=self.engine,
        )

    def set_state(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned; a network that corrected, which earlier versions kept, stays behind."""
        kept = {name: value for name, value in settings.items() if name != "correction"}
        super().set_state(kept, {name: one for name, one in arrays.items() if not name.startswith("correction.")})

    def prior(
        self,
        *,
        name: str = "",
        tissue: str = "",
        species: str = "",
        platform: str = "",
        license: str = "",  # noqa: A002 - what it is called on cards of encoders too
        source: str = "",
        held_out: Mapping[str, Any] | None = None,
    ) -> PHG2ST:
        """What was learned, without what was measured on any section: a model that can be handed on.

        A saved model holds measured sections of its patients, smoothed over their spots, and hashes of the spots. A prior holds
        levels, noise and components of genes, the image regression with the name of its encoder, and slopes; of
        the training sections it only says how many there were, and keeps 16 bits of a hash of 128 spots of each (name and total
        count), too few to tell the counts by, and enough to warn whoever predicts one of them. The network stays behind too.

        Parameters
        ----------
        name
            Under which ``tl.impute(prior=...)`` tells of it.
        tissue, platform
            What was measured, and how, in words.
        species
            ``"human"`` or ``"mouse"``. Default: what the gene names look like.
        license, source
            Under which, and from where, the sections may be used.
        held_out
            Scores on patients that were left out, by name.

        Raises
        ------
        ValueError
            If the model is not trained, or found no genes that vary together.

        Examples
        --------
        >>> import phg2st_sc as phg2st
        >>> slides = phg2st.datasets.simulate(
        ...     n_slides=2, n_patients=2, n_spots=60, n_genes=20, image=False, progress=False
        ... )
        >>> prior = phg2st.tl.train(slides, progress=False).prior(name="mine", tissue="simulated")
        >>> prior.card["prior"]["n_sections"], "slides" in prior.card
        (2, False)
        """
        if self.genes is None or self._knowledge is None:
            msg = (
                "There is nothing to hand on: train the model first, `phg2st_sc.tl.train(slides)`, on slides with genes that "
                "vary from place to place."
            )
            raise ValueError(msg)
        facts = {
            "name": name,
            "tissue": tissue,
            "species": species,
            "platform": platform,
            "license": license,
            "source": source,
            "held_out": dict(held_out or {}),
        }
        made = PHG2ST(**settings_without_paths(self.kept_parameters()))
        made.genes, made._knowledge = self.genes, knowledge_without_sections(self._knowledge, self.card)
        made.card = prior_card(self.card, self.genes, facts)
        return made

    @classmethod
    def of_cells(cls, counts: Any, genes: Sequence[str], *, n_components: int, **facts: str) -> PHG2ST:
        """A prior from single cells; see :func:`phg2st_sc.tl.learn_prior`.

        Parameters
        ----------
        counts
            (cells, G) raw counts, dense or CSR.
        genes
            Names of the G genes.
        n_components
            Gene components to learn.
        facts
            For the card.
        """
        knowledge = knowledge_of_cells(counts, n_components)
        if knowledge is None:
            msg = f"{counts.shape[1]} genes of {counts.shape[0]} cells do not vary beyond counting noise: read more of either."
            raise ValueError(msg)
        made = cls(n_components=n_components)
        made.genes, made._knowledge = tuple(genes), knowledge_without_sections(knowledge, {})
        made.card = prior_card({}, genes, {**facts, _keys.N_CELLS: int(counts.shape[0])})
        return made

    def lend(self, name: str, genes: Sequence[str], *, image: bool, asked: bool) -> Lent:
        """What is known here, for a slide that :meth:`borrow` is to predict.

        Parameters
        ----------
        name
            By which the record of the prediction calls it.
        genes
            (G,) the genes of the model as the object of the slide calls them; empty where it has none of that name.
        image
            Whether the image features of the slide are of the kind that the model was trained on.
        asked
            Whether it was named, and not merely offered.
        """
        if self._knowledge is None:
            msg = "A prior is a default that was trained: `phg2st_sc.tl.train(slides).prior()`."
            raise ValueError(msg)
        known = knowledge_without_sections(self._knowledge, self.card, image=image)
        return Lent(name, tuple(genes), known, asked, of_cells=_keys.N_CELLS in self.card.get(_keys.PRIOR, {}))

    def borrow(self, priors: Sequence[Lent]) -> PHG2ST:
        """The default without training of its own, helped by priors."""
        made = type(self)(**self.kept_parameters())
        made._lent = tuple(priors)
        return made

    def _predictor(self) -> Predictor | BorrowingPredictor:
        if self._lent:
            return BorrowingPredictor(self._lent, Predictor(None, None, frozenset(self.without), self.seed))
        parts = frozenset(self.without)
        return Predictor(self._knowledge, self._member, parts, self.seed, self.accelerator, self.devices)

    def survey(self, slide: SlideArrays, prompts: Prompts | None) -> Survey:
        """The slide as those who plan a measurement see it: under the covariance that its prompts, or the cohort, ask for.

        Parameters
        ----------
        slide
            The slide.
        prompts
            Measured so far; ``None`` for none.
        """
        return survey(Predictor(self._knowledge, None, frozenset(self.without), self.seed), slide, prompts)

    def encode(self, slide: SlideArrays) -> Forms | Borrower:
        """The slide under all that a prediction may rest on."""
        return self._predictor().encode(slide)

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self._predictor().predict(slide, self._encoded(slide), prompts)

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel; the others are worked out too, a few spots at a time, and not kept."""
        return self._predictor().predict(slide, self._encoded(slide), prompts, genes)


_settings = inspect.signature(PHG2ST.__init__)
# help shows these, and not those of `__new__`, which takes the published network's too
PHG2ST.__signature__ = _settings.replace(parameters=list(_settings.parameters.values())[1:])  # type: ignore[attr-defined]
