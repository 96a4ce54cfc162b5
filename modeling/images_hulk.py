# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading pictures: every kind of input becomes one upright 8-bit RGB tensor.

What is done, for every task alike:

* An EXIF orientation is obeyed, also of a PIL image that has already been opened.
* Transparency is laid over white, which is what most viewers show.
* 16 bits are scaled to 8, not clipped. Grey becomes three equal channels; CMYK, YCbCr, LAB and palettes become RGB.
* Floating-point arrays hold values in [0, 1] or in [0, 255].
* Arrays without a stated layout: NumPy arrays are (height, width, channels) if the last axis can be channels, else
  (channels, height, width); torch tensors the other way round. Two axes are a grey picture.
"""

import os
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers.image_utils import load_image

_CHANNELS = (1, 3, 4)
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


def is_image(value: Any) -> bool:
    """Whether `value` is one picture, or the place of one: PIL image, array, tensor, file name, URL."""
    return isinstance(value, Image.Image | np.ndarray | torch.Tensor | str | os.PathLike)


def read_image(
    source: Any, input_data_format: str | None = None, timeout: float | None = None, name: str = "images"
) -> torch.Tensor:
    """Reads one picture.

    Args:
        source: PIL image, NumPy array, torch tensor, file name or path, URL (`http`, `https`, `data:image`) or base64
            text. Text that is no existing file goes to transformers' `load_image`, whose own rules for 16 bits and
            transparency then apply.
        input_data_format: `channels_first` or `channels_last` for arrays; None guesses from the shape.
        timeout: of a download, in seconds.
        name: of the argument, for error messages.

    Returns:
        uint8 tensor (3, height, width), RGB, upright.

    Raises:
        ValueError: no such file, not a picture, or an array that can't be one.
        TypeError: a type that is no picture at all.
    """
    if isinstance(source, str | os.PathLike):
        return _from_pil(_open(source, timeout, name), name)
    if isinstance(source, Image.Image):
        return _from_pil(source, name)
    if isinstance(source, torch.Tensor):
        array = source.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
        return _from_array(array, input_data_format or _guess_layout(array.shape, (0, 2)), name)
    if isinstance(source, np.ndarray):
        return _from_array(source, input_data_format or _guess_layout(source.shape, (2, 0)), name)
    raise TypeError(
        f"`{name}` must be a PIL image, array, tensor, file name or URL, or a list of them, "
        f"got {type(source).__name__}"
    )


def _open(source: str | os.PathLike, timeout: float | None, name: str) -> Image.Image:
    text = os.fspath(source)
    shown = text if len(text) <= 120 else text[:100] + "..."
    remote = text.startswith(("http://", "https://"))
    try:
        if os.path.isfile(text):
            with Image.open(text) as image:
                image.load()
                return image
        if os.path.isdir(text):
            raise ValueError("it is a folder")
        return load_image(text, timeout=timeout)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if remote and not isinstance(error, Image.UnidentifiedImageError):
            raise  # a failed connection says what failed
        if os.path.isfile(text):
            reason = f"is a file of {os.path.getsize(text)} bytes that cannot be read as a picture ({error})"
        elif remote:
            reason = "did not answer with a picture"
        else:
            reason = "is neither a picture file nor a URL nor a base64 picture"
        raise ValueError(f"`{name}`: {shown!r} {reason}") from error


def _from_pil(image: Image.Image, name: str) -> torch.Tensor:
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in _SIXTEEN_BIT_MODES or image.mode in ("I", "F"):
            return _from_array(np.array(image), "channels_last", name)
        if image.mode == "La":
            image = image.convert("LA")
        if image.mode.endswith(("A", "a")) or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # PIL reads lazily: a broken file shows itself only here
        raise ValueError(f"`{name}`: the picture cannot be decoded ({error})") from error
    return _checked(torch.from_numpy(pixels).permute(2, 0, 1), name)


def _guess_layout(shape: tuple[int, ...], order: tuple[int, int]) -> str:
    """The layout of an array of three axes; `order` says which axis is asked first."""
    if len(shape) == 3:
        for axis in order:
            if shape[axis] in _CHANNELS:
                return "channels_first" if axis == 0 else "channels_last"
    return "channels_last"


def _from_array(array: np.ndarray, layout: str, name: str) -> torch.Tensor:
    layout = str(getattr(layout, "value", layout))
    if layout not in ("channels_first", "channels_last"):
        raise ValueError(f"`input_data_format` must be 'channels_first' or 'channels_last', got {layout!r}")
    shape = array.shape
    if array.ndim == 2:
        array, layout = array[..., None], "channels_last"
    if array.ndim == 3 and layout == "channels_first":
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[2] not in _CHANNELS:
        raise ValueError(
            f"`{name}`: an array must be (height, width), (height, width, channels) or (channels, height, width) with "
            f"1, 3 or 4 channels, got shape {tuple(shape)} read as {layout}"
        )
    pixels = _to_8_bit(array, name)
    if pixels.shape[2] == 4:
        return _from_pil(Image.fromarray(np.ascontiguousarray(pixels), "RGBA"), name)
    if not pixels.flags.writeable or any(stride < 0 for stride in pixels.strides):
        pixels = pixels.copy()  # torch can't look at such memory
    return _checked(torch.from_numpy(pixels).permute(2, 0, 1).expand(3, -1, -1), name)


def _to_8_bit(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8 or array.size == 0:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    numeric = array.dtype.kind in "iuf"
    low, high = (float(array.min()), float(array.max())) if numeric else (np.nan, np.nan)
    if array.dtype == np.uint16 or (array.dtype.kind in "iu" and 0 <= low and 255 < high <= 65535):
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind == "f" and 0 <= low and high <= 1:
        return np.rint(array * 255.0).astype(np.uint8)
    if 0 <= low and high <= 255:
        return np.rint(array).astype(np.uint8)
    raise ValueError(
        f"`{name}`: an array must hold integers in [0, 255] or [0, 65535] or floats in [0, 1] or [0, 255], "
        f"got {array.dtype} in [{low:g}, {high:g}]"
    )


def _checked(pixels: torch.Tensor, name: str) -> torch.Tensor:
    if 0 in pixels.shape:
        raise ValueError(
            f"`{name}`: a picture needs at least one pixel, got height and width {tuple(pixels.shape[1:])}"
        )
    return pixels


__all__ = ["is_image", "read_image"]
