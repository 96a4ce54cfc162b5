# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The peak of a forward, in a process of its own."""

from __future__ import annotations

import pytest

from hulk_hf.memory import HEIGHT, WIDTH, main, peak_memory

HEADS, TOKENS, QUERIES = 4, 50 * 84, 867


@pytest.mark.parametrize("padding", [False, True])
def test_detection_of_a_large_picture_never_holds_all_scores(padding):
    """One layer's scores of every token for every other would be more than all that a forward takes."""
    measured = peak_memory(preset="hulk-tiny", height=HEIGHT, width=WIDTH, padding=padding)
    assert (measured["tokens"], measured["queries"], measured["padding"]) == (TOKENS, QUERIES, padding)
    scores = HEADS * TOKENS**2 * 4 / 1e6
    assert 0 < measured["peak_mb"] - measured["before_mb"] < 0.7 * scores


def test_an_unknown_attention_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--attention", "dense"])
    assert "invalid choice" in capsys.readouterr().err
