# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The network and its faces: everything that travels with a checkpoint."""
