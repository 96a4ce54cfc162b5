# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What new heads start from."""

from __future__ import annotations

import pytest
import torch

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.positions_hulk import resize_table
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.synthetic.tasks import SYNTHETIC_SETTINGS, SYNTHETIC_TASKS
from hulk_hf.training.initialization import initialize_from_scratch, set_label_features, settle_heads
from hulk_hf.training.label_features import label_names, load_joint_features, load_label_features

LABELLED = [name for name, task in SYNTHETIC_TASKS.items() if task.family != "mesh"]


def build(tasks: list[HulkTask]) -> HulkForHumanAnalysis:
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = HulkConfig.preset(
        "hulk-tiny",
        vision_config={"hidden_size": 32, **sizes},
        decoder_config={"hidden_size": 128, **sizes},
        tasks=tasks,
        **SYNTHETIC_SETTINGS,
    )
    torch.manual_seed(0)
    return HulkForHumanAnalysis(config)


@pytest.fixture(scope="module")
def model() -> HulkForHumanAnalysis:
    model = build(list(SYNTHETIC_TASKS.values()))
    initialize_from_scratch(model, {name: load_label_features(name) for name in LABELLED})
    return model


@pytest.mark.parametrize("task", LABELLED)
def test_every_label_has_a_feature_of_unit_length(task):
    features = load_label_features(task)
    assert features.shape == (SYNTHETIC_TASKS[task].num_labels, 384) == (len(label_names(task)), 384)
    assert torch.allclose(features.norm(dim=1), torch.ones(len(features)), atol=1e-2)
    assert len(features.unique(dim=0)) == len(features)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no label features are shipped"):
        load_label_features("pose-mine")
    with pytest.raises(ValueError, match="30522 words"):
        label_names("caption-joint")


def test_features_of_joints_keep_their_distances_at_another_width():
    features, turned = load_label_features("pose-coco"), load_joint_features(32)
    scale = turned.square().sum() / features.square().sum()
    assert torch.allclose(turned @ turned.T, features @ features.T * scale, atol=1e-2)
    assert torch.equal(turned, load_joint_features(32))


def test_anchors_stand_where_their_queries_do(model):
    """A table of the middles of the patches, resized as those of queries are, gives their places."""
    task = SYNTHETIC_TASKS["detection-synthetic"]
    rows, columns = model.hulk.decoder.places.base_grid(task)
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    side = task.anchors_per_side
    places = resize_table(torch.stack([x, y], dim=-1).flatten(0, 1), (rows, columns), (side, side))
    anchors = model.box_head.anchors(task.name)[:, :2]
    assert torch.allclose(anchors, places, atol=0.05)  # at the border, cubic resizing bends
    boxes = model.for_family("detection")(torch.zeros(1, 3, 192, 256)).pred_boxes[0]
    middle = boxes[(side // 2) * side + side // 2]
    assert middle[3] > middle[2] > 0.05  # about as large as a person


def test_what_detection_tasks_share_is_left_alone_where_one_is_there():
    other = HulkTask(
        "detection-mine", "detection", ("dog",), image_size=(64, 64), anchors_per_side=4, anchor_patterns=1
    )
    both = build([SYNTHETIC_TASKS["detection-synthetic"], other])
    with torch.no_grad():
        both.box_head.logit_bias.fill_(0.7)
    settle_heads(both, ["detection-mine"])
    assert both.box_head.logit_bias.item() == pytest.approx(0.7)
    assert both.box_head.anchors("detection-mine")[1].tolist() == pytest.approx([3 / 8, 1 / 8, 0])


def test_features_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match="expected shape"):
        set_label_features(model, {name: torch.zeros(2, 384) for name in LABELLED})
