# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Synthetic people: pictures with exact ground truth, made on the CPU from a CC0 body."""
