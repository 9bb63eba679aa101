"""Weights that torchvision publishes, for networks of this package that have its names; torchvision itself is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ....encoders import EncoderCard, WeightsFile, load_strictly, read_state

if TYPE_CHECKING:
    from torch import nn

_URL = "https://download.pytorch.org/models/"
_OTHER_NAMES = ("model.safetensors", "pytorch_model.bin")
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Published:
    """Weights of one network.

    Attributes
    ----------
    name
        Of the network.
    file
        Its file, whose name ends with the start of the sha256 of its content.
    head
        Start of the names of the tensors that tell classes, which are left out.
    """

    name: str
    file: str
    head: str = "fc."

    @property
    def url(self) -> str:
        """Where it is published."""
        return _URL + self.file


SHUFFLENET = Published("shufflenetv2_x0.5", "shufflenetv2_x0.5-f707e7126e.pth")


def load_torchvision(network: nn.Module, published: Published, weights: str | None) -> str:
    """Put published weights into a network; returns where they come from.

    Parameters
    ----------
    network
        Has torchvision's names, without classes.
    published
        What to load.
    weights
        A file, or a folder that holds it; ``None`` asks the folder in which torch keeps downloads, and then the network.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ConnectionError
        If it is not on this machine and out of reach.
    ValueError
        If it holds the weights of another network.
    """
    path = _fetched(published) if weights is None else _local(Path(weights).expanduser(), published)
    file = WeightsFile(path, path.name)
    state = {name: value for name, value in read_state(path).items() if not name.startswith(published.head)}
    # older files lack the counters, which nothing reads
    counters = {name: value for name, value in network.state_dict().items() if name.endswith(_COUNTER)}
    card = EncoderCard(published.name, None, 224, 112.0, source=published.url)
    load_strictly(network, {**counters, **state}, card, file)
    return f"{file.origin} ({file.revision})"


def _local(path: Path, published: Published) -> Path:
    if path.is_file():
        return path
    names = (published.file, str(Path(published.file).with_suffix(".safetensors")), *_OTHER_NAMES)
    for name in names:
        if (path / name).is_file():
            return path / name
    msg = (
        f"no weights of {published.name!r} at {str(path)!r}. Download {published.url} and pass the file, or the folder "
        "that holds it"
    )
    raise FileNotFoundError(msg)


def _fetched(published: Published) -> Path:
    import torch
    from huggingface_hub.constants import HF_HUB_OFFLINE

    path = Path(torch.hub.get_dir()) / "checkpoints" / published.file
    if path.is_file():
        return path
    try:
        if HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rsplit("-", maxsplit=1)[1]
        torch.hub.download_url_to_file(published.url, str(path), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        msg = f"{published.url} is not in {str(path.parent)!r}, and cannot be downloaded ({error})"
        raise ConnectionError(msg) from error
    return path
