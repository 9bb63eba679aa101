"""Which priors help to predict an object: those that are named, or all that fit its species and genes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import _keys
from .._reading import identity, known_columns, same_kind, species_of_table
from .._slide import embedding_records, n_columns
from .._species import HUMAN, MOUSE

if TYPE_CHECKING:
    from anndata import AnnData

    from ..models import PHG2ST, Estimator

AUTO = "auto"
_LEAST_SHARED = 0.1
"""Share of the genes, of the prior or of the object, whichever has fewer, that both must have."""


@dataclass(frozen=True)
class Offered:
    """Priors of a call.

    Attributes
    ----------
    by_name
        The models.
    asked
        Whether they were named; else those that do not fit are passed over.
    lent
        By name, and whether with the image regression: objects that are predicted together share what is known.
    helped
        The default with priors lent to it, by what was lent: objects with the same genes share it.
    """

    by_name: Mapping[str, PHG2ST] = field(default_factory=dict)
    asked: bool = True
    lent: dict[tuple[str, bool], Any] = field(default_factory=dict)
    helped: dict[tuple[Any, ...], Estimator] = field(default_factory=dict)

    def help(self, estimator: Estimator, lent: Mapping[str, tuple[tuple[str, ...], bool]]) -> Estimator:
        """The default with priors lent to it: by name, their genes as an object calls them, and whether its image fits."""
        key = (id(estimator), *lent.items())
        if lent and key not in self.helped:
            several = [self._lend(name, *told) for name, told in lent.items()]
            self.helped[key] = estimator.borrow(several)  # type: ignore[attr-defined]
        return self.helped[key] if lent else estimator

    def _lend(self, name: str, genes: tuple[str, ...], image: bool) -> Any:
        if (name, image) not in self.lent:
            self.lent[name, image] = self.by_name[name].lend(name, genes, image=image, asked=self.asked)
        return replace(self.lent[name, image], genes=genes)


def offered(prior: Any, estimator: Estimator, model: Any) -> Offered:
    """Priors that a call names.

    Raises
    ------
    KeyError
        If nothing has such a name.
    TypeError
        If it is no prior, or the method takes none.
    ValueError
        If a model is given too, or one prior more than once.
    """
    if prior is None:
        return Offered()
    if model is not None:
        msg = "Both `model` and `prior` are given: a model knows its own tissue. Pass it as `prior=` to have it help beside others."
        raise ValueError(msg)
    if estimator.name != _keys.DEFAULT_RESULT:
        msg = f"Method {estimator.name!r} takes no prior: leave `method=` out, or `prior=`."
        raise TypeError(msg)
    if isinstance(prior, str) and prior == AUTO:
        from ..models import load_prior, priors

        return Offered({name: load_prior(name) for name in priors()}, asked=False)
    several = list(prior) if isinstance(prior, (list, tuple)) else [prior]
    named = [_named(one) for one in several]
    if len({name for name, _ in named}) < len(named):
        raise ValueError("Two of the priors have one name: name each once, and give `model.prior(name=...)` a name.")
    return Offered(dict(named))


def _named(prior: Any) -> tuple[str, PHG2ST]:
    from ..models import PHG2ST, checked_prior, load_prior

    if isinstance(prior, (str, os.PathLike)):
        found = load_prior(prior)
        return str((found.card.get(_keys.PRIOR) or {}).get("name") or prior), found
    if isinstance(prior, PHG2ST):
        return str((prior.card.get(_keys.PRIOR) or {}).get("name") or _keys.PRIOR), checked_prior(prior, "`prior`")
    msg = (
        f"`prior` is 'auto', the name, folder or repository of a prior, what `model.prior()` returned, or a list of these, not "
        f"{type(prior).__name__}."
    )
    raise TypeError(msg)


def with_priors(
    estimator: Estimator, given: Offered, table: AnnData, rep: str | None, gene_key: str | None
) -> tuple[Estimator, dict[str, Any]]:
    """The default with the priors that fit an object lent to it, and what to keep of it."""
    if not given.by_name:
        return estimator, {}
    lent: dict[str, tuple[tuple[str, ...], bool]] = {}
    used, passed_over = {}, {}
    ours = species_of_table(table, gene_key=gene_key)
    for name, prior in given.by_name.items():
        theirs = ((prior.card.get(_keys.PRIOR) or {}).get("species") or "").lower()
        # names that differ in case alone are those of another species, unless the species is told
        any_case = bool(theirs) and (ours == theirs or (given.asked and not ours))
        columns = known_columns(table, prior.genes or (), gene_key=gene_key, any_case=any_case)
        misfit = _misfit(name, prior, table, int((columns >= 0).sum()), theirs, ours)
        if misfit and given.asked:
            raise ValueError(misfit)
        if misfit:
            passed_over[name] = misfit
            continue
        image = _same_features(prior, table, rep)
        lent[name] = tuple("" if column < 0 else str(table.var_names[column]) for column in columns), image
        used[name] = {**(prior.card.get(_keys.PRIOR) or {}), "n_shared": int((columns >= 0).sum()), "image": image}
    return given.help(estimator, lent), {"used": used, "passed_over": passed_over}


def _misfit(name: str, prior: PHG2ST, table: AnnData, shared: int, theirs: str, ours: str) -> str:
    """Why a prior does not fit an object; empty where it does."""
    if theirs in (HUMAN, MOUSE) and ours and theirs != ours:  # names do not tell other species from these
        return (
            f"Prior {name!r} is of {theirs} genes, and the names of the object's genes are those of {ours}: name a prior of {ours}, "
            "see `phg2st_sc.models.priors()`, or pass `prior='auto'`, which passes over those of other species."
        )
    if shared < max(2.0, _LEAST_SHARED * min(len(prior.genes or ()), table.n_vars)):
        return (
            f"Prior {name!r} knows {len(prior.genes or ())} genes, and only {shared} of them are among the {table.n_vars} of the object: pass "
            "`gene_key=` with the column of var that holds such names, or leave the prior out."
        )
    return ""


def _same_features(prior: PHG2ST, table: AnnData, rep: str | None) -> bool:
    """Whether the features of the object are those that the prior's image regression was learned on."""
    wanted = prior.card.get(_keys.FEATURES) or {}
    if rep is None or not wanted:
        return False
    have = {**identity(embedding_records(table).get(rep, {})), _keys.DIM: n_columns(table.obsm[rep])}
    return same_kind(have, {**identity(wanted), _keys.DIM: wanted.get(_keys.DIM)})
