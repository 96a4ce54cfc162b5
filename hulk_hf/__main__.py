# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`python -m hulk_hf` is the command `hulk-hf`, for launchers that start modules."""

from hulk_hf.cli import main

if __name__ == "__main__":
    main()
