"""Networks of timm as encoders: pathology models by recipe, and any other model by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ._base import EncoderCard
from ._read_weights import load_strictly, read_state
from ._torch import TorchEncoder, check_precision, require_timm, resolve_device
from ._weights import FILES, WeightsFile, explained, find_weights

if TYPE_CHECKING:
    import torch

TIMM = "timm:"
_TILE_UM = 112.0
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\-]+")
Features = Literal["pooled", "token+mean"]
_HEADS = ("head.", "fc.")
_TRUNK = "trunk."


@dataclass(frozen=True)
class Recipe:
    """How a published network is built.

    Attributes
    ----------
    card
        Facts about it.
    repo
        Repository of its weights on the Hugging Face hub.
    architecture
        Name of its architecture in timm.
    arguments
        Arguments of the architecture; ``mlp_layer`` by its name in ``timm.layers``.
    features
        What the network itself returns, or the class token followed by the mean of the patch tokens, registers left out.
    convert
        Renames the published weights to timm's names, and leaves out those of other parts.
    around
        Puts the network, as the module ``trunk``, into a larger one that pools its tokens.
    files
        Names that the file of weights may have in the repository.
    """

    card: EncoderCard
    repo: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    features: Features = "pooled"
    convert: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]] = dict
    around: Callable[[torch.nn.Module], torch.nn.Module] | None = None
    files: tuple[str, ...] = FILES


def open_recipe(
    recipe: Recipe,
    *,
    weights: str | Path | None = None,
    revision: str | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    compiled: bool = False,
    batch_size: int | None = None,
) -> TorchEncoder:
    """Build a network by its recipe and load its weights.

    Parameters
    ----------
    recipe
        What to build.
    weights
        Folder or file of weights, instead of the hub's.
    revision
        Branch, tag or commit on the hub.
    device
        ``"cpu"``, ``"cuda"``, ``"mps"`` or a torch device; by default the fastest there is.
    precision
        ``"float32"`` (default), ``"bfloat16"`` or ``"float16"``.
    compiled, batch_size
        As for :class:`TorchEncoder`.

    Raises
    ------
    ImportError
        If timm or torch is missing, or does not load.
    PermissionError
        If the hub asks for accepted conditions or a token.
    ConnectionError
        If the weights are neither here nor within reach.
    FileNotFoundError, ValueError
        If ``weights`` is not there, or holds another network.
    """
    timm = require_timm(recipe.card.name)
    chosen, used = check_precision(precision), resolve_device(device)
    file = find_weights(recipe.card, recipe.repo, weights=weights, revision=revision, names=recipe.files)
    model = build(timm, recipe)
    _load(model, recipe, file)
    card = replace(recipe.card, revision=file.revision, weights=file.origin)
    forward = partial(_forward, model.eval().to(used), recipe.features)
    return TorchEncoder(
        card,
        forward,
        device=used,
        precision=chosen,
        tokens=partial(_patch_tokens, trunk_of(model)) if card.patch_px else None,
        compiled=compiled,
        batch_size=batch_size,
    )


def build(timm: Any, recipe: Recipe) -> torch.nn.Module:
    """Build the network of a recipe, without weights of any meaning."""
    arguments = dict(recipe.arguments)
    if isinstance(arguments.get("mlp_layer"), str):
        arguments["mlp_layer"] = getattr(timm.layers, arguments["mlp_layer"])
    trunk = timm.create_model(recipe.architecture, pretrained=False, num_classes=0, **arguments)
    return trunk if recipe.around is None else recipe.around(trunk)


def _load(model: torch.nn.Module, recipe: Recipe, file: WeightsFile) -> None:
    state = {name: value for name, value in read_state(file.path).items() if not name.startswith(_HEADS)}
    try:
        fitted = _fit(recipe.convert(state), model)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        fitted = state  # another network altogether: the comparison below says how it differs
    load_strictly(model, fitted, recipe.card, file)


def _fit(state: dict[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What timm itself does with a checkpoint, e.g. position embeddings of another image size."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    network = trunk_of(model)
    if not hasattr(network, "patch_embed"):
        return state
    prefix = "" if network is model else _TRUNK
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    outer = {name: value for name, value in state.items() if not name.startswith(prefix)}
    return {**outer, **{prefix + name: value for name, value in checkpoint_filter_fn(inner, network).items()}}


def trunk_of(model: Any) -> Any:
    """The network of timm in a larger one, or the network itself."""
    return getattr(model, _TRUNK.rstrip("."), model)


def _forward(model: Any, features: Features, batch: torch.Tensor) -> torch.Tensor:
    import torch

    if features == "pooled":
        return model(batch)
    tokens = model.forward_features(batch)
    return torch.cat([tokens[:, 0], tokens[:, model.num_prefix_tokens :].mean(dim=1)], dim=1)


def _patch_tokens(network: Any, batch: torch.Tensor) -> torch.Tensor:
    return network.forward_features(batch)[:, network.num_prefix_tokens :]


def open_timm(
    name: str,
    *,
    weights: str | Path | None = None,
    revision: str | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    compiled: bool = False,
    batch_size: int | None = None,
) -> TorchEncoder:
    """Open any model of timm by its name, with its pooled features and its own normalisation.

    Parameters
    ----------
    name
        As ``timm.create_model`` takes it, e.g. ``"resnet50.a1_in1k"`` or ``"hf-hub:<owner>/<repository>"``.
    weights, revision, device, precision, compiled, batch_size
        As for :func:`open_recipe`.
    """
    timm = require_timm(TIMM + name)
    chosen, used = check_precision(precision), resolve_device(device)
    base, _, pinned = name.partition("@")
    model = _create(timm, base)
    card = load_weights(model, base, weights=weights, revision=revision or pinned or None)
    return TorchEncoder(
        card,
        model.eval().to(used),
        device=used,
        precision=chosen,
        tokens=partial(_patch_tokens, model) if card.patch_px else None,
        compiled=compiled,
        batch_size=batch_size,
    )


def load_weights(
    model: Any, name: str, *, weights: str | Path | None = None, revision: str | None = None
) -> EncoderCard:
    """Put weights from disk, the hub's cache or the hub into a headless model of timm; returns where they come from.

    Parameters
    ----------
    model
        As ``timm.create_model(name, num_classes=0)`` makes it.
    name
        Of the model.
    weights, revision
        As for :func:`open_recipe`.
    """
    timm = require_timm(TIMM + name)
    card = _card(timm, model, name)
    file = find_weights(card, _repository(model, name), weights=weights, revision=revision)
    state = read_state(file.path)
    classifier = model.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{h}." for h in ((classifier,) if isinstance(classifier, str) else classifier))
    load_strictly(model, {k: v for k, v in state.items() if not k.startswith(heads)}, card, file)
    return replace(card, revision=file.revision, weights=file.origin)


def _create(timm: Any, name: str) -> Any:
    placeholder = EncoderCard(_slug(name), None, 224, _TILE_UM)
    try:
        with explained(placeholder, name.partition(":")[2] or name):
            return timm.create_model(name, pretrained=False, num_classes=0)
    except (RuntimeError, ValueError) as error:
        near = ", ".join(timm.list_models(f"{name.partition('.')[0]}*", pretrained=True)[:5])
        hint = f" Near it: {near}." if near else ""
        msg = f"timm {timm.__version__} has no model {name!r} ({error}).{hint} `timm.list_models()` lists all."
        raise ValueError(msg) from error


def _card(timm: Any, model: Any, name: str) -> EncoderCard:
    config = timm.data.resolve_model_data_config(model)
    side, patch = int(config["input_size"][-1]), _patch_side(model)
    return EncoderCard(
        name=_slug(name),
        dim=int(model.num_features if not hasattr(model, "head_hidden_size") else model.head_hidden_size),
        input_px=side,
        tile_um=_TILE_UM,
        license=str(model.pretrained_cfg.get("license") or "see the model's page"),
        needs_weights=True,
        transform=describe(config["mean"], config["std"]),
        source=f"https://huggingface.co/{_repository(model, name)}",
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        pooling="as timm pools",
        patch_px=patch,
        token_dim=int(model.num_features) if patch else None,
        reference=f"timm {timm.__version__}",
    )


def _patch_side(model: Any) -> int:
    """Side of a patch of a plain vision transformer; 0 of any other network."""
    sides = set(getattr(getattr(model, "patch_embed", None), "patch_size", ()))
    return int(sides.pop()) if hasattr(model, "num_prefix_tokens") and len(sides) == 1 else 0


def describe(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """One line on the normalisation of pixels."""
    return f"/255, mean {', '.join(f'{v:g}' for v in mean)}, std {', '.join(f'{v:g}' for v in std)}"


def _repository(model: Any, name: str) -> str:
    config = model.pretrained_cfg
    repo = str(config.get("hf_hub_id") or name.partition(":")[2] or f"timm/{name}")
    if not repo.endswith("/"):
        return repo
    tag = config.get("tag")
    return f"{repo}{config['architecture']}" + (f".{tag}" if tag else "")


def _slug(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name.rpartition("/")[2].partition("@")[0])
