# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`made_up_examples.py` with a model sharded over the processes, without GPUs: Accelerate does not offer that.

So the state that `accelerate launch --config_file fsdp2.yaml` leads to on GPUs is put in place by hand.
"""

from __future__ import annotations

from pathlib import Path

import made_up_examples
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from hulk_hf.training import loop
from hulk_hf.training.recipe import Recipe

make_accelerator = loop.make_accelerator


def make_sharded(recipe: Recipe) -> Accelerator:
    accelerator = make_accelerator(recipe)
    settings = load_config_from_file(str(Path(loop.__file__).parent / "launchers" / "fsdp2.yaml")).fsdp_config
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=settings["fsdp_version"],
        auto_wrap_policy=settings["fsdp_auto_wrap_policy"].lower(),
        transformer_cls_names_to_wrap=settings["fsdp_transformer_layer_cls_to_wrap"].split(","),
        reshard_after_forward=settings["fsdp_reshard_after_forward"],
        state_dict_type=settings["fsdp_state_dict_type"],
    )
    accelerator.state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    return accelerator


if __name__ == "__main__":
    loop.make_accelerator = make_sharded
    made_up_examples.main()
