# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Builds `data/photographs/*.jpg` from the pictures that ship with scikit-image; run once by a maintainer.

Only pictures without people that their authors gave away (CC0 or public domain) are taken: see `data/NOTICE.md`.

    python -m hulk_hf.synthetic.build_photographs
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from .backgrounds import PHOTOGRAPHS, PHOTOGRAPHS_PATH

LONGEST_SIDE = 400


def build(folder: Path) -> None:
    """Shrinks the pictures and writes them to `folder`."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted({name for names in PHOTOGRAPHS.values() for name in names}):
        picture = Image.fromarray(getattr(data, name)())
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        picture.save(folder / f"{name}.jpg", quality=85, optimize=True)


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=PHOTOGRAPHS_PATH)
    build(parser.parse_args().output)


if __name__ == "__main__":
    main()
