# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How official weights come in and are proven equal."""
