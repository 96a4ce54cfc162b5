# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Optimisers, layer-wise rates, what is not decayed, and the curve of the learning rate (official recipe).

The released training used an Adafactor with a first moment and a cap on its second decay rate. `transformers` has the
same algorithm without the cap; `torch.optim.Adafactor` is another algorithm. For small models there is Muon, too
(Jordan et al., 2024), which makes all directions of a matrix learn equally fast.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from transformers.optimization import Adafactor

from hulk_hf.training.recipe import OptimizerRecipe, Recipe

BETA2_CAP = 0.999
_ENCODER_LAYER = re.compile(r"(^|\.)encoder\.layers\.(\d+)\.")
_ANY_LAYER = re.compile(r"\.layers\.\d+\.")  # of encoder or decoder


class HulkAdafactor(Adafactor):
    """The Adafactor of transformers with beta2 = min(1 - k^decay_rate, beta2_cap) at the k-th step of a tensor.

    Every tensor becomes a parameter group of its own, as in the release: some may have made fewer steps than others.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        beta2_cap: Largest decay rate of the second moment. It acts from step 5,624 on.
        options: More arguments of `Adafactor`. By default the update is not scaled by the size of the parameters, and
            the first moment has a decay rate of 0.9.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, beta2_cap: float = BETA2_CAP, beta1: float | None = 0.9, **options: Any
    ):
        groups = [group if isinstance(group, dict) else {"params": [group]} for group in params]
        single = [{**group, "params": [parameter]} for group in groups for parameter in group["params"]]
        options = {"scale_parameter": False, "relative_step": False, **options}
        super().__init__(single, lr=lr, beta1=beta1, **options)
        self.beta2_cap = beta2_cap

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make one step."""
        rates = [group["decay_rate"] for group in self.param_groups]
        for group in self.param_groups:
            step = self.state[group["params"][0]].get("step", 0) + 1
            if 1.0 - math.pow(step, group["decay_rate"]) > self.beta2_cap:
                # The rate for which 1 - step^rate is the cap.
                group["decay_rate"] = math.log(1.0 - self.beta2_cap) / math.log(step)
        try:
            return super().step(closure)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["decay_rate"] = rate


def check_available(name: str) -> None:
    """Check that this PyTorch has what an optimiser is made of.

    Args:
        name: `OptimizerRecipe.name`.

    Raises:
        ImportError: It is too old.
    """
    if name == "muon" and not hasattr(torch.optim, "Muon"):
        raise ImportError(f"optimizer.name: 'muon' needs PyTorch 2.9 or newer, this is {torch.__version__}")


class HulkMuon(torch.optim.Optimizer):
    """Muon for the matrices of the layers of encoder and decoder, AdamW for all other parameters.

    Updates of matrices are scaled to the size of those of AdamW, so that both have the same rates and decay.

    Args:
        groups: Of `parameter_groups`, with the names of the parameters.
        lr: Learning rate of groups without one.
        betas: Decay rates of the moments of AdamW; Muon has its own momentum.

    Raises:
        ImportError: PyTorch is too old.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, betas: tuple[float, float]):
        check_available("muon")
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for group in groups:
            fields = {key: value for key, value in group.items() if key not in ("params", "names")}
            named = list(zip(group["names"], group["params"], strict=True))
            in_layers = [p for name, p in named if p.ndim == 2 and _ANY_LAYER.search(name)]
            elsewhere = [p for name, p in named if not (p.ndim == 2 and _ANY_LAYER.search(name))]
            for chosen, params in ((matrices, in_layers), (others, elsewhere)):
                if params:
                    chosen.append({**fields, "params": params})
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(torch.optim.Muon(matrices, lr=lr, adjust_lr_fn="match_rms_adamw"))
        if others:
            self.parts.append(torch.optim.AdamW(others, lr=lr, betas=betas))
        super().__init__(self._groups(), {})
        self._complete = True

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Groups are given at the start: which of the two optimisers a later one belongs to cannot be told."""
        if getattr(self, "_complete", False):
            raise TypeError("HulkMuon takes all of its groups at the start")
        super().add_param_group(param_group)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """States of both, in this order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states of both."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = self._groups()  # which loading makes anew


def layer_multiplier(name: str, num_layers: int, layer_decay: float | None) -> float:
    """What the learning rate of a parameter is multiplied by: layer_decay^(L - id - 1).

    The id of encoder layer i is i + 1, so that the last layer has more than the base rate, as released; that of the
    encoder's final norm is L - 1, that of tokenizers 0. All else has the base rate.

    Args:
        name: Full name of the parameter.
        num_layers: L, layers of the encoder.
        layer_decay: 0.75 in the release; None: no parameter is treated specially.
    """
    if layer_decay is None:
        return 1.0
    layer = _ENCODER_LAYER.search(name)
    if layer:
        number = int(layer[2]) + 1
    elif ".encoder." in f".{name}":
        number = num_layers - 1
    elif ".tokenizers." in f".{name}":
        number = 0
    else:
        return 1.0
    return layer_decay ** (num_layers - number - 1)


def is_decayed(name: str, owner: nn.Module) -> bool:
    """Whether weight decay acts on a parameter: not on biases, norms and modality embeddings.

    Query tokens (mask tokens of the release), the gain of the detection logit and that of the norm inside up-samplers
    are decayed, as released.

    Args:
        name: Full name of the parameter.
        owner: The module that holds it.
    """
    if "bias" in name.rpartition(".")[2]:
        return False
    if isinstance(owner, nn.Embedding):
        return ".decoder.queries." in f".{name}"
    if isinstance(owner, nn.LayerNorm):
        return ".upsamplers." in f".{name}"
    return True


def parameter_groups(module: nn.Module, recipe: OptimizerRecipe, num_layers: int) -> list[dict[str, Any]]:
    """Split the trainable parameters by learning rate and weight decay.

    Args:
        module: What is trained.
        recipe: Gives rates and decay.
        num_layers: Layers of the encoder.

    Returns:
        Groups with `params`, `names`, `lr` (at the peak) and `weight_decay`.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    seen: set[int] = set()
    for prefix, owner in module.named_modules():
        for own_name, parameter in owner.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            name = f"{prefix}.{own_name}" if prefix else own_name
            rate = recipe.learning_rate * layer_multiplier(name, num_layers, recipe.layer_decay)
            decay = recipe.weight_decay if is_decayed(name, owner) else 0.0
            group = groups.setdefault((rate, decay), {"params": [], "names": [], "lr": rate, "weight_decay": decay})
            group["params"].append(parameter)
            group["names"].append(name)
    return list(groups.values())


def build_optimizer(module: nn.Module, recipe: OptimizerRecipe, num_layers: int) -> torch.optim.Optimizer:
    """Build the optimiser of a recipe; arguments as for `parameter_groups`."""
    groups = parameter_groups(module, recipe, num_layers)
    if recipe.name == "muon":
        return HulkMuon(groups, lr=recipe.learning_rate, betas=recipe.betas)
    for group in groups:
        del group["names"]
    if recipe.name == "adafactor":
        return HulkAdafactor(groups, lr=recipe.learning_rate, beta1=recipe.betas[0])
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)


def schedule_factor(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at a step (from 0): linear warm-up, then half a cosine to zero."""
    warmup, peak = recipe.optimizer.warmup_steps, recipe.optimizer.learning_rate
    if step < warmup:
        initial = recipe.optimizer.initial_learning_rate
        start = 1.0 / warmup if initial is None else initial / peak
        return start + step / warmup * (1.0 - start)
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(recipe.total_steps - warmup, 1), 1.0)))


__all__ = [
    "BETA2_CAP",
    "HulkAdafactor",
    "HulkMuon",
    "build_optimizer",
    "check_available",
    "is_decayed",
    "layer_multiplier",
    "parameter_groups",
    "schedule_factor",
]
