# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Experiments on small models: claims of the paper, adapters, new label sets. Each is a command and a report."""
