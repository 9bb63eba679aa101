"""Whether a path can be an image file at all, told before anything is opened that could wait or fill the memory."""

from __future__ import annotations

import stat
from pathlib import Path

MAX_PIXELS = 2**30
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_OTHER_CONTENT = (
    ((b"<!doctype", b"<html"), "a web page, as a download leaves it that asks for a login or did not find the file"),
    ((b"version https://git-lfs",), "a pointer of Git LFS and not the file itself; `git lfs pull` fetches it"),
    ((b"\x1f\x8b",), "compressed by gzip; unpack it first"),
    ((b"pk\x03\x04",), "a zip archive; unpack it first"),
    ((b"%pdf",), "a PDF; export its picture as TIFF or PNG"),
    ((b"zisrawfile",), "a CZI of Zeiss; export it as OME-TIFF, with QuPath or bfconvert"),
    ((b"\x89hdf",), "an HDF5 file; pass its image as an array"),
)


def check_path(path: Path) -> None:
    """Refuse what is no file or folder, before it is opened.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is a pipe, a socket or a device, on which reading may wait forever, or an empty file.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise
        msg = f"Image file not found: {path}. Pass `image=` with the path of the full-resolution H&E image."
        if "://" in str(path) or str(path).startswith(("http:/", "https:/", "s3:/", "gs:/")):
            msg = f"{path} is an address, not a file. Download the image and pass the path of the copy."
        raise FileNotFoundError(msg) from error
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is not None:
        msg = f"{path} is {kind}, not an image file. Save the image to a file and pass its path."
        raise ValueError(msg)
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        msg = f"{path} is an empty file. Fetch or save the image again."
        raise ValueError(msg)


def other_content(path: Path) -> str:
    """Say what a file that is no image is, where its first bytes tell; else an empty text."""
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    return next((said for starts, said in _OTHER_CONTENT if start.startswith(starts)), "")


def check_size(height: int, width: int, where: str, max_pixels: float | None) -> None:
    """Refuse to decode more pixels at once than the limit; a small file can claim any number."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    if height * width > limit:
        msg = (
            f"{where} would be decoded as one piece of {height} x {width} pixels, {height * width * 3 / 2**30:.1f} GiB of "
            f"memory; the limit is {limit:.4g} pixels. Pass `image=phg2st.io.open_image(path, max_pixels={height * width})` "
            "if the file is to be trusted, or save the image as a tiled TIFF, which is read piece by piece."
        )
        raise ValueError(msg)
