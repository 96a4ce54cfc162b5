# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""All heads over one trunk: the universal checkpoint, shared passes of the encoder, and views of one family."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import pipeline

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.synthetic.open_body import open_body

CLASSES = {
    "pose": HulkForPoseEstimation,
    "parsing": HulkForHumanParsing,
    "detection": HulkForPedestrianDetection,
    "attributes": HulkForAttributeRecognition,
    "action": HulkForActionRecognition,
    "mesh": HulkForMeshRecovery,
    "caption": HulkForCaptioning,
}
FAMILIES = pytest.mark.parametrize("family", CLASSES)
SAME_SIZE = ["pose", "attributes", "caption", "pose-other"]


@torch.no_grad()
def shake(model):
    """Let every parameter matter: norms, biases and tokens are not at their neutral initial values."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def build(config: HulkConfig) -> HulkForHumanAnalysis:
    torch.manual_seed(0)
    model = HulkForHumanAnalysis(config)
    if "mesh" in config.default_tasks:
        model.set_body("mesh-open", open_body())
    return shake(model)


@pytest.fixture(scope="module")
def model(every_family) -> HulkForHumanAnalysis:
    """Tests must not change it."""
    return build(every_family())


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    """The universal checkpoint."""
    path = tmp_path_factory.mktemp("universal")
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def inputs(family_inputs) -> dict[str, torch.Tensor]:
    """Family -> input of its own size."""
    return {family: next(iter(given.values())) for family, given in family_inputs.items()}


def name_of(family: str) -> str:
    """The argument that inputs of a family go into."""
    return "skeletons" if family == "action" else "pixel_values"


def tensors(output) -> dict[str, torch.Tensor]:
    """The tensors of an output by name, those in tuples by their place."""
    found = {}
    for name, value in output.items():
        parts = value if isinstance(value, tuple) else [value]
        found |= {f"{name}.{i}": part for i, part in enumerate(parts) if isinstance(part, torch.Tensor)}
    return found


def assert_same(ours, other) -> None:
    found, expected = tensors(ours), tensors(other)
    assert found.keys() == expected.keys() and found
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


# The universal checkpoint


@FAMILIES
def test_each_class_loads_its_part_of_it_silently(model, folder, inputs, family, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        single, info = CLASSES[family].from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    whole = model.state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in single.state_dict().items())
    with torch.no_grad():
        ours = model(**{name_of(family): inputs[family]}, tasks=[family]).outputs[model.config.default_tasks[family]]
        theirs = single(inputs[family])
    assert type(ours) is type(theirs)
    assert_same(ours, theirs)


def test_it_holds_what_the_classes_hold_and_nothing_else(model):
    parts = [CLASSES[family](model.config).state_dict() for family in CLASSES]
    assert set(model.state_dict()) == set().union(*parts)


def test_the_trunk_loads_its_part_of_it_silently(model, folder):
    trunk, info = HulkModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert all(torch.equal(tensor, model.hulk.state_dict()[name]) for name, tensor in trunk.state_dict().items())


def test_it_is_saved_and_loaded_without_a_change(model, folder, inputs):
    loaded, info = HulkForHumanAnalysis.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert loaded.config.to_dict().keys() == model.config.to_dict().keys()
    with torch.no_grad():
        ours = model(inputs["pose"], inputs["action"], tasks=[*SAME_SIZE, "action"]).outputs
        theirs = loaded(inputs["pose"], inputs["action"], tasks=[*SAME_SIZE, "action"]).outputs
    assert list(ours) == ["pose-small", "attributes-small", "caption-small", "pose-other", "action-small"]
    for task in ours:
        assert_same(ours[task], theirs[task])


@FAMILIES
def test_a_checkpoint_of_one_family_is_a_universal_one_of_one_family(model, every_family, family, tmp_path):
    tasks = {name: fields for name, fields in model.config.tasks.items() if fields["family"] == family}
    single = CLASSES[family](every_family(tasks=tasks))
    single.load_state_dict({name: model.state_dict()[name] for name in single.state_dict()})
    single.save_pretrained(tmp_path)
    whole, info = HulkForHumanAnalysis.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert whole.state_dict().keys() == single.state_dict().keys()


def test_what_a_checkpoint_of_one_family_lacks_is_told(model, folder, tmp_path):
    HulkForPoseEstimation.from_pretrained(folder).save_pretrained(tmp_path)
    whole, info = HulkForHumanAnalysis.from_pretrained(tmp_path, output_loading_info=True)
    loaded = set(HulkForPoseEstimation(model.config).state_dict())
    assert set(info["missing_keys"]) == set(whole.state_dict()) - loaded
    assert all(torch.equal(whole.state_dict()[name], model.state_dict()[name]) for name in loaded)


@pytest.mark.parametrize(
    ("families", "heads"),
    [
        (["pose"], ("dense_head",)),
        (["pose", "parsing"], ("dense_head",)),
        (["attributes", "detection"], ("text_head", "box_head")),
        (["caption"], ("text_head", "caption_head")),
        (list(CLASSES), ("text_head", "dense_head", "box_head", "mesh_head", "caption_head")),
    ],
)
def test_only_families_with_a_task_have_heads(every_family, families, heads):
    tasks = {name: fields for name, fields in every_family().tasks.items() if fields["family"] in families}
    model = HulkForHumanAnalysis(every_family(tasks=tasks))
    assert {name for name, _ in model.named_children()} == {"hulk", *heads}
    assert model.lora_modules_to_save == heads


@FAMILIES
def test_labels_are_those_of_the_family(model, folder, family):
    """Pipelines of transformers name their results by them."""
    config = CLASSES[family].from_pretrained(folder).config
    assert config.id2label == dict(enumerate(config.task(family).labels))
    assert config.label2id == {label: index for index, label in config.id2label.items()}
    assert model.config.id2label == dict(enumerate(model.config.task("pose").labels)), "nothing has changed there"
    assert config.problem_type == {
        "attributes": "multi_label_classification",
        "action": "single_label_classification",
    }.get(family)


# One pass of the encoder


class Passes:
    """Counts how often a module runs."""

    def __init__(self, module: nn.Module):
        self.count = 0
        module.register_forward_hook(self)

    def __call__(self, *_):
        self.count += 1


@torch.no_grad()
def test_tasks_of_the_same_tokens_share_a_pass(model, inputs):
    passes = Passes(model.hulk.encoder)

    def count(*given, **options) -> int:
        passes.count = 0
        model(*given, **options)
        return passes.count

    assert count(inputs["pose"], tasks=SAME_SIZE) == 1
    assert count(inputs["pose"], tasks=["pose-small", "pose", "pose-small"]) == 1
    assert count(inputs["detection"], tasks=["detection-small", "detection-other"]) == 1
    assert count(inputs["pose"], tasks=["pose", "detection", "attributes"]) == 2, "places of detection are its own"
    assert count(inputs["pose"], inputs["action"], tasks=["action", "pose", "attributes"]) == 2


@torch.no_grad()
def test_sharing_changes_no_result(model, inputs):
    tasks = [*SAME_SIZE, "detection"]
    together = model(inputs["pose"], tasks=tasks)
    for task in tasks:
        alone = model(inputs["pose"], tasks=[task])
        (name,) = alone.outputs
        assert_same(together.outputs[name], alone.outputs[name])
    assert together.encoder_last_hidden_state is together.outputs["pose-small"].encoder_last_hidden_state
    memories = [output.encoder_last_hidden_state for output in together.outputs.values()]
    assert all(memory is memories[0] for memory in memories[:-1]) and memories[-1] is not memories[0]


@torch.no_grad()
def test_padded_pictures_for_detection(model, inputs):
    mask = torch.ones(2, 96, 80, dtype=torch.long)
    mask[1, 64:], mask[1, :, 48:] = 0, 0
    outputs = model(inputs["detection"], tasks=["detection", "detection-other"], pixel_mask=mask).outputs
    single = model.for_family("detection")
    for name in ("detection-small", "detection-other"):
        assert_same(outputs[name], single(inputs["detection"], pixel_mask=mask, task=name))
    unmasked = model(inputs["detection"], tasks=["detection"]).outputs["detection-small"]
    assert not torch.allclose(unmasked.logits[1], outputs["detection-small"].logits[1], atol=1e-3)


@torch.no_grad()
def test_without_names_it_does_what_the_inputs_are_for(model, inputs):
    assert list(model(inputs["pose"]).outputs) == [
        "pose-small",
        "detection-small",
        "attributes-small",
        "caption-small",
    ]
    assert list(model(inputs["parsing"]).outputs) == ["parsing-small", "detection-small"]
    assert list(model(skeletons=inputs["action"]).outputs) == ["action-small"]


def test_layers_are_recorded_for_every_task(every_family, inputs):
    model = build(every_family())
    model.set_attn_implementation("eager")
    recorded = ("hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions")
    options = {f"output_{name}": True for name in recorded}
    with torch.no_grad():
        for _ in range(2):
            outputs = model(inputs["pose"], tasks=SAME_SIZE, **options).outputs
            for family in ("caption", "pose"):
                single = model.for_family(family)(inputs["pose"], **options)
                ours = outputs[model.config.default_tasks[family]]
                assert [len(ours[name]) for name in recorded] == [3, 2, 2, 2]
                assert all(len(single[name]) == len(ours[name]) for name in recorded)
                for name in ("hidden_states", "decoder_hidden_states"):
                    torch.testing.assert_close(single[name][-1], ours[name][-1], atol=1e-5, rtol=1e-5)
        plain = model(inputs["pose"], tasks=SAME_SIZE).outputs
    assert all(output[name] is None if name in output else True for output in plain.values() for name in recorded)


@torch.no_grad()
def test_the_trunk_goes_on_from_memory(model, inputs):
    passes = Passes(model.hulk.encoder)
    first = model.hulk(inputs["pose"], task="pose")
    again = model.hulk(inputs["pose"], task="attributes", memory=first.encoder_last_hidden_state)
    assert passes.count == 1
    assert torch.equal(again.last_hidden_state, model.hulk(inputs["pose"], task="attributes").last_hidden_state)


@torch.no_grad()
def test_words_in_the_trunk_see_no_later_word(model, inputs):
    words = torch.randn(2, 4, 16)
    states = model.hulk(inputs["pose"], task="caption", query_tokens=words).last_hidden_state
    fewer = model.hulk(inputs["pose"], task="caption", query_tokens=words[:, :2]).last_hidden_state
    torch.testing.assert_close(states[:, :2], fewer, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="query_tokens: expected embedded words for task 'caption-small', got None"):
        model.hulk(inputs["pose"], task="caption")
    with pytest.raises(ValueError, match=r"query_tokens: expected None for task 'pose-small', got \(2, 4, 16\)"):
        model.hulk(inputs["pose"], task="pose", query_tokens=words)


@torch.no_grad()
def test_captions_record_layers_once_whoever_hooked_them(every_family, inputs):
    for trunk_first in (True, False):
        model = HulkForCaptioning(every_family()).eval()
        options = {"output_hidden_states": True, "output_decoder_hidden_states": True}
        for _ in range(2):
            if trunk_first:
                model.hulk(inputs["caption"], task="caption", query_tokens=torch.zeros(2, 1, 16), **options)
            outputs = model(inputs["caption"], **options)
            trunk_first = True
        assert len(outputs.hidden_states) == 3 and len(outputs.decoder_hidden_states) == 2


# Losses


def test_the_loss_is_the_sum_of_those_of_the_tasks(model, inputs, family_labels):
    families = ["pose", "attributes", "caption"]
    labels = {family: family_labels(family) for family in families}
    output = model(inputs["pose"], tasks=[*families, "pose-other"], labels=labels)
    total = 0.0
    for family in families:
        single = model.for_family(family)(inputs["pose"], **family_labels(family))
        ours = output.outputs[model.config.default_tasks[family]]
        assert ours.loss_dict.keys() == single.loss_dict.keys()
        torch.testing.assert_close(ours.loss, single.loss)
        total = total + single.loss
    torch.testing.assert_close(output.loss, total)
    assert output.outputs["pose-other"].loss is None
    assert model(inputs["pose"], tasks=families).loss is None


@FAMILIES
def test_every_family_learns(every_family, inputs, family_labels, family):
    pytest.importorskip("scipy")
    model = build(every_family()).train()
    given = {name_of(family): inputs[family]}
    single = model.for_family(family)
    assert single.training
    torch.manual_seed(0)  # of the words that are dropped
    expected = single(inputs[family], **family_labels(family)).loss
    torch.manual_seed(0)
    loss = model(**given, tasks=[family], labels={family: family_labels(family)}).loss
    torch.testing.assert_close(loss, expected)
    loss.backward()
    touched = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    own = set(dict(CLASSES[family](model.config).named_parameters()))
    # Other tasks of the family have norms and up-samplers of their own.
    left_out = {name for name in own - touched if "other" not in name}
    assert touched <= own and not left_out - {"mesh_head.upsample.weight", "mesh_head.upsample.bias"}


# A view of one family


def test_a_view_has_the_same_modules(model):
    for family in CLASSES:
        single = model.for_family(family)
        assert type(single) is CLASSES[family] and single.hulk is model.hulk and not single.training
        assert {id(p) for p in single.parameters()} <= {id(p) for p in model.parameters()}
        assert not [name for name, tensor in single.named_buffers() if tensor.is_meta]
    with pytest.raises(ValueError, match="no task 'depth' in this checkpoint"):
        model.for_family("depth")


def test_captions_are_written_by_a_view(model, folder, inputs):
    written = model.for_family("caption").generate(pixel_values=inputs["caption"])
    expected = HulkForCaptioning.from_pretrained(folder).generate(pixel_values=inputs["caption"])
    assert written.shape == (2, 8) and torch.equal(written, expected)


def test_a_pipeline_works_with_a_view(model):
    processor = HulkPoseImageProcessor.from_task(model.config.task("pose"))
    pipe = pipeline("human-pose", model=model.for_family("pose"), image_processor=processor)
    persons = pipe(torch.zeros(3, 40, 30, dtype=torch.uint8).permute(1, 2, 0).numpy())
    assert persons[0]["labels"] == ["head", "left hand", "right hand"]


@torch.no_grad()
def test_words_of_captions_are_read_one_by_one(model, inputs):
    words = torch.tensor([[101, 5, 6], [101, 7, 8]])
    logits = model(inputs["pose"], tasks=["caption"], input_ids=words).outputs["caption-small"].logits
    single = model.for_family("caption")(inputs["pose"], input_ids=words, use_cache=False)
    torch.testing.assert_close(logits, single.logits, atol=1e-6, rtol=1e-5)
    first = model(inputs["pose"], tasks=["caption"]).outputs["caption-small"].logits
    torch.testing.assert_close(first, logits[:, :1], atol=1e-5, rtol=1e-5)
    unseen = torch.tensor([[1, 0, 1], [1, 1, 1]])
    masked = model(inputs["pose"], tasks=["caption"], input_ids=words, attention_mask=unseen).outputs["caption-small"]
    assert not torch.allclose(masked.logits[0, 2], logits[0, 2], atol=1e-4)
    torch.testing.assert_close(masked.logits[1], logits[1], atol=1e-5, rtol=1e-5)


# Inputs that make no sense


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["pose", "parsing"]}, r"pixel_values are 64x48, but 'parsing-small' \(64x64\) take another size"),
        ({"tasks": ["depth"]}, "no task 'depth' in this checkpoint"),
        ({"tasks": "pose"}, "tasks: expected a list of names, got one string 'pose'"),
        ({"tasks": []}, r"tasks: expected at least one of .*pose-small.*, got \[\]"),
        ({"tasks": ["action"]}, "pixel_values: none of the tasks .*action-small.* reads them"),
        ({"tasks": ["pose", "action"]}, "skeletons: task 'action-small' reads skeletons and nothing else, got"),
        ({"tasks": ["pose"], "skeletons": torch.zeros(1, 1, 3, 14, 5)}, "skeletons: none of the tasks .* reads them"),
        ({"tasks": ["pose"], "input_ids": torch.zeros(2, 1).long()}, "input_ids: none of the tasks"),
        ({"tasks": ["caption"], "input_ids": torch.zeros(3, 1).long()}, "a caption for each of 2 pictures, got 3"),
        ({"tasks": ["caption"], "input_ids": torch.zeros(2, 9).long()}, "has places for 8 words"),
        (
            {"tasks": ["pose"], "labels": {"attributes": {"labels": torch.zeros(2, 3)}}},
            "labels: 'attributes' is none of",
        ),
        ({"tasks": ["pose"], "labels": {"pose": torch.zeros(1)}}, "labels: expected arguments by name .*got Tensor"),
        ({"tasks": ["pose"], "labels": {"pose": {"label_weights": 1}}}, r"among them 'labels', got \['label_weights'"),
        ({"pixel_values": torch.zeros(3, 64, 48), "tasks": ["pose"]}, "expected shape"),
        ({"tasks": ["pose"], "pixel_mask": torch.zeros(2, 64, 48)}, "pixel_mask: task 'pose-small' takes no padded"),
        ({"pixel_values": torch.zeros(2, 3, 8, 8), "skeletons": None, "tasks": ["pose"]}, "pixel_values are 8x8"),
        ({"pixel_values": None}, "got inputs that none of their defaults reads"),
    ],
)
def test_bad_inputs_are_named(model, inputs, arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**{"pixel_values": inputs["pose"], **arguments})


def test_misspelt_arguments_are_refused(model, inputs):
    with pytest.raises(TypeError, match=r"unexpected keyword arguments \['task'\]"):
        model(inputs["pose"], task="pose")


# Numerics and ways of running


@torch.no_grad()
def test_eager_and_sdpa_agree(every_family, inputs):
    model = build(every_family())
    outputs = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        outputs.append(model(inputs["pose"], inputs["action"], tasks=[*SAME_SIZE, "detection", "action"]).outputs)
    for name in outputs[0]:
        found, expected = tensors(outputs[0][name]), tensors(outputs[1][name])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_whole_model_is_one_graph(every_family, inputs):
    torch._dynamo.reset()
    model = build(every_family())
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    tasks = ["pose", "attributes", "detection"]
    ours, expected = compiled(inputs["pose"], tasks=tasks).outputs, model(inputs["pose"], tasks=tasks).outputs
    assert list(ours) == list(expected)
    for name in ours:
        assert_same(ours[name], expected[name])


@torch.no_grad()
def test_a_batch_equals_its_rows(model, inputs):
    whole = model(inputs["pose"], inputs["action"], tasks=[*SAME_SIZE, "action"]).outputs
    rows = [
        model(picture[None], clip[None], tasks=[*SAME_SIZE, "action"]).outputs
        for picture, clip in zip(inputs["pose"], inputs["action"], strict=True)
    ]
    for name, output in whole.items():
        for field, tensor in tensors(output).items():
            single = torch.cat([tensors(row[name])[field] for row in rows])
            torch.testing.assert_close(tensor, single, atol=1e-5, rtol=1e-5)


def test_it_runs_in_bfloat16(folder, inputs):
    model = HulkForHumanAnalysis.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        outputs = model(inputs["pose"], tasks=SAME_SIZE).outputs
        exact = HulkForHumanAnalysis.from_pretrained(folder)(inputs["pose"], tasks=SAME_SIZE).outputs
    assert outputs["attributes-small"].logits.dtype == torch.bfloat16
    torch.testing.assert_close(
        outputs["attributes-small"].logits.float(), exact["attributes-small"].logits, atol=0.1, rtol=0.1
    )


def test_gradient_checkpointing_changes_no_gradient(every_family, inputs, family_labels):
    model = build(every_family()).train()
    labels = {family: family_labels(family) for family in ("pose", "attributes")}

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(inputs["pose"], tasks=["pose", "attributes"], labels=labels).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients()
    model.activation_checkpointing_enable({"use_reentrant": False})
    found = gradients()
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-7, rtol=1e-5)


@torch.no_grad()
def test_outputs_as_a_tuple(model, inputs):
    outputs, memory = model(inputs["pose"], tasks=["pose"], return_dict=False)
    assert list(outputs) == ["pose-small"] and memory.shape == (2, 12, 32)
    assert outputs["pose-small"].heatmaps.shape == (2, 3, 16, 12)


# Part of a checkpoint ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [["pose"], ["attributes", "pose-aic"], ["detection", "parsing"], ["action"]])
def test_a_part_of_a_checkpoint_is_loaded_alone(tmp_path, wanted):
    names = ["pose-coco", "pose-aic", "attributes-joint", "detection-joint", "parsing-lip", "action-ntu-gym"]
    whole = HulkForHumanAnalysis(HulkConfig.preset("hulk-tiny", tasks=names))
    whole.save_pretrained(tmp_path)
    part, info = HulkForHumanAnalysis.from_pretrained(tmp_path, tasks=wanted, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert set(part.config.tasks) == {whole.config.task_name(name) for name in wanted}
    kept = dict(whole.state_dict())
    assert len(part.state_dict()) < len(kept)
    for name, tensor in part.state_dict().items():
        assert torch.equal(tensor, kept[name]), name
    assert set(whole.config.tasks) == set(names), "the configuration of the whole is left alone"


def test_a_part_that_is_not_there(tmp_path):
    HulkForHumanAnalysis(HulkConfig.preset("hulk-tiny", tasks=["pose-coco"])).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"task: no task 'mesh' in this checkpoint, expected one of \['pose-coco'\]"):
        HulkForHumanAnalysis.from_pretrained(tmp_path, tasks=["mesh"])
    with pytest.raises(ValueError, match="tasks: expected a list of names"):
        HulkForHumanAnalysis.from_pretrained(tmp_path, tasks="pose")
