# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Detection: pictures of any size, padding, boxes, loading. That its numbers are the official ones: conversion."""

from __future__ import annotations

import csv
import json
import logging
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch._dynamo.testing import CompileCounter
from torch.nn import functional as F

from hulk_hf.modeling.boxes_hulk import centers_to_corners
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.head_box_hulk import HulkBoxHead, anchor_grid
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection, read_detection
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.positions_hulk import bicubic_weights, stretched_sincos_2d
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.modeling.tasks_hulk import HulkTask

VISION = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
DECODER = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
STREET = HulkTask("detection-street", "detection", ("person",), image_size=(96, 128), anchors_per_side=3)
ROOM = HulkTask(
    "detection-room", "detection", ("person", "head"), image_size=(64, 64), anchors_per_side=3, anchor_patterns=3
)
SIZES = ((70, 90), (50, 64), (33, 97))  # no side is a multiple of a patch; the batch is 70x97


def small_config(**fields) -> HulkConfig:
    vision, decoder = VISION | fields.pop("vision", {}), DECODER | fields.pop("decoder", {})
    settings = {"tasks": [STREET, ROOM], "text_feature_size": 24, **fields}
    return HulkConfig(vision_config={"drop_path_rate": 0.0, **vision}, decoder_config=decoder, **settings)


def build(config: HulkConfig | None = None) -> HulkForPedestrianDetection:
    """A model whose every parameter matters: norms, biases and tokens are not at their neutral initial values."""
    torch.manual_seed(0)
    model = HulkForPedestrianDetection(small_config() if config is None else config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def model() -> HulkForPedestrianDetection:
    return build()


@pytest.fixture(scope="module")
def pictures() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 3, *size, generator=generator) for size in SIZES]


def padded(pictures: list[torch.Tensor], fill: float = 0.0) -> dict[str, torch.Tensor]:
    """One batch of pictures of different sizes."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (2, 3))
    batch = {
        "pixel_values": torch.full((len(pictures), 3, height, width), fill),
        "pixel_mask": torch.zeros(len(pictures), height, width, dtype=torch.long),
    }
    for index, picture in enumerate(pictures):
        rows, columns = picture.shape[2:]
        batch["pixel_values"][index, :, :rows, :columns] = picture[0]
        batch["pixel_mask"][index, :rows, :columns] = 1
    return batch


@pytest.fixture(scope="module")
def batch(pictures) -> dict[str, torch.Tensor]:
    return padded(pictures)


@pytest.fixture(scope="module")
def labels() -> list[dict[str, torch.Tensor]]:
    def label(boxes, crowd):
        boxes = torch.tensor(boxes).reshape(-1, 4)
        return {"boxes": boxes, "class_labels": torch.zeros(len(boxes)), "iscrowd": torch.tensor(crowd).bool()}

    return [
        label([[0.3, 0.5, 0.2, 0.6], [0.7, 0.5, 0.3, 0.5], [0.5, 0.5, 0.2, 0.2]], [0, 0, 1]),
        label([[0.5, 0.6, 0.2, 0.3]], [0]),
        label([], []),
    ]


@torch.no_grad()
def detect(model, pixel_values, pixel_mask=None, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = model(pixel_values, pixel_mask=pixel_mask, **kwargs)
    return outputs.logits, outputs.pred_boxes


def assert_same(ours, other) -> None:
    """Equal but for rounding: weights that lie elsewhere in memory may take another way through the processor."""
    torch.testing.assert_close(ours, other, atol=1e-6, rtol=1e-5)


# The whole network, written plainly


def plain_attention(module, queries, keys, values, heads, mask=None):
    """Multi-head attention with an explicit mask, True where a row may look."""
    q, k, v = (
        projection(x).unflatten(-1, (heads, -1)).transpose(1, 2)
        for projection, x in ((module.q_proj, queries), (module.k_proj, keys), (module.v_proj, values))
    )
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return module.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


def plain_places(dim, base, grid, valid):
    """The table of the base resized to the padded grid, and that again to the part which the picture fills."""
    table = stretched_sincos_2d(dim, *base).T.reshape(1, dim, *base)
    table = F.interpolate(table, size=grid, mode="bicubic")
    part = F.interpolate(table, size=valid, mode="bicubic")
    table = table.clone()
    table[..., : valid[0], : valid[1]] = part
    return table.flatten(2)[0].T


@torch.no_grad()
def plain_forward(model, task, pixel_values, pixel_mask):
    """Spec 2.2 to 2.10 for one padded picture: token by token where the network has a structure."""
    trunk, head = model.hulk, model.box_head
    height, width = pixel_values.shape[-2:]
    grid = -(-height // 16), -(-width // 16)
    canvas = torch.zeros(1, 3, grid[0] * 16, grid[1] * 16)
    canvas[..., :height, :width] = pixel_values * pixel_mask
    seen = torch.zeros(grid, dtype=torch.bool)
    for row in range(grid[0]):
        for column in range(grid[1]):
            seen[row, column] = bool(pixel_mask[row * 16, column * 16])
    valid = int(seen[:, 0].sum()), int(seen[0].sum())
    base = task.image_size[0] // 16, task.image_size[1] // 16

    x = trunk.tokenizers["image"].projection(canvas).flatten(2).mT
    x = x + plain_places(48, base, grid, valid) + trunk.tokenizers["image"].modality_embedding.weight
    for layer in trunk.encoder.layers:
        normed = layer.layernorm_before(x)
        x = x + plain_attention(layer.attention, normed, normed, normed, 4)
        x = x + layer.mlp.fc2(F.gelu(layer.mlp.fc1(layer.layernorm_after(x))))
    x = trunk.neck.projection(trunk.encoder.layernorm(x))

    side, tokens = task.anchors_per_side, grid[0] * grid[1]
    queries = torch.cat([row.expand(side * side, -1) for row in trunk.decoder.queries["detection"].weight])
    x = torch.cat([x, queries[None]], dim=1)
    own = stretched_sincos_2d(32, *base).T.reshape(1, 32, *base)
    anchors = F.interpolate(own, size=(side, side), mode="bicubic").flatten(2)[0].T
    places = torch.cat([plain_places(32, base, grid, valid), anchors.repeat(len(queries) // side**2, 1)])
    positions = trunk.decoder.position_mlp_2d(places)
    mask = torch.zeros(x.shape[1], x.shape[1], dtype=torch.bool)
    mask.fill_diagonal_(True)
    mask[tokens:, :tokens] = seen.flatten()
    mask[tokens:, tokens:] = True
    for layer in trunk.decoder.layers:
        placed = x + positions
        x = layer.attention_layernorm(x + plain_attention(layer.attention, placed, placed, x, 4, mask))
        x = layer.mlp_layernorm(x + layer.mlp.fc2(F.relu(layer.mlp.fc1(x))))
    states = trunk.decoder.layernorm(x)[0, tokens:]

    labels = F.normalize(head.label_proj(head.label_features(task.name)), dim=-1)
    logits = F.normalize(head.query_proj(states), dim=-1) @ labels.T * head.logit_scale + head.logit_bias
    boxes = []
    for query, state in enumerate(states):
        o = head.mlp[2](F.relu(head.mlp[1](F.relu(head.mlp[0](state)))))
        cell = query % side**2
        center = torch.tensor([(cell // side + 0.5) / side, (cell % side + 0.5) / side])  # x slow, y fast
        first, second = ((o[start : start + 2] + center.logit()).sigmoid() for start in (0, 3))
        low, high = torch.minimum(first, second), torch.maximum(first, second)
        boxes.append(torch.cat([(low + high) / 2, high - low]))
    return logits, torch.stack(boxes)


@pytest.mark.parametrize("task", [STREET, ROOM], ids=lambda task: task.name)
def test_the_network_is_that_of_a_plain_transcription(model, batch, task):
    logits, boxes = detect(model, **batch, task=task.name)
    assert logits.shape == (3, 27, task.num_labels) and boxes.shape == (3, 27, 4)
    for index in range(3):
        expected = plain_forward(model, task, batch["pixel_values"][index], batch["pixel_mask"][index])
        torch.testing.assert_close((logits[index], boxes[index]), expected, atol=1e-5, rtol=1e-5)


# Sizes and padding


def test_without_padding_a_batch_equals_its_rows(model):
    pixels = torch.randn(3, 3, 50, 75)
    rows = [detect(model, picture[None]) for picture in pixels]
    expected = tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
    torch.testing.assert_close(detect(model, pixels), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        detect(model, pixels, torch.ones(3, 50, 75)), detect(model, pixels), atol=0, rtol=0, msg="a mask of ones"
    )


def test_masked_padding_makes_a_batch_equal_its_rows(pictures, batch):
    model = build(small_config(vision={"mask_padding": True}))
    logits, boxes = detect(model, **batch)
    for index, picture in enumerate(pictures):
        expected = detect(model, picture)
        ours = logits[index : index + 1], boxes[index : index + 1]
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_as_released_the_encoder_looks_at_padding(model, pictures, batch):
    logits, _ = detect(model, **batch)
    alone, _ = detect(model, pictures[1])
    assert (logits[1:2] - alone).abs().max() > 1e-3


@pytest.mark.parametrize("mask_padding", [False, True])
def test_what_lies_in_the_padding_changes_nothing(pictures, batch, mask_padding):
    model = build(small_config(vision={"mask_padding": mask_padding}))
    torch.testing.assert_close(detect(model, **padded(pictures, fill=7.0)), detect(model, **batch), atol=0, rtol=0)


def test_pictures_of_any_size(model):
    for size in ((1, 1), (16, 200), (96, 128), (300, 31)):
        logits, boxes = detect(model, torch.randn(1, 3, *size))
        assert logits.isfinite().all() and ((boxes >= 0) & (boxes <= 1)).all()


def test_no_picture_is_no_error(model):
    logits, boxes = detect(model, torch.zeros(0, 3, 32, 32))
    assert logits.shape == (0, 27, 1) and boxes.shape == (0, 27, 4)


@pytest.mark.parametrize("source", [5, 84])
def test_bicubic_weights_are_those_of_interpolate(source):
    table = torch.randn(source, 7).double()
    sizes = torch.tensor([1, 3, source, source + 4])
    weights = bicubic_weights(source, sizes, source + 6)
    assert weights.shape == (4, source + 6, source) and weights.dtype == torch.float32
    for size, matrix in zip(sizes.tolist(), weights.double(), strict=True):
        image = table.T.reshape(1, 7, source, 1)
        expected = F.interpolate(image, size=(size, 1), mode="bicubic")[0, ..., 0].T
        torch.testing.assert_close(matrix[:size] @ table, expected, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 32, 32), "shape"),
        (torch.ones(1, 32, 48), "shape"),
        (torch.zeros(1, 32, 32), "top left"),
        (1 - torch.ones(1, 32, 32).tril(), "top left"),
        (torch.ones(1, 32, 32).tril(), "top left"),
    ],
)
def test_masks_that_would_be_misread_are_refused(model, mask, message):
    with pytest.raises(ValueError, match=f"pixel_mask.*{message}"):
        model(torch.zeros(1, 3, 32, 32), pixel_mask=mask)


# Head and outputs


def test_anchors_are_cell_centers_with_x_slow():
    anchors = anchor_grid(3)
    assert anchors.shape == (9, 3) and not anchors[:, 2].any()
    torch.testing.assert_close(anchors[1, :2], torch.tensor([1 / 6, 3 / 6]))
    torch.testing.assert_close(anchors[3, :2], torch.tensor([3 / 6, 1 / 6]))


def test_a_new_head_scales_similarities_by_four_and_puts_boxes_around_their_anchors():
    model = HulkForPedestrianDetection(small_config())
    assert model.box_head.logit_scale.item() == 4 and model.box_head.logit_bias.item() == 0
    with torch.no_grad():
        model.box_head.mlp[2].weight.zero_()
        _, boxes = model.box_head(torch.randn(2, 27, 32), "detection-street")
    torch.testing.assert_close(boxes[..., :2], anchor_grid(3)[:, :2].repeat(3, 1).expand(2, -1, -1))
    torch.testing.assert_close(boxes[..., 2:], torch.zeros(2, 27, 2), atol=1e-6, rtol=0)


def test_corners_are_sorted_on_each_axis_by_itself():
    head = HulkBoxHead(small_config(), [STREET])
    with torch.no_grad():
        head.mlp[2].weight.zero_()
        head.mlp[2].bias.copy_(torch.tensor([2.0, -1.0, 0.0, -1.0, 1.0, 1.0]))
        points = head.points(torch.zeros(1, 27, 32), "detection-street")
    assert points.shape == (1, 27, 2, 3)
    center = points[0, 4]  # the anchor in the middle, whose logit is 0
    expected = torch.tensor([[-1.0, -1.0], [2.0, 1.0]]).sigmoid()
    torch.testing.assert_close(center[:, :2], expected)


def test_labels_add_loss_and_auxiliary_outputs(model, batch, labels):
    outputs = model(**batch, labels=labels)
    names = [f"{name}{suffix}" for suffix in ("", "_aux_0", "_aux_1") for name in ("class", "box", "giou")]
    assert list(outputs.loss_dict) == names
    torch.testing.assert_close(outputs.loss, sum(outputs.loss_dict.values()))
    assert [sorted(layer) for layer in outputs.auxiliary_outputs] == [["logits", "pred_boxes"]] * 2
    assert outputs.auxiliary_outputs[0]["pred_boxes"].shape == (3, 27, 4)
    plain = model(**batch)
    assert plain.loss is plain.loss_dict is plain.auxiliary_outputs is None
    torch.testing.assert_close(plain.logits, outputs.logits)
    doubled = model(**batch, labels=labels, num_boxes=6)
    torch.testing.assert_close(doubled.loss, outputs.loss / 2)  # there are three


def test_one_trunk_pass_can_be_read_again(model, batch):
    task = model.hulk.resolve_task("detection-room")
    outputs = model.hulk(**batch, task=task.name)
    read = read_detection(model, outputs, task, model.hulk.prepare(task, **batch))
    torch.testing.assert_close((read.logits, read.pred_boxes), detect(model, **batch, task="detection-room"))


def test_optional_outputs_and_plain_tuples(batch):
    model = build(small_config(attn_implementation="eager"))
    outputs = model(
        **batch,
        output_hidden_states=True,
        output_attentions=True,
        output_decoder_hidden_states=True,
        output_decoder_attentions=True,
    )
    tokens = 5 * 7
    assert [state.shape for state in outputs.hidden_states] == [(3, tokens, 48)] * 4
    assert [weights.shape for weights in outputs.attentions] == [(3, 4, tokens, tokens)] * 3
    assert [state.shape[1] for state in outputs.decoder_hidden_states] == [tokens + 27, tokens + 27, 27]
    assert [weights.shape for weights in outputs.decoder_attentions] == [(3, 4, 27, tokens + 27)] * 3
    assert not outputs.decoder_attentions[0][1, :, :, :tokens].view(4, 27, 5, 7)[..., 4:].any(), "padding is not seen"
    first, second, *_ = model(**batch, return_dict=False)
    torch.testing.assert_close((first, second), (outputs.logits, outputs.pred_boxes))


def test_the_detector_of_transformers_reads_the_output(model, batch):
    """As the object-detection pipeline does; the names are those of DETR."""
    transformers = pytest.importorskip("transformers")
    processor = transformers.DeformableDetrImageProcessor()
    with torch.no_grad():
        outputs = model(**batch)
    sizes = torch.tensor(SIZES)
    found = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes, top_k=27)
    for index, (height, width) in enumerate(SIZES):
        best = outputs.logits[index, :, 0].argmax()
        corners = centers_to_corners(outputs.pred_boxes[index, best]) * torch.tensor([width, height, width, height])
        torch.testing.assert_close(found[index]["boxes"][0], corners)
        assert model.config.id2label[found[index]["labels"][0].item()] == "person"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pixel_values": torch.zeros(1, 3, 32, 32, dtype=torch.uint8)}, ValueError, "floating"),
        ({"pixel_values": torch.zeros(3, 32, 32)}, ValueError, "pixel_values"),
        ({"pixel_values": torch.zeros(1, 1, 32, 32)}, ValueError, "pixel_values"),
        ({"pixel_values": torch.zeros(1, 3, 0, 32)}, ValueError, "pixel_values"),
        ({"pixel_values": torch.zeros(1, 3, 32, 32), "task": "detection-sea"}, ValueError, "detection-sea"),
        ({"pixel_values": torch.zeros(1, 3, 32, 32), "lables": []}, TypeError, "lables"),
        ({"pixel_values": torch.zeros(1, 3, 32, 32), "labels": []}, ValueError, "labels"),
    ],
)
def test_inputs_that_would_be_misread_are_refused(model, arguments, error, message):
    with pytest.raises(error, match=message):
        model(**arguments)


def test_a_configuration_without_detection_is_refused():
    with pytest.raises(ValueError, match="detection"):
        HulkForPedestrianDetection(small_config(tasks=["pose-coco"]))


# Loading


def test_a_saved_model_gives_the_same_outputs(model, batch, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, info = HulkForPedestrianDetection.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    for task in ("detection-street", "detection-room"):
        assert_same(detect(loaded, **batch, task=task), detect(model, **batch, task=task))
    assert not [name for name, tensor in [*loaded.named_parameters(), *loaded.named_buffers()] if tensor.is_meta]


def test_published_names_are_those_of_the_contract(model):
    names = set(model.state_dict())
    assert {name for name in names if name.startswith("box_head")} == {
        "box_head.query_proj.weight",
        "box_head.label_proj.weight",
        "box_head.logit_scale",
        "box_head.logit_bias",
        *(f"box_head.mlp.{index}.{part}" for index in range(3) for part in ("weight", "bias")),
        *(
            f"box_head.{part}.detection-{task}"
            for part in ("label_features", "anchors")
            for task in ("street", "room")
        ),
    }
    assert model.state_dict()["hulk.decoder.queries.detection.weight"].shape == (3, 32)
    assert model.state_dict()["box_head.anchors.detection-street"].shape == (9, 3)
    assert not [name for name in names if "table" in name or "places" in name or "position_mlp_1d" in name]


def test_anchors_of_a_checkpoint_are_kept_and_missing_ones_computed(batch, tmp_path):
    model = build()
    with torch.no_grad():
        model.box_head.anchors("detection-street").uniform_()
    model.save_pretrained(tmp_path)
    loaded = HulkForPedestrianDetection.from_pretrained(tmp_path)
    assert torch.equal(loaded.box_head.anchors("detection-street"), model.box_head.anchors("detection-street"))
    assert_same(detect(loaded, **batch), detect(model, **batch))
    path = tmp_path / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("box_head")}
    save_file(kept, path, {"format": "pt"})
    fresh, info = HulkForPedestrianDetection.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == {name for name in model.state_dict() if name.startswith("box_head")}
    assert torch.equal(fresh.box_head.anchors("detection-street"), anchor_grid(3))
    assert fresh.box_head.logit_scale.item() == 4 and fresh.box_head.logit_bias.item() == 0
    assert 0.5 < fresh.box_head.label_features("detection-room").std() < 1.5


def test_trunk_and_task_class_load_each_others_files(model, batch, tmp_path, caplog):
    model.save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING):
        trunk = HulkModel.from_pretrained(tmp_path / "head")
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    with torch.no_grad():
        expected = model.hulk(**batch).last_hidden_state
        assert_same(trunk(**batch).last_hidden_state, expected)
        trunk.save_pretrained(tmp_path / "trunk")
        headed, info = HulkForPedestrianDetection.from_pretrained(tmp_path / "trunk", output_loading_info=True)
        assert {name.split(".")[0] for name in info["missing_keys"]} == {"box_head"}
        assert not info["unexpected_keys"] and not info["mismatched_keys"]
        assert_same(headed.hulk(**batch).last_hidden_state, expected)


def test_the_parts_of_other_families_are_passed_over_in_silence(model, batch, tmp_path, caplog):
    """One class loads its part of the universal file."""
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    others = (
        "text_head.query_proj.weight",
        "dense_head.norms.pose-coco.weight",
        "mesh_head.coordinates.bias",
        "caption_head.token_proj.weight",
        "hulk.tokenizers.skeleton.projection.weight",
        "hulk.tokenizers.image.position_tables.parsing-lip.weight",
        "hulk.decoder.queries.parsing.weight",
        "hulk.decoder.position_mlp_1d.fc1.weight",
        "hulk.decoder.places.bodies.mesh-smpl.flat",
        "hulk.decoder.places.queries.attributes-joint.weight",
    )
    save_file(load_file(path) | {name: torch.zeros(1) for name in others}, path, {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config["tasks"]["pose-own"] = {"family": "pose", "labels": ["a", "b"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        loaded = HulkForPedestrianDetection.from_pretrained(tmp_path)
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert_same(detect(loaded, **batch), detect(model, **batch))
    assert list(loaded.hulk.decoder.queries) == ["detection"]


def test_loading_in_bfloat16_keeps_places_exact(model, batch, labels, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForPedestrianDetection.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert torch.equal(half.box_head.anchors("detection-street"), anchor_grid(3))
    (logits, boxes), (exact_logits, exact_boxes) = detect(half, **batch), detect(model, **batch)
    assert logits.dtype == torch.bfloat16 and boxes.dtype == torch.float32
    assert (logits.float() - exact_logits).abs().max() < 0.1 and (boxes - exact_boxes).abs().max() < 0.01
    loss = half(**batch, labels=labels).loss
    loss.backward()
    assert loss.isfinite()


def test_a_model_turned_into_bfloat16_takes_padded_pictures():
    """Its position tables are bfloat16 then; here the batch is as large as the table of the task."""
    model = build().to(torch.bfloat16)
    mask = torch.ones(1, 64, 64)
    mask[:, 40:] = 0
    logits, _ = detect(model, torch.randn(1, 3, 64, 64), mask, task="detection-room")
    assert logits.isfinite().all()


def test_parameter_counts_are_those_of_the_official_model(shared):
    """All live tensors of an official file, anchors and label features included."""
    with open(shared / "checkpoint" / "keys_full_task4.tsv", encoding="utf-8", newline="") as file:
        shapes = {row["key"]: json.loads(row["shape"]) for row in csv.DictReader(file, delimiter="\t")}
    unused = (
        r"global_tokens|neck_label|level_embed|class_embed|mask_embed|adapter_sparse|proj_rgb|adapt_pos1d"
        r"|post_mul_norm|pos_embed|query_embed"
    )
    live = sum(torch.Size(shape).numel() for key, shape in shapes.items() if not re.search(unused, key))
    with torch.device("meta"):
        network = HulkForPedestrianDetection(HulkConfig.preset("hulk-base", tasks=["detection-joint"]))
    ours = sum(tensor.numel() for tensor in network.state_dict().values())
    assert ours == live and f"{ours / 1e6:.2f}" == "98.21"


# Numerics and training


def test_eager_and_sdpa_agree(batch, labels):
    model = build(small_config(vision={"mask_padding": True}))
    results = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        model.zero_grad()
        outputs = model(**batch, labels=labels)
        outputs.loss.backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append((outputs.logits.detach(), outputs.pred_boxes.detach(), gradients))
    torch.testing.assert_close(results[0][:2], results[1][:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(results[0][2], results[1][2], atol=1e-5, rtol=1e-4)


def test_the_whole_model_is_one_graph(batch):
    """Padding included: the sizes of the pictures are data, so batches of other sizes share the graph."""
    layers = {"num_hidden_layers": 1}
    model = build(small_config(vision={"mask_padding": True, **layers}, decoder=layers))
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for pixel_mask in (batch["pixel_mask"], batch["pixel_mask"].flip(0), torch.ones_like(batch["pixel_mask"])):
        pixels = batch["pixel_values"]
        torch.testing.assert_close(
            detect(compiled, pixels, pixel_mask), detect(model, pixels, pixel_mask), atol=1e-5, rtol=1e-5
        )
    assert counter.frame_count == 1
    torch.testing.assert_close(detect(compiled, pixels), detect(model, pixels), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(batch, labels, reentrant):
    model = build().train()
    model(**batch, labels=labels).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    pixels = batch["pixel_values"].clone().requires_grad_(reentrant)  # re-entrant checkpoints need such an input
    model(pixels, pixel_mask=batch["pixel_mask"], labels=labels).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-6, rtol=1e-5)


def test_every_trained_parameter_gets_a_gradient(batch, labels):
    model = build(small_config(decoder={"modality_embedding": True})).train()
    model(**batch, labels=labels).loss.backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and not p.grad.any()]
    assert not any(tensor.requires_grad for tensor in model.box_head.anchors.buffers())


def test_training_finds_the_boxes(batch, labels):
    model = build(small_config(tasks=[STREET])).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_lora_trains_saves_and_merges_to_the_same_outputs(batch, labels, tmp_path):
    peft = pytest.importorskip("peft")
    build().save_pretrained(tmp_path / "base")
    base = HulkForPedestrianDetection.from_pretrained(tmp_path / "base")
    config = peft.LoraConfig(
        r=4, target_modules=LORA_TARGET_MODULES, modules_to_save=list(HulkForPedestrianDetection.lora_modules_to_save)
    )
    adapted = peft.get_peft_model(base, config).train()
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "box_head" in name for name in trained)
    assert sum("lora_A" in name for name in trained) == 2 * 6
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        adapted(**batch, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    expected = detect(adapted.eval(), **batch)
    adapted.save_pretrained(tmp_path / "adapter")
    again = HulkForPedestrianDetection.from_pretrained(tmp_path / "base")
    assert not torch.allclose(detect(again, **batch)[0], expected[0], atol=1e-3)
    reloaded = peft.PeftModel.from_pretrained(again, tmp_path / "adapter").eval()
    assert_same(detect(reloaded, **batch), expected)
    torch.testing.assert_close(detect(reloaded.merge_and_unload(), **batch), expected, atol=1e-5, rtol=1e-5)
