# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The gallery has a picture for each family of a checkpoint."""

from __future__ import annotations

from PIL import Image

from hulk_hf.checkpoint_info import describe_checkpoint
from hulk_hf.gallery import make_gallery
from hulk_hf.registration import BUNDLED_CHECKPOINT


def test_each_family_of_the_bundled_model_has_a_picture(tmp_path):
    families = {task["family"] for task in describe_checkpoint(BUNDLED_CHECKPOINT)["tasks"].values()}
    written = make_gallery(tmp_path)
    assert {path.stem for path in written} == families
    for path in written:
        with Image.open(path) as picture:
            assert picture.width > 700 and picture.height > 400
