# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A pre-trained MAE becomes the start of encoder and image tokenizer, or a clear error."""

from __future__ import annotations

import pytest
import torch

from hulk_hf.conversion.mae import initialize_from_mae, mae_weights
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.positions_hulk import resize_table, sincos_2d

WIDTH = 64


def mae(width: int = WIDTH, layers: int = 2, side: int = 14, with_decoder: bool = False) -> dict[str, torch.Tensor]:
    """A state dict of an MAE, as its authors publish it."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    state = {
        "cls_token": values(1, 1, width),
        "pos_embed": torch.cat([torch.zeros(1, width), sincos_2d(width, side, side)])[None],
        "patch_embed.proj.weight": values(width, 3, 16, 16),
        "patch_embed.proj.bias": values(width),
        "norm.weight": values(width),
        "norm.bias": values(width),
    }
    for i in range(layers):
        for name, shape in {
            "norm1": (width,),
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "norm2": (width,),
            "mlp.fc1": (2 * width, width),
            "mlp.fc2": (width, 2 * width),
        }.items():
            state[f"blocks.{i}.{name}.weight"] = values(*shape)
            state[f"blocks.{i}.{name}.bias"] = values(shape[0])
    if with_decoder:
        state |= {
            "mask_token": values(1, 1, 8),
            "decoder_embed.weight": values(8, width),
            "decoder_norm.bias": values(8),
        }
    return state


def config(positions: str = "stretched", width: int = WIDTH, tasks: tuple[str, ...] = ("pose-coco",)) -> HulkConfig:
    vision = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 128}
    return HulkConfig(
        vision_config={**vision, "image_positions": positions},
        decoder_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        tasks=list(tasks),
    )


@pytest.fixture
def saved(tmp_path):
    def save(state, **entries):
        path = tmp_path / "mae.pth"
        torch.save({"model": state, **entries}, path)
        return path

    return save


def outputs(state: dict[str, torch.Tensor], pictures: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """The encoder of an MAE without masking and class token, written down anew."""
    functional = torch.nn.functional
    x = functional.conv2d(pictures, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=16)
    x = x.flatten(2).mT + table
    for i in range(2):

        def linear(values, name, block=f"blocks.{i}"):
            return functional.linear(values, state[f"{block}.{name}.weight"], state[f"{block}.{name}.bias"])

        def norm(values, name, block=f"blocks.{i}"):
            weight, bias = state[f"{block}.{name}.weight"], state[f"{block}.{name}.bias"]
            return functional.layer_norm(values, (WIDTH,), weight, bias, 1e-6)

        q, k, v = linear(norm(x, "norm1"), "attn.qkv").chunk(3, -1)
        x = x + linear((q @ k.mT / WIDTH**0.5).softmax(-1) @ v, "attn.proj")
        x = x + linear(functional.gelu(linear(norm(x, "norm2"), "mlp.fc1")), "mlp.fc2")
    return functional.layer_norm(x, (WIDTH,), state["norm.weight"], state["norm.bias"], 1e-6)


@pytest.mark.parametrize("positions", ["stretched", "stored"])
def test_the_encoder_of_the_model_computes_what_the_mae_does(saved, positions):
    state = mae(with_decoder=True)
    model = HulkForPoseEstimation(config(positions)).eval()
    heads = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("dense_head")}
    initialize_from_mae(model, saved(state, epoch=1600))
    torch.nn.init.zeros_(model.hulk.tokenizers["image"].modality_embedding.weight)
    pictures = torch.randn(2, 3, 256, 192)
    with torch.no_grad():
        ours = model(pictures).encoder_last_hidden_state
    theirs = outputs(state, pictures, resize_table(state["pos_embed"][0, 1:], (14, 14), (16, 12)))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in heads.items())


def test_a_table_of_no_formula_needs_stored_positions(saved):
    state = mae()
    state["pos_embed"] = state["pos_embed"] + 0.5
    path = saved(state)
    with pytest.raises(ValueError, match=r"mae.pth: 'pos_embed': 14x14 .* 0.5 .*'stretched'.*'stored' for any other"):
        initialize_from_mae(HulkModel(config()), path)
    model = HulkModel(config("stored"))
    initialize_from_mae(model, path)
    expected = resize_table(state["pos_embed"][0, 1:], (14, 14), (16, 12))
    assert torch.equal(model.tokenizers["image"].position_tables(16, 12, "pose-coco"), expected)


def test_a_model_of_skeletons_takes_the_encoder_alone(saved):
    state = mae()
    model = HulkModel(config(tasks=("action-ntu-gym",)))
    initialize_from_mae(model, saved(state))
    assert torch.equal(model.encoder.layers[1].mlp.fc2.weight, state["blocks.1.mlp.fc2.weight"])


def test_a_bare_state_dict_is_fine(tmp_path):
    torch.save(mae(), tmp_path / "bare.pth")
    weights, positions = mae_weights(tmp_path / "bare.pth")
    assert weights["tokenizers.image.projection.bias"].shape == (WIDTH,) and positions.shape == (196, WIDTH)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (mae(width=32), r"mae.pth: \d+ tensors are not alike .*encoder.layernorm.bias \(32,\) and \(64,\)"),
        (mae(layers=3), r"mae.pth: 16 tensors are not alike .*encoder.layers.2.*None"),
        ({**mae(), "head.weight": torch.zeros(1)}, "mae.pth: official key 'backbone_module.head.weight' is not known"),
        ({"a": torch.zeros(1)}, r"mae.pth: expected a tensor 'pos_embed' of an MAE, got \['a'\]"),
        (mae(side=10), "mae.pth: 'pos_embed': 10x10 patches"),
    ],
)
def test_what_is_no_such_mae_is_refused(saved, state, message):
    model = HulkModel(config())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        initialize_from_mae(model, saved(state))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
