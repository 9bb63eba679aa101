"""ShuffleNetV2 at half width, with the parameter names of torchvision, and the weights that it publishes; torchvision is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ....encoders import EncoderCard, WeightsFile, load_strictly, read_state

REPEATS = (4, 8, 4)
CHANNELS = (24, 48, 96, 192, 1024)
"""Of the first convolution, the three stages and the last convolution, at half width."""
_URL = "https://download.pytorch.org/models/"
_OTHER_NAMES = ("model.safetensors", "pytorch_model.bin")
_COUNTER = "num_batches_tracked"


class ShuffleMaps(NamedTuple):
    """What the last two parts of the network make of pictures.

    Attributes
    ----------
    stage4
        (n, 192, h, w).
    conv5
        (n, 1024, h, w).
    """

    stage4: Tensor
    conv5: Tensor


class ShuffleUnit(nn.Module):
    """Two branches whose channels are shuffled into each other.

    At stride 1 the first half of the channels stays as it is, and the second goes through a convolution in each channel
    between two across channels. At stride 2 both branches take all channels, and halve the map.

    Parameters
    ----------
    channels_in, channels_out
        Even; equal at stride 1.
    stride
        1 or 2.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.stride = stride
        self.branch1 = (
            nn.Sequential(*_depthwise(channels_in, stride), *_pointwise(channels_in, half))
            if stride > 1
            else nn.Sequential()
        )
        into = channels_in if stride > 1 else half
        self.branch2 = nn.Sequential(*_pointwise(into, half), *_depthwise(half, stride), *_pointwise(half, half))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_out, ceil(h / stride), ceil(w / stride)) from (n, channels_in, h, w)."""
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            return shuffle(torch.cat([kept, self.branch2(changed)], dim=1))
        return shuffle(torch.cat([self.branch1(x), self.branch2(x)], dim=1))


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 x0.5 without its pooling after the first convolution and without classes.

    References
    ----------
    Ma, Zhang, Zheng, Sun, ShuffleNet V2: practical guidelines for efficient CNN architecture design, ECCV 2018. Names of
    parameters are those of ``torchvision.models.shufflenet_v2_x0_5``.

    Examples
    --------
    >>> import torch
    >>> ShuffleNetV2()(torch.rand(2, 3, 58, 58)).conv5.shape
    torch.Size([2, 1024, 4, 4])
    """

    def __init__(self) -> None:
        super().__init__()
        first, *stages, last = CHANNELS
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.stage2, self.stage3, self.stage4 = (
            _stage(into, out, repeats)
            for into, out, repeats in zip([first, *stages[:-1]], stages, REPEATS, strict=True)
        )
        self.conv5 = nn.Sequential(*_pointwise(stages[-1], last))

    def forward(self, x: Tensor) -> ShuffleMaps:
        """Maps of a sixteenth of the side of (n, 3, h, w) pictures, rounded up."""
        stage4 = self.stage4(self.stage3(self.stage2(self.conv1(x))))
        return ShuffleMaps(stage4, self.conv5(stage4))


def shuffle(x: Tensor, groups: int = 2) -> Tensor:
    """Take channels from the groups of (n, channels, h, w) in turn."""
    n, channels, height, width = x.shape
    return x.view(n, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)


def _stage(channels_in: int, channels_out: int, repeats: int) -> nn.Sequential:
    same = (ShuffleUnit(channels_out, channels_out, stride=1) for _ in range(repeats - 1))
    return nn.Sequential(ShuffleUnit(channels_in, channels_out, stride=2), *same)


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
    return [convolution, nn.BatchNorm2d(channels)]


def _pointwise(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()]


# --- published weights ------------------------------------------------------------------------------------------------
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
        f"No weights of {published.name!r} at {str(path)!r}. Download {published.url} and pass the file, or the folder "
        "that holds it."
    )
    raise FileNotFoundError(msg)


def _fetched(published: Published) -> Path:
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
        msg = f"{published.url} is not in {str(path.parent)!r}, and cannot be downloaded ({error})."
        raise ConnectionError(msg) from error
    return path
