# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForMeshRecovery: bodies come in by one way, are stored only if they may be, and turn queries into meshes."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, OFFICIAL_TASK_IDS, HulkTask
from hulk_hf.synthetic.open_body import open_body

SIZES = {
    "vision_config": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96},
    "decoder_config": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    "text_feature_size": 16,
}
RESULTS = ("camera", "joints_3d", "mesh_joints_3d", "joints_2d", "mesh_joints_2d")


def toy_task(body, **fields) -> HulkTask:
    sizes = {
        key: value for key, value in body.sizes().items() if key in ("vertices", "regressed_joints", "restricted")
    }
    values = {"labels": ("a", "b", "c"), "image_size": (48, 32), "body": sizes, **fields}
    return HulkTask("mesh-toy", "mesh", **values)


def build(body, tasks=None, **overrides) -> HulkForMeshRecovery:
    torch.manual_seed(0)
    model = HulkForMeshRecovery(HulkConfig(**{**SIZES, **overrides}, tasks=tasks or [toy_task(body)])).eval()
    model.set_body("mesh-toy", body)
    return model


@pytest.fixture(scope="module")
def body(toy_body):
    return toy_body()


@pytest.fixture(scope="module")
def model(body):
    return build(body)


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(3, 3, 48, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels():
    generator = torch.Generator().manual_seed(2)
    return {
        "joints_3d": torch.rand(3, 3, 4, generator=generator),
        "joints_2d": torch.rand(3, 3, 3, generator=generator),
        "vertices": [torch.rand(3, count, 3, generator=generator) for count in (7, 9, 12)],
        "has_smpl": torch.tensor([1, 0, 1]),
    }


def same(first, second, **tolerances):
    for name in RESULTS:
        torch.testing.assert_close(getattr(first, name), getattr(second, name), **tolerances)
    for one, other in zip(first.vertices, second.vertices, strict=True):
        torch.testing.assert_close(one, other, **tolerances)


@torch.no_grad()
def test_shapes_of_three_levels(model, pictures):
    outputs = model(pictures)
    assert [tuple(level.shape) for level in outputs.vertices] == [(3, 7, 3), (3, 9, 3), (3, 12, 3)]
    assert outputs.camera.shape == (3, 3) and outputs.loss is None
    assert outputs.joints_3d.shape == outputs.mesh_joints_3d.shape == (3, 3, 3)
    assert outputs.joints_2d.shape == outputs.mesh_joints_2d.shape == (3, 3, 2)


@torch.no_grad()
def test_results_follow_from_the_coordinates_of_the_queries(model, body, pictures):
    states = model.hulk(pictures).last_hidden_state.double()
    head = model.mesh_head
    tokens = states @ head.coordinates.weight.double().T + head.coordinates.bias.double()
    camera, joints, coarse = tokens[:, 0], tokens[:, 1:4], tokens[:, 4:]
    middle = torch.einsum("mv,bvc->bmc", head.upsample.weight.double(), coarse)
    middle = middle + head.upsample.bias.double()[None, :, None]
    fine = torch.stack(
        [
            sum(float(w) * middle[:, int(v)] for v, w in zip(*rows, strict=True))
            for rows in zip(*body.upsampling, strict=True)
        ],
        dim=1,
    )
    regressed = body.regressor.double() @ fine
    pelvis = regressed[:, 3:4]
    hips = (joints[:, 1:2] + joints[:, 2:3]) / 2
    outputs = model(pictures)
    expected = [coarse - pelvis, middle - pelvis, fine - pelvis]
    for ours, theirs in zip(outputs.vertices, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=1e-5)
    mesh_joints = regressed[:, [4, 1, 2]] - pelvis
    torch.testing.assert_close(outputs.mesh_joints_3d.double(), mesh_joints, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs.joints_3d.double(), joints - hips, atol=1e-5, rtol=1e-5)
    for ours, points in ((outputs.joints_2d, joints - hips), (outputs.mesh_joints_2d, mesh_joints)):
        seen = camera[:, None, :1] * (points[..., :2] + camera[:, None, 1:])
        torch.testing.assert_close(ours.double(), seen, atol=1e-5, rtol=1e-5)


def test_a_vertex_sees_only_its_neighbours(model, body):
    task, context = model.hulk.tasks["mesh-toy"], 6
    seen = model.hulk.decoder.places.body_mask(task, context)[0, 0]
    assert seen.shape == (6 + 1 + 3 + 7,) * 2
    assert seen[:10].all() and seen[:, :10].all()
    assert torch.equal(seen[10:, 10:], body.adjacency)
    assert not body.adjacency.all()


@torch.no_grad()
def test_places_of_the_queries(model, body):
    """The query part passes the 2-D MLP twice, and the camera stands at the origin."""
    decoder, task = model.hulk.decoder, model.hulk.tasks["mesh-toy"]
    context, queries = decoder.places(task, (3, 2), 11)
    flat, depth = queries
    positions = decoder._every_layer(task, context, queries, torch.float32)
    body_part = decoder.position_mlp_2d(flat) + decoder.position_mlp_1d(depth)
    torch.testing.assert_close(positions[7:], decoder.position_mlp_2d(body_part))
    torch.testing.assert_close(positions[6], decoder.position_mlp_2d(torch.zeros(32)))
    torch.testing.assert_close(positions[:6], decoder.position_mlp_2d(context))
    steps = torch.arange(14, dtype=torch.float64)[:, None] / 10000 ** (torch.arange(16) / 16)
    table = torch.cat([steps.sin(), steps.cos()], dim=1)
    place = ((body.depth + 0.5) * 14 / 100 - 0.5).clamp(min=0)
    low, high, share = place.long(), (place.long() + 1).clamp(max=13), (place % 1)[:, None]
    torch.testing.assert_close(depth.double(), table[low] * (1 - share) + table[high] * share, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("levels", [1, 2])
@torch.no_grad()
def test_fewer_levels(toy_body, pictures, levels):
    body = toy_body(levels)
    model = build(body)
    assert hasattr(model.mesh_head, "upsample") == (levels == 2)
    outputs = model(pictures)
    assert [level.shape[1] for level in outputs.vertices] == [7, 9][:levels]
    regressed = torch.einsum("rw,bwc->brc", body.regressor, outputs.vertices[-1])
    # Moving a mesh by its pelvis moves every joint, in proportion to the sum of its row.
    shares = body.regressor.sum(dim=1)
    offset = regressed[:, [3]] / (shares[3] - 1)
    expected = regressed[:, [4, 1, 2]] - (shares[[4, 1, 2], None] - 1) * offset
    torch.testing.assert_close(outputs.mesh_joints_3d, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_without_a_body_there_is_a_clear_error(body, pictures):
    model = HulkForMeshRecovery(HulkConfig(**SIZES, tasks=[toy_task(body)]))
    with pytest.raises(ValueError, match="task 'mesh-toy': no body model is set.*body_tables.*open_body"):
        model(pictures)
    with pytest.raises(ValueError, match="no body model is set"):
        model.hulk(pictures)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"joints": (0, 1), "flat": torch.zeros(9).long(), "depth": torch.zeros(9).long(), "hips": (0, 1)},
            "2 joints",
        ),
        ({"regressor": torch.ones(6, 12)}, "6 regressed joints"),
    ],
)
def test_a_body_of_other_sizes_is_refused(model, toy_body, fields, message):
    with pytest.raises(ValueError, match=f"body: task 'mesh-toy' is for a body of .*but 'toy' has .*{message}"):
        model.set_body("mesh-toy", toy_body(**fields))
    with pytest.raises(ValueError, match=r"but 'toy' has \[7\] vertices"):
        model.set_body("mesh-toy", toy_body(1))
    with pytest.raises(ValueError, match="no task 'mesh-other'"):
        model.set_body("mesh-other", toy_body())


@torch.no_grad()
def test_restricted_tables_are_not_in_a_checkpoint(model, body, pictures, tmp_path):
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert not [name for name in names if "bodies" in name]
    assert json.loads((tmp_path / "config.json").read_text())["tasks"]["mesh-toy"]["body"]["restricted"]
    loaded = HulkForMeshRecovery.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no body model is set"):
        loaded(pictures)
    loaded.set_body("mesh-toy", body)
    same(loaded(pictures), model(pictures), atol=0, rtol=0)


@pytest.mark.parametrize("restricted", [True, False])
@torch.no_grad()
def test_stored_tables_come_back(toy_body, pictures, tmp_path, restricted):
    body = toy_body(restricted=restricted)
    model = build(body)
    model.set_body("mesh-toy", body, store=restricted)
    model.save_pretrained(tmp_path)
    names = {name for name in load_file(tmp_path / "model.safetensors") if "bodies" in name}
    assert {"mesh_head.bodies.mesh-toy.regressor", "hulk.decoder.places.bodies.mesh-toy.adjacency"} <= names
    loaded, report = HulkForMeshRecovery.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    same(loaded(pictures), model(pictures), atol=0, rtol=0)
    described = loaded.config.tasks["mesh-toy"]["body"]
    assert (described["restricted"], described["name"], described["license"]) == (False, "toy", "none")
    trunk = HulkModel.from_pretrained(tmp_path)
    states = model.hulk(pictures).last_hidden_state
    torch.testing.assert_close(trunk(pictures).last_hidden_state, states, atol=0, rtol=0)


@torch.no_grad()
def test_a_body_can_be_put_in_the_place_of_another(toy_body, pictures):
    body = toy_body(restricted=False)
    model = build(body)
    before = model(pictures)
    model.set_body("mesh-toy", replace(body, regressor=body.regressor.flip(0), restricted=True, faces=()))
    assert not [name for name in model.state_dict() if "bodies" in name]
    assert model.config.tasks["mesh-toy"]["body"]["restricted"] and model.mesh_head.bodies["mesh-toy"].faces(1) is None
    assert not torch.allclose(model(pictures).mesh_joints_3d, before.mesh_joints_3d)
    torch.testing.assert_close(model(pictures).camera, before.camera)


@torch.no_grad()
def test_the_open_body_runs_out_of_the_box(tmp_path):
    torch.manual_seed(0)
    model = HulkForMeshRecovery(HulkConfig(**SIZES, tasks=["mesh-open"])).eval()
    model.set_body("mesh-open", open_body())
    pictures = torch.randn(1, 3, 224, 224)
    outputs = model(pictures)
    assert outputs.mesh_joints_3d.shape == (1, 14, 3)
    assert [tuple(level.shape) for level in outputs.vertices] == [(1, 500, 3)]
    model.save_pretrained(tmp_path)
    same(HulkForMeshRecovery.from_pretrained(tmp_path)(pictures), outputs, atol=0, rtol=0)


def test_the_open_task_has_no_official_id():
    assert list(OFFICIAL_TASK_IDS) == list(range(24)) and "mesh-open" not in OFFICIAL_TASK_IDS.values()
    assert KNOWN_TASKS["mesh-open"].labels == KNOWN_TASKS["mesh-smpl"].labels


def test_two_bodies_share_the_head(body):
    other = HulkTask("mesh-other", "mesh", ("x",), (48, 32), body={"vertices": [4], "regressed_joints": 2})
    model = build(body, [toy_task(body), other])
    assert sorted(model.mesh_head.bodies) == ["mesh-other", "mesh-toy"]
    clash = replace(other, body={"vertices": [4, 8], "regressed_joints": 2})
    with pytest.raises(ValueError, match="one learned up-sampling"):
        build(body, [toy_task(body), clash])


def test_parts_load_from_a_checkpoint_of_several_families(toy_body, pictures, tmp_path):
    body = toy_body(restricted=False)
    pose = HulkTask("pose-toy", "pose", ("a", "b"), (48, 32))
    mesh = build(body, [toy_task(body), pose])
    mesh.save_pretrained(tmp_path)
    loaded, report = HulkForPoseEstimation.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert torch.equal(loaded.hulk.encoder.layernorm.weight, mesh.hulk.encoder.layernorm.weight)


@torch.no_grad()
def test_eager_and_sdpa_agree(model, pictures):
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    same(eager(pictures), model(pictures), atol=1e-5, rtol=1e-5)
    outputs = eager(pictures, output_decoder_attentions=True, output_decoder_hidden_states=True)
    assert [weights.shape[-2:] for weights in outputs.decoder_attentions] == [(17, 17), (11, 17)]
    assert [tuple(state.shape) for state in outputs.decoder_hidden_states] == [(3, 17, 32), (3, 11, 32)]


@torch.no_grad()
def test_a_batch_is_its_pictures(model, pictures):
    together = model(pictures)
    for index in range(3):
        alone = model(pictures[index : index + 1])
        for name in RESULTS:
            torch.testing.assert_close(getattr(together, name)[[index]], getattr(alone, name), atol=1e-5, rtol=1e-5)
    assert model(pictures[:0]).mesh_joints_3d.shape == (0, 3, 3)


@pytest.mark.slow
@torch.no_grad()
def test_the_whole_model_compiles_as_one_graph(body, pictures):
    torch._dynamo.reset()
    model = build(body, vision_config={**SIZES["vision_config"], "num_hidden_layers": 1})
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    same(compiled(pictures), model(pictures), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_half_precision_leaves_the_geometry_whole(model, body, pictures, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForMeshRecovery.from_pretrained(tmp_path, dtype=torch.bfloat16)
    half.set_body("mesh-toy", body)
    outputs = half(pictures.bfloat16())
    assert outputs.mesh_joints_3d.dtype == torch.float32
    torch.testing.assert_close(outputs.joints_3d, model(pictures).joints_3d, atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(pictures)
    regressed = body.regressor @ mixed.vertices[2]
    assert mixed.vertices[2].dtype == torch.float32
    shift = regressed[:, [3]] / (body.regressor.sum(1)[3] - 1)
    expected = regressed[:, [4, 1, 2]] - (body.regressor.sum(1)[[4, 1, 2], None] - 1) * shift
    torch.testing.assert_close(mixed.mesh_joints_3d, expected, atol=1e-4, rtol=1e-4)


def test_return_dict(model, pictures):
    with torch.no_grad():
        plain = model(pictures, return_dict=False)
        torch.testing.assert_close(plain[1], model(pictures).mesh_joints_3d)


def test_gradient_checkpointing_changes_nothing(model, pictures, labels):
    gradients = []
    for checkpointing in (False, True):
        trained = copy.deepcopy(model).train()
        if checkpointing:
            trained.activation_checkpointing_enable()
        torch.manual_seed(0)  # of drop path
        trained(pictures, labels=labels).loss.backward()
        gradients.append({name: value.grad for name, value in trained.named_parameters()})
    assert all(gradient is not None for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")


def test_a_loss_falls_under_training(model, pictures, labels):
    trained = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        outputs = trained(pictures, labels=labels)
        outputs.loss.backward()
        optimizer.step()
        losses.append(outputs.loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert outputs.loss.item() == pytest.approx(sum(term.item() for term in outputs.loss_dict.values()))


def test_adapters(model, body, pictures, labels, tmp_path):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=2, target_modules=LORA_TARGET_MODULES, modules_to_save=list(HulkForMeshRecovery.lora_modules_to_save)
    )
    tuned = peft.get_peft_model(copy.deepcopy(model), config)
    tuned(pictures, labels=labels).loss.backward()
    trained = {name for name, value in tuned.named_parameters() if value.grad is not None}
    assert any("lora_B" in name for name in trained)
    assert any("mesh_head.modules_to_save" in name for name in trained)
    with torch.no_grad():
        for name, value in tuned.named_parameters():
            if name in trained:
                value.add_(0.01 * value.grad.sign())
    tuned.eval().save_pretrained(tmp_path)
    assert not [name for name in load_file(tmp_path / "adapter_model.safetensors") if "bodies" in name]
    again = peft.PeftModel.from_pretrained(copy.deepcopy(model), tmp_path).eval()
    with torch.no_grad():
        same(again(pictures), tuned(pictures), atol=1e-6, rtol=1e-6)


def test_a_task_of_another_family_and_misspelt_arguments_are_refused(model, pictures):
    with pytest.raises(ValueError, match="no task 'pose'"):
        model(pictures, task="pose")
    with pytest.raises(TypeError, match="lables"):
        model(pictures, lables=None)
