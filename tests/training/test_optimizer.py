# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The optimiser of the release: its Adafactor, rates by layer, decay, and the curve of the learning rate."""

from __future__ import annotations

import math

import pytest
import torch
from made_up_examples import small_model
from torch import nn
from transformers.optimization import Adafactor

from hulk_hf.training.optimizer import (
    HulkAdafactor,
    HulkMuon,
    build_optimizer,
    is_decayed,
    layer_multiplier,
    parameter_groups,
    schedule_factor,
)
from hulk_hf.training.recipe import OptimizerRecipe, Recipe, Stage, TaskRecipe


def make_parameters() -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*shape, generator=random)) for shape in ((5, 4), (4,), (3, 2, 2, 2), (1,))]


def draw_gradients(step: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(step)
    return [torch.randn(parameter.shape, generator=random) * (1 + step) for parameter in make_parameters()]


def test_below_the_cap_it_is_the_adafactor_of_transformers():
    ours, theirs = make_parameters(), make_parameters()
    settings = {"lr": 1e-2, "beta1": 0.9, "weight_decay": 0.05}
    capped = HulkAdafactor(ours, **settings)
    plain = Adafactor(theirs, scale_parameter=False, relative_step=False, **settings)
    for step in range(30):
        for own, other, gradient in zip(ours, theirs, draw_gradients(step), strict=True):
            own.grad, other.grad = gradient.clone(), gradient.clone()
        capped.step()
        plain.step()
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


def written_down(parameter: torch.Tensor, gradients: list[torch.Tensor], first: int, cap: float) -> torch.Tensor:
    """Steps 1 to 5 of training.md 3.1 for a matrix, from step number `first` (with empty statistics) on."""
    theta, m = parameter.double(), torch.zeros_like(parameter, dtype=torch.float64)
    rows, columns = torch.zeros(len(theta)).double(), torch.zeros(theta.shape[1]).double()
    for k, g in enumerate(gradients, start=first):
        beta2 = min(1 - k**-0.8, cap)
        squared = g.double() ** 2 + 1e-30
        rows = beta2 * rows + (1 - beta2) * squared.mean(1)
        columns = beta2 * columns + (1 - beta2) * squared.mean(0)
        u = g.double() * (rows / rows.mean()).rsqrt()[:, None] * columns.rsqrt()[None]
        u = 0.01 * u / max(1.0, float(u.pow(2).mean().sqrt()))
        m = 0.9 * m + 0.1 * u
        theta = theta - 0.01 * 0.05 * theta - m
    return theta.float()


@pytest.mark.parametrize("first", [1, 5623, 5624, 60_000])
def test_it_takes_the_steps_of_the_specification(first):
    parameter = make_parameters()[0]
    optimizer = HulkAdafactor([parameter], lr=1e-2, weight_decay=0.05)
    gradients = [draw_gradients(step)[0] for step in range(6)]
    expected = written_down(parameter.detach().clone(), gradients, first, 0.999)
    parameter.grad = torch.zeros_like(parameter)
    state = optimizer.state[parameter]
    state |= {"step": first - 1, "RMS": 0, "exp_avg": torch.zeros(5, 4)}
    state |= {"exp_avg_sq_row": torch.zeros(5), "exp_avg_sq_col": torch.zeros(4)}
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)
    assert optimizer.param_groups[0]["decay_rate"] == -0.8


def test_tensors_that_made_fewer_steps_have_a_decay_rate_of_their_own():
    seldom, often = make_parameters()[:2]
    optimizer = HulkAdafactor([seldom, often], lr=1e-2, weight_decay=0.05)
    optimizer.state[often].update({"step": 10_000, "RMS": 0, "exp_avg": torch.zeros(4), "exp_avg_sq": torch.ones(4)})
    expected = written_down(seldom.detach().clone(), [draw_gradients(0)[0]], 1, 0.999)
    seldom.grad, often.grad = draw_gradients(0)[:2]
    optimizer.step()
    torch.testing.assert_close(seldom.detach(), expected, rtol=1e-5, atol=1e-6)
    moved = 0.999 + 0.001 * draw_gradients(0)[1] ** 2
    torch.testing.assert_close(optimizer.state[often]["exp_avg_sq"], moved)


def test_its_state_can_be_stored_and_loaded():
    steps = [draw_gradients(step) for step in range(4)]
    whole, halves = make_parameters(), make_parameters()
    optimizers = [HulkAdafactor(parameters, lr=1e-2) for parameters in (whole, halves)]
    for index, gradients in enumerate(steps):
        if index == 2:
            stored = optimizers[1].state_dict()
            optimizers[1] = HulkAdafactor(halves, lr=1e-2)
            optimizers[1].load_state_dict(stored)
        for parameters, optimizer in zip((whole, halves), optimizers, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(whole, halves, strict=True))


def test_rates_of_layers_are_those_of_the_release():
    table = (0.0563, 0.0751, 0.1001, 0.1335, 0.1780, 0.2373, 0.3164, 0.4219, 0.5625, 0.75, 1.0, 1.3333)
    for index, expected in enumerate(table):
        name = f"model.hulk.encoder.layers.{index}.attention.q_proj.weight"
        assert layer_multiplier(name, 12, 0.75) == pytest.approx(expected, abs=5e-5)
    others = {
        "model.hulk.encoder.layernorm.weight": 1.0,
        "model.hulk.tokenizers.image.projection.weight": 0.04224,
        "model.hulk.tokenizers.skeleton.joint_text_mixing.bias": 0.04224,
        "model.hulk.neck.projection.weight": 1.0,
        "model.hulk.decoder.layers.3.mlp.fc1.weight": 1.0,
        "model.dense_head.query_proj.weight": 1.0,
    }
    for name, expected in others.items():
        assert layer_multiplier(name, 12, 0.75) == pytest.approx(expected, abs=5e-6), name
        assert layer_multiplier(name, 12, None) == 1.0


def test_what_is_decayed_is_what_the_release_decays():
    model = small_model(decoder_config={"modality_embedding": True, "hidden_size": 16, "num_attention_heads": 4})
    recipe = OptimizerRecipe(learning_rate=1.0, weight_decay=0.05, layer_decay=0.5)
    groups = parameter_groups(model, recipe, 2)
    decay = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert decay.keys() == {name for name, _ in model.named_parameters()}
    for name, value in {
        "hulk.encoder.layers.0.attention.q_proj.weight": 0.05,
        "hulk.encoder.layers.0.attention.q_proj.bias": 0.0,
        "hulk.encoder.layers.0.layernorm_before.weight": 0.0,
        "hulk.decoder.layernorm.bias": 0.0,
        "hulk.tokenizers.image.modality_embedding.weight": 0.0,
        "hulk.decoder.modality_indicators.pose.weight": 0.0,
        "hulk.decoder.queries.pose.weight": 0.05,
        "box_head.logit_scale": 0.05,
        "box_head.logit_bias": 0.0,
        "dense_head.norms.pose-small.weight": 0.0,
        "dense_head.upsamplers.parsing.layernorm.weight": 0.05,
        "dense_head.upsamplers.parsing.layernorm.bias": 0.0,
        "dense_head.upsamplers.parsing.deconv1.weight": 0.05,
    }.items():
        assert decay[name] == value, name
    rates = {name: group["lr"] for group in groups for name in group["names"]}
    assert rates["hulk.encoder.layers.0.attention.q_proj.weight"] == 1.0
    assert rates["hulk.encoder.layers.1.attention.q_proj.weight"] == 2.0
    assert rates["hulk.tokenizers.image.projection.weight"] == 0.5
    assert not is_decayed("norm.weight", nn.LayerNorm(3)) and is_decayed("proj.weight", nn.Linear(2, 2))


def test_frozen_parameters_are_left_out_and_shared_ones_counted_once():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].weight.requires_grad = False
    module[2].weight = module[1].weight
    names = [name for group in parameter_groups(module, OptimizerRecipe(), 1) for name in group["names"]]
    assert sorted(names) == ["0.bias", "1.bias", "1.weight", "2.bias"]


def test_optimisers_have_the_settings_of_the_recipe():
    module = nn.Linear(3, 2)
    adam = build_optimizer(module, OptimizerRecipe(learning_rate=0.1, weight_decay=0.2, betas=(0.8, 0.9)), 1)
    assert isinstance(adam, torch.optim.AdamW)
    assert [(group["lr"], group["weight_decay"], group["betas"]) for group in adam.param_groups] == [
        (0.1, 0.2, (0.8, 0.9)),
        (0.1, 0.0, (0.8, 0.9)),
    ]
    factored = build_optimizer(module, OptimizerRecipe("adafactor", learning_rate=0.1, weight_decay=0.2), 1)
    assert isinstance(factored, HulkAdafactor) and factored.beta2_cap == 0.999
    settings = {"beta1": 0.9, "clip_threshold": 1.0, "decay_rate": -0.8, "scale_parameter": False, "lr": 0.1}
    assert all(settings.items() <= group.items() and group["eps"][0] == 1e-30 for group in factored.param_groups)
    assert [group["weight_decay"] for group in factored.param_groups] == [0.2, 0.0]


def test_muon_is_refused_where_it_is_not(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ImportError, match=r"optimizer\.name: 'muon' needs PyTorch 2\.9 or newer, this is 2"):
        build_optimizer(small_model(), OptimizerRecipe("muon"), 2)


def test_muon_takes_no_groups_later():
    with pytest.raises(TypeError, match="all of its groups at the start"):
        build_optimizer(small_model(), OptimizerRecipe("muon"), 2).add_param_group({"params": []})


def test_muon_moves_the_matrices_of_layers_and_adamw_all_else():
    model, plain = small_model(), small_model()
    plain.load_state_dict(model.state_dict())
    recipe = OptimizerRecipe("muon", learning_rate=0.02, weight_decay=0.1)
    muon = build_optimizer(model, recipe, 2)
    assert isinstance(muon, HulkMuon)
    adam = build_optimizer(plain, OptimizerRecipe(learning_rate=0.02, weight_decay=0.1), 2)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    random = torch.Generator().manual_seed(0)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        ours.grad = torch.randn(ours.shape, generator=random)
        theirs.grad = ours.grad.clone()
    muon.step()
    adam.step()
    others = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        if ".layers." in name and parameter.ndim == 2:
            step = (parameter - before[name] * (1 - 0.02 * 0.1)).detach()
            # All directions are moved about as far, by as much on the average as AdamW would.
            lengths = torch.linalg.svdvals(step)
            assert lengths[-1] > 0.3 * lengths[0], name
            assert float(step.square().mean().sqrt()) == pytest.approx(0.2 * 0.02, rel=0.35), name
        else:
            assert torch.equal(parameter, others[name]), name


def test_muon_goes_on_from_its_saved_state_at_the_rate_that_is_set():
    def prepare() -> tuple[nn.Module, HulkMuon, torch.optim.lr_scheduler.LRScheduler]:
        torch.manual_seed(0)
        model = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(4, 3)]), "head": nn.Linear(3, 2)})
        module = nn.ModuleDict({"decoder": model})
        optimizer = build_optimizer(module, OptimizerRecipe("muon", learning_rate=0.1), 1)
        return module, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    def move(module: nn.Module, optimizer: HulkMuon, schedule, steps: range) -> None:
        for step in steps:
            random = torch.Generator().manual_seed(step)
            for parameter in module.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=random)
            optimizer.step()
            schedule.step()

    whole, whole_optimizer, whole_schedule = prepare()
    move(whole, whole_optimizer, whole_schedule, range(5))
    first, optimizer, schedule = prepare()
    move(first, optimizer, schedule, range(3))
    second, resumed, resumed_schedule = prepare()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    resumed_schedule.load_state_dict(schedule.state_dict())
    move(second, resumed, resumed_schedule, range(3, 5))
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), second.parameters(), strict=True))
    assert {group["lr"] for group in resumed.param_groups} == {0.1 * 0.5**5}


def test_the_learning_rate_follows_the_curve_of_the_release():
    optimizer = OptimizerRecipe(learning_rate=1e-3, initial_learning_rate=1e-5, warmup_steps=1500)
    recipe = Recipe("x", [TaskRecipe("pose-coco")], stages=[Stage(20_000), Stage(40_000)], optimizer=optimizer)
    rates = {0: 1.000e-5, 750: 5.050e-4, 1500: 1.000e-3, 15_000: 8.743e-4, 30_000: 5.201e-4, 45_000: 1.536e-4}
    for step, rate in rates.items():
        assert 1e-3 * schedule_factor(step, recipe) == pytest.approx(rate, rel=4e-4), step
    assert 1e-3 * schedule_factor(59_999, recipe) == pytest.approx(7e-13, rel=0.1)


def test_without_a_start_warm_up_grows_from_the_first_share():
    recipe = Recipe("x", [TaskRecipe("pose-coco")], stages=[Stage(110)], optimizer=OptimizerRecipe(warmup_steps=10))
    assert [schedule_factor(step, recipe) for step in (0, 10, 60)] == pytest.approx([0.1, 1.0, 0.5])
    assert schedule_factor(110, recipe) == pytest.approx(0.0, abs=1e-12)
    assert math.isclose(schedule_factor(5, recipe), 0.55)
