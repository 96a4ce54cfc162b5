# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Hulk, the human-centric generalist, for transformers."""

from __future__ import annotations

__version__ = "0.1.0"
