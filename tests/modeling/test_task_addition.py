# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tasks that a trained model is given by the names of their labels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hulk_hf.modeling.label_text_hulk import encode_names
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.tasks_hulk import HulkTask

CLASSES = {
    "pose": HulkForPoseEstimation,
    "parsing": HulkForHumanParsing,
    "detection": HulkForPedestrianDetection,
    "attributes": HulkForAttributeRecognition,
    "action": HulkForActionRecognition,
}
RESULTS = {"pose": "heatmaps"}
HEADS = {"pose": "dense_head", "parsing": "dense_head", "detection": "box_head"}
NAMES = ["cat", "dog", "bird"]


@pytest.fixture(scope="module")
def make(made_uneven):
    """Makes models whose parts by task differ, as if they had learned something."""

    def build(family: str, config) -> torch.nn.Module:
        torch.manual_seed(0)
        return made_uneven(CLASSES[family](config).eval())

    return build


def result(model, family: str, inputs: dict, task: str | None = None) -> torch.Tensor:
    with torch.no_grad():
        outputs = model(**inputs, task=task)
    return getattr(outputs, RESULTS.get(family, "logits"))


@pytest.mark.parametrize("family", CLASSES)
def test_what_was_known_stays_and_what_is_new_can_be_said_learned_and_stored(
    make, every_family, family_inputs, family, tmp_path
):
    model = make(family, every_family())
    known = model.config.task(family=family)
    inputs, parameters = family_inputs[family], dict(model.named_parameters())
    before = result(model, family, inputs)
    task = model.add_task(f"{family}-pets", NAMES, text_features=torch.randn(3, 24))
    assert (task.labels, task.image_size, task.family) == (tuple(NAMES), known.image_size, family)
    assert torch.equal(result(model, family, inputs), before), "the default task is the one it was"
    after = dict(model.named_parameters())
    assert all(after[name] is parameter for name, parameter in parameters.items()), "changed in place"
    said = result(model, family, inputs, task.name)
    labels = 1 if family in ("pose", "parsing") else -1
    assert said.shape[labels] == 3 and said.isfinite().all()
    assert not model.training and not any(module.training for module in model.modules())

    new = [name for name in after if name not in parameters]
    model.train()
    outputs = model(**inputs, task=task.name)
    getattr(outputs, RESULTS.get(family, "logits")).square().sum().backward()
    assert all(after[name].grad is not None for name in new), "what is new can be trained"

    model.save_pretrained(tmp_path)
    again = CLASSES[family].from_pretrained(tmp_path)
    assert again.config.default_tasks[family] == known.name
    assert torch.equal(result(again, family, inputs, task.name), said)


@pytest.mark.parametrize("family", CLASSES)
@pytest.mark.parametrize("stored", [False, True], ids=["derived", "stored"])
def test_labels_that_are_known_by_other_names_are_found_as_before(make, every_family, family_inputs, family, stored):
    """With the features of known labels, a new task says what the old one says."""
    fields = {}
    if stored:
        sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
        decoder = {"hidden_size": 16, "grid_positions": "stored", "query_positions": "stored", **sizes}
        fields["decoder_config"] = decoder
        fields["skeleton_config"] = {"num_frames": 14, "num_joints": 5, "positions": "stored"}
    model = make(family, every_family(**fields))
    known = model.config.task(family=family)
    if family == "action":
        model.hulk.tokenizers["skeleton"].joint_text_features(known.name).normal_()
    features = getattr(model, HEADS.get(family, "text_head")).label_features(known.name)
    names = [f"known {index}" for index in range(known.num_labels)]
    model.add_task(f"{family}-again", names, like=known.name, text_features=features)
    expected = result(model, family, family_inputs[family])
    torch.testing.assert_close(result(model, family, family_inputs[family], f"{family}-again"), expected)


def test_labels_may_come_in_another_order_and_share_a_neighbour(make, every_family, family_inputs):
    model = make("pose", every_family())
    features = model.dense_head.label_features("pose-small")
    inputs = family_inputs["pose"]
    expected = result(model, "pose", inputs)
    model.add_task("pose-turned", ["c", "a", "b"], text_features=features[[2, 0, 1]])
    torch.testing.assert_close(result(model, "pose", inputs, "pose-turned"), expected[:, [2, 0, 1]])
    model.add_task("pose-twice", ["a", "b", "c", "left c"], text_features=features[[0, 1, 2, 2]] * 3)
    upsampler, known = model.dense_head.upsamplers["pose-twice"], model.dense_head.upsamplers["pose-small"]
    # The hidden channels hear the third label as loud as before, half from each of the two.
    torch.testing.assert_close(upsampler.deconv1.weight[2] + upsampler.deconv1.weight[3], known.deconv1.weight[2])
    assert torch.equal(upsampler.deconv2.weight[:, 3], known.deconv2.weight[:, 2])
    assert torch.equal(model.dense_head.norms["pose-twice"].weight[[2, 3]].unique(), known_norm(model)[[2]].unique())


def test_features_move_most_of_the_way_to_the_nearest_label_and_stay_apart(make, every_family):
    model = make("pose", every_family())
    known = F.normalize(model.dense_head.label_features("pose-small"), dim=1)
    far = torch.linalg.svd(known).Vh[-2:]  # at a right angle to all of them
    wanted = torch.stack([known[1] + far[0], known[1] + far[1], known[2]])
    model.add_task("pose-near", NAMES, text_features=wanted)
    model.add_task("pose-as-given", NAMES, text_features=wanted, blend=False)
    assert torch.equal(model.dense_head.label_features("pose-as-given"), wanted)
    moved = model.dense_head.label_features("pose-near")
    torch.testing.assert_close(moved, 0.9 * known[[1, 1, 2]] + 0.1 * F.normalize(wanted, dim=1))
    assert F.cosine_similarity(moved[0], moved[1], dim=0) < 0.999


def test_labels_that_trade_places_go_to_labels_that_do(make, every_family):
    """By itself, the right tip would be nearest to the left one of those that are known."""
    model = make("pose", every_family())
    features = torch.eye(24)
    model.add_task("pose-known", ["nose", "left eye", "right eye"], text_features=features[:3], blend=False)
    wanted = torch.stack([features[1], 0.6 * features[1] + 0.5 * features[2]])
    model.add_task("pose-new", ["left tip", "right tip"], "pose-known", text_features=wanted)
    moved = model.dense_head.label_features("pose-new")
    assert moved.argmax(dim=1).tolist() == [1, 2]
    tied = torch.stack([features[1] + features[2]] * 2)
    model.add_task("pose-tied", ["left tip", "right tip"], "pose-known", text_features=tied)
    assert model.dense_head.label_features("pose-tied").argmax(dim=1).tolist() == [1, 2]
    middle = torch.stack([features[0] + 0.1 * features[1], features[0] + 0.1 * features[2]])
    model.add_task("pose-middle", ["left tip", "right tip"], "pose-known", text_features=middle)
    assert model.dense_head.label_features("pose-middle").argmax(dim=1).tolist() == [0, 0]


def known_norm(model) -> torch.Tensor:
    return model.dense_head.norms["pose-small"].weight


def test_the_model_of_all_families_gets_tasks_too(every_family, family_inputs):
    torch.manual_seed(0)
    model = HulkForHumanAnalysis(every_family()).eval()
    inputs = family_inputs["attributes"]
    before = model(**inputs, tasks=["pose", "attributes"]).outputs
    task = model.add_task("attributes-pets", NAMES, text_encoder=lambda names: torch.randn(len(names), 24))
    outputs = model(**inputs, tasks=["pose", "attributes", "attributes-pets"]).outputs
    assert torch.equal(outputs["pose-small"].heatmaps, before["pose-small"].heatmaps)
    assert outputs["attributes-pets"].logits.shape == (2, 3)
    single = model.for_family("attributes")
    assert torch.equal(single(**inputs, task=task.name).logits, outputs["attributes-pets"].logits)
    wide = model.add_task(
        "pose-wide", ["nose", "left tip", "right tip"], "pose", text_features=torch.randn(3, 24), image_size=(96, 64)
    )
    assert wide.flip_pairs == ((1, 2),)
    assert model.for_family("pose")(torch.zeros(1, 3, 96, 64), task="pose-wide").heatmaps.shape == (1, 3, 24, 16)


def test_precision_and_device_are_those_of_the_model(make, every_family, family_inputs):
    model = make("attributes", every_family()).to(torch.bfloat16)
    model.add_task("attributes-pets", NAMES, text_features=torch.randn(3, 24))
    assert {tensor.dtype for tensor in (*model.parameters(), *model.text_head.buffers())} == {torch.bfloat16}
    pixel_values = family_inputs["attributes"]["pixel_values"].bfloat16()
    assert result(model, "attributes", {"pixel_values": pixel_values}, "attributes-pets").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pose-small", NAMES), r"name: there is a task 'pose-small' already"),
        (("pets", NAMES), r"no task 'pets' in this checkpoint"),
        (("hats-mine", NAMES, "pose"), r"name must be 'pose-' \(its family\)"),
        (("pose-pets", NAMES, "pose-nothing"), r"no task 'pose-nothing' in this checkpoint"),
        (("pose-pets", []), r"labels must be distinct and at least one"),
        (("pose-pets", ["a", "a", "b"]), r"labels must be distinct"),
        (("pose-pets", "nose"), r"labels: expected a list of names, got one string 'nose'"),
        (("pose-pets", ["a", "b"]), r"text_features: expected shape \(2, 24\).*got \(3, 24\)"),
        (("mesh-pets", NAMES), r"like: tasks of family 'mesh' have no label names"),
        (("caption-pets", NAMES), r"like: tasks of family 'caption' have no label names"),
    ],
)
def test_a_task_that_does_not_fit_is_refused_and_changes_nothing(every_family, arguments, message):
    model = HulkForHumanAnalysis(every_family())
    before = set(model.state_dict())
    with pytest.raises(ValueError, match=message):
        model.add_task(*arguments, text_features=torch.randn(3, 24))
    assert set(model.state_dict()) == before and len(model.config.tasks) == len(model.hulk.tasks) == 9


def test_features_are_given_once_and_fields_have_to_exist(every_family):
    model = HulkForPoseEstimation(every_family())
    with pytest.raises(ValueError, match=r"text_encoder, text_features: expected one of the two, got neither"):
        model.add_task("pose-pets", NAMES)
    with pytest.raises(ValueError, match=r"text_encoder, text_features: expected one of the two, got both"):
        model.add_task("pose-pets", NAMES, text_encoder=len, text_features=torch.randn(3, 24))
    with pytest.raises(ValueError, match=r"unknown fields \['sigma'\]"):
        model.add_task("pose-pets", NAMES, text_features=torch.randn(3, 24), sigma=[1, 2, 3])
    with pytest.raises(ValueError, match=r"encoder: expected a function that gives 3 rows for 3 names"):
        model.add_task("pose-pets", NAMES, text_encoder=lambda names: torch.zeros(24))
    with pytest.raises(TypeError, match=r"HulkModel has no head"):
        HulkModel(every_family()).add_task("pose-pets", NAMES, text_features=torch.randn(3, 24))
    model.add_task("pose-pets", NAMES, text_features=torch.randn(3, 24), sigmas=[0.1, 0.2, 0.3])
    assert model.hulk.tasks["pose-pets"].sigmas == (0.1, 0.2, 0.3)
    assert isinstance(model.config.task("pose-pets"), HulkTask)


def test_names_are_encoded_by_a_sentence_encoder_or_as_for_the_released_weights(tmp_path):
    """A small BERT of random weights: padding changes nothing, and the two ways differ."""
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "left", "right", "hand", "nose"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    together = encode_names(["left hand", "nose"], str(tmp_path))
    assert together.shape == (2, 16) and together.dtype == torch.float32
    torch.testing.assert_close(encode_names(["nose"], str(tmp_path))[0], together[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(2))
    pooled = encode_names(["left hand", "nose"], str(tmp_path), pooling="pooler")
    assert pooled.shape == (2, 16) and F.cosine_similarity(pooled, together).max() < 0.99
    with pytest.raises(ValueError, match=r"pooling: expected 'mean' or 'pooler', got 'max'"):
        encode_names(["nose"], str(tmp_path), pooling="max")
    with pytest.raises(ValueError, match=r"labels: expected a list of names, got 'nose'"):
        encode_names("nose", str(tmp_path))
