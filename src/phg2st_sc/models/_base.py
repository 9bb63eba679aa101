"""The one protocol behind every method: fit, encode, predict, adapt, save, load."""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from .._deprecated import without_dropped
from .._state import pack, unpack
from .._text import quoted
from .._warn import warn_user
from ._hub import find, push
from ._limits import AtLeast, Finite, declared
from ._store import Saved, read, save

FOLDERS: dict[str, None] = {"checkpoint_dir": None, "resume_from": None}
"""Settings that say where a run kept its checkpoints, which is no part of what is saved."""


Method = TypeVar("Method", bound="Estimator")


class _Encoded(WeakKeyDictionary[SlideArrays, Any]):
    """What methods made of slides that are in use; it stays behind where a method goes to another process."""

    def __reduce__(self) -> tuple[type[_Encoded], tuple[()]]:
        return _Encoded, ()


class Estimator(ABC):
    """A method that predicts expression over a slide from its prompts.

    Unfitted, a method uses nothing but the slide at hand (single-slide form). After :meth:`fit` it also uses what it
    learned from the training slides (cohort form).

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.models import Estimator, Prediction, Prompts, SlideArrays
    >>> class Flat(Estimator):
    ...     name = "flat"
    ...
    ...     def predict(self, slide, prompts):
    ...         return Prediction(np.zeros((slide.n_spots, prompts.n_genes), dtype=np.float32))
    >>> prompts = Prompts(np.array([0]), np.ones((1, 2)), np.ones(1), target_sum=1.0, genes=("a", "b"))
    >>> Flat().predict(SlideArrays("A", np.eye(2)), prompts).mean.shape
    (2, 2)
    """

    name: ClassVar[str]
    """Registry name, e.g. ``"kriging"``."""
    kind: ClassVar[str] = "other"
    """``"simple"``: what every other method has to beat, and ``compare="simple"`` runs; ``"published"``; ``"default"``; ..."""
    paper: ClassVar[str] = ""
    """Where the method was published."""
    limits: ClassVar[Mapping[str, Finite]] = {"seed": AtLeast(0)}
    """What numbers among the settings may be, by setting; those of base classes hold too."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Settings by the names that they had in the last release; :func:`create` takes both."""
    dropped: ClassVar[tuple[str, ...]] = ()
    """Settings of the last release that have no effect any more; :func:`create` takes and leaves them out, with a warning."""
    needs_image: bool = False
    """Whether the method has no form that works without image features."""
    uses_image: bool = False
    """Whether the method looks at image features where there are any."""
    uses_context: bool = False
    """Whether the method looks at the tiles around spots: a method that says neither this nor ``needs_context`` is handed none."""
    needs_context: bool = False
    """Whether the method has no form that works without the tiles around spots."""
    reads_patches: bool = False
    """Whether the method reads the image itself, around every spot."""
    needs_fit: bool = False
    """Whether the method has no single-slide form."""
    min_prompts: ClassVar[int] = 1
    """Fewest prompts that the single-slide form works with."""
    slow_imports: ClassVar[tuple[str, ...]] = ()
    """Modules that take seconds to import at first use: a benchmark imports them before it looks at the clock."""

    learns: ClassVar[Mapping[str, Any]] = {}
    """Attributes that hold what :meth:`fit` learns, and their types: what is saved beside settings, genes and card."""

    always_learned: ClassVar[tuple[str, ...]] = ()
    """Attributes among them that every fitted method has."""
    trains_alone: bool = False
    """Whether the single-slide form trains a network on the prompts."""

    genes: tuple[str, ...] | None = None
    """Panel of a fitted method, in order; ``None`` before :meth:`fit`."""

    card: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed in place
    """Where a fitted method comes from: training slides, encoder, normalisation. Written by ``tl.train``."""

    record: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed in place
    """What a method has to say about its training; ``tl.train`` adds it to the card."""

    @property
    def reads_context(self) -> bool:
        """Whether the method is handed the tiles around spots."""
        return self.uses_context or self.needs_context

    @property
    def averages_networks(self) -> bool:
        """Whether networks are averaged into what the method predicts, which takes longer."""
        return False

    def check_settings(self) -> None:
        """Raise a ``ValueError`` for settings within settings that are not there, before data are read."""

    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn from slides that were measured at every spot. Returns the method itself."""
        msg = (
            f"{self.name!r} has no cohort form: it uses the prompts of the slide alone. Call `predict` on it directly."
        )
        raise TypeError(msg)

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Settings that the method takes when it is made."""
        return tuple(
            name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "args", "kwargs")
        )

    @classmethod
    def called_today(cls, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Name and settings by which what is asked for goes today."""
        for old, new in declared(cls, "renamed").items():
            if old in settings and new in settings:
                msg = f"`{old}` and `{new}` are one setting of method {cls.name!r}: leave out `{old}`."
                raise TypeError(msg)
            if old in settings:
                warn_user(f"Setting `{old}` of method {cls.name!r} is called `{new}` now: write {new}=.", FutureWarning)
        return cls.name, cls.under_new_names(without_dropped(settings, cls.dropped, f"method {cls.name!r}"))

    @classmethod
    def under_new_names(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings, or what is known of each, by the names that they have now, but for those without effect."""
        renamed = declared(cls, "renamed")
        return {renamed.get(name, name): value for name, value in settings.items() if name not in cls.dropped}

    @property
    def is_fitted(self) -> bool:
        """Whether :meth:`fit` was called."""
        return self.genes is not None

    def __repr__(self) -> str:
        """Settings that are not the default ones; of a fitted method also what it was fitted to."""
        defaults = {name: one.default for name, one in inspect.signature(type(self).__init__).parameters.items()}
        values = {name: getattr(self, name, defaults[name]) for name in self.parameter_names()}
        changed = [f"{name}={value!r}" for name, value in values.items() if not _same(value, defaults[name])]
        return f"{type(self).__name__}({', '.join(changed)}){self._fitted_to()}"

    def _fitted_to(self) -> str:
        if self.genes is None:
            return ""
        card = self.card
        slides, patients = card.get("slides") or (), card.get("patients") or ()
        encoder = (card.get("features") or {}).get("encoder")
        parts = [f"{len(self.genes)} genes"]
        parts += [f"{len(slides)} slides"] if slides else []
        parts += [f"{len(patients)} patients"] if patients else []
        parts += [f"features of {encoder!r}"] if encoder else []
        return f" [method {self.name!r}, fitted: {', '.join(parts)}]"

    def encode(self, slide: SlideArrays) -> Any:
        """Compute once what depends on the slide but not on the prompts; cached per slide."""
        return None

    @abstractmethod
    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel, by position: what :meth:`predict` says of them.

        For a method that needs less memory, or less time, where it does not have to keep all genes.
        """
        return self.predict(slide, prompts).take(genes)

    def adapt(self, slide: SlideArrays, prompts: Prompts) -> Self:
        """Return a copy tuned to the slide by its prompts; by default the method itself."""
        return self

    def prior(self) -> Estimator:
        """What was learned, without what was measured on single sections; of a method that tells the two apart."""
        msg = (
            f"Method {self.name!r} does not tell what it learned from the sections that it learned it from: "
            "`phg2st_sc.tl.train(slides, method='phg2st', keep_sections=False)` does."
        )
        raise TypeError(msg)

    def kept_parameters(self) -> dict[str, Any]:
        """Settings by name, as they are saved and shared."""
        return {name: getattr(self, name) for name in self.parameter_names()}

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save to a folder: settings as JSON, arrays as safetensors. See :func:`phg2st_sc.models.save`.

        The default keeps measured sections of its patients, smoothed over their spots, to lay on sections to come: whoever has
        the folder has them. ``model.prior().save(folder)`` leaves them out.
        """
        return save(self, path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load what :meth:`save` wrote; a ``TypeError`` when it is another method."""
        saved = read(find(path))
        method = next((one for one in _family(cls) if getattr(one, "name", None) == saved.method), None)
        if method is None:
            msg = f"{path} holds the method {saved.method!r}, not {cls.name!r}: use `phg2st_sc.models.load`."
            raise TypeError(msg)
        return method.restored(saved)

    @classmethod
    def restored(cls, saved: Saved) -> Self:
        """The method as it was saved."""
        return replace(saved, parameters=cls.under_new_names(saved.parameters)).restore(cls)

    def push_to_hub(self, repo_id: str, *, private: bool = True, token: str | bool | None = None) -> str:
        """Upload the fitted method to the Hugging Face hub, with a model card. Returns the address of the commit.

        Parameters
        ----------
        repo_id
            ``owner/name``; made where it does not exist.
        private
            Whether a new repository is private.
        token
            Access token; by default the one of ``hf auth login``.
        """
        return push(self, repo_id, private=private, token=token)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str]) -> Self:
        """Load from a folder, or from the hub by ``owner/name``; the same as :meth:`load`."""
        return cls.load(path)

    def _encoded(self, slide: SlideArrays) -> Any:
        cache = self.__dict__.setdefault("_cache", _Encoded())
        if slide not in cache:
            cache[slide] = self.encode(slide)
        return cache[slide]

    # --- keeping ------------------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return (JSON-like settings, arrays): everything :func:`phg2st_sc.models.save` has to keep."""
        return pack({name.lstrip("_"): getattr(self, name) for name in self._kept()})

    def set_state(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned; a ``ValueError`` where it does not fit."""
        names = {name.lstrip("_"): name for name in self._kept()}
        kinds = {name.lstrip("_"): kind for name, kind in self._kept().items()}
        for name, value in unpack(kinds, settings, arrays, build=self._build_network).items():
            setattr(self, names[name], value)
        self._check_learned()

    def _check_learned(self) -> None:
        learned = {name.lstrip("_"): getattr(self, name) for name in self.learns}
        if self.genes is None and (surplus := [name for name, value in learned.items() if value is not None]):
            msg = f"The genes are missing that {quoted(surplus)} is about."
            raise ValueError(msg)
        always = [name.lstrip("_") for name in self.always_learned]
        if self.genes is not None and (missing := [name for name in always if learned[name] is None]):
            msg = f"{quoted(missing)} is missing, which method {self.name!r} always has once it is fitted."
            raise ValueError(msg)

    def _kept(self) -> dict[str, Any]:
        return {"genes": Annotated[tuple[str, ...], "G"] | None, "record": dict[str, Any], **self.learns}

    def _build_network(self, network: Any, config: Mapping[str, Any]) -> Any:
        """A network of a class and of the sizes that were saved, for weights to be loaded into."""
        return network.of_config(config)


def predict_genes(method: Estimator, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
    """Predict some genes of the panel, by position, or all of them.

    A class that predicts in a way of its own, and says nothing of single genes, is not asked what its base class would predict.
    """
    if np.array_equal(genes, np.arange(prompts.n_genes)):
        return method.predict(slide, prompts)
    own = next(vars(kind) for kind in type(method).__mro__ if {"predict", "predict_genes"} & vars(kind).keys())
    if "predict" in own and "predict_genes" not in own:
        return method.predict(slide, prompts).take(genes)
    return method.predict_genes(slide, prompts, genes)


def _family(method: type[Method]) -> Iterator[type[Method]]:
    """A class, and all that are made from it."""
    yield method
    for one in method.__subclasses__():
        yield from _family(one)


def _same(value: Any, default: Any) -> bool:
    if default is None and isinstance(value, Mapping):
        return not value
    return value is default or (type(value) is type(default) and bool(value == default))
