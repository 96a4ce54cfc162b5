# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Adapters of peft in every class: what is trained, saved, loaded, merged and switched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.synthetic.open_body import open_body

peft = pytest.importorskip("peft")

CLASSES = {
    "pose": HulkForPoseEstimation,
    "parsing": HulkForHumanParsing,
    "detection": HulkForPedestrianDetection,
    "attributes": HulkForAttributeRecognition,
    "action": HulkForActionRecognition,
    "mesh": HulkForMeshRecovery,
    "caption": HulkForCaptioning,
}
RESULTS = {"pose": "heatmaps", "mesh": "mesh_joints_3d", "detection": "pred_boxes"}
LAYERS = 2 + 2  # of encoder and decoder


@pytest.fixture(scope="module")
def folder(every_family, tmp_path_factory) -> Path:
    """A universal checkpoint."""
    torch.manual_seed(0)
    model = HulkForHumanAnalysis(every_family())
    model.set_body("mesh-open", open_body())
    path = tmp_path_factory.mktemp("universal")
    model.save_pretrained(path)
    return path


def lora(modules_to_save) -> peft.LoraConfig:
    return peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=LORA_TARGET_MODULES, modules_to_save=list(modules_to_save)
    )


def train(model, batch: dict, steps: int = 10) -> list[float]:
    """A few steps on one batch; returns the losses."""
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(steps):
        # The points at which masks are compared are those of the first step.
        drawn = {name: value.manual_seed(4) for name, value in batch.items() if isinstance(value, torch.Generator)}
        loss = model(**{**batch, **drawn}).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    model.eval()
    return losses


@pytest.mark.parametrize("family", CLASSES)
def test_an_adapter_trains_saves_loads_and_merges_to_the_same_outputs(
    folder, family_inputs, family_labels, family, tmp_path
):
    if family == "detection":
        pytest.importorskip("scipy")

    @torch.no_grad()
    def result(model) -> torch.Tensor:
        return model(**family_inputs[family])[RESULTS.get(family, "logits")]

    base = CLASSES[family].from_pretrained(folder)
    before, heads = result(base), base.lora_modules_to_save
    assert heads and all(hasattr(base, head) for head in heads)
    adapted = peft.get_peft_model(base, lora(heads))
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert sum("lora_A" in name for name in trained) == 2 * LAYERS, "queries and values of every attention"
    rest = [name for name in trained if "lora_" not in name]
    assert rest and all(name.split(".")[2] in heads and ".modules_to_save.default." in name for name in rest)
    frozen = {name: p.detach().clone() for name, p in adapted.named_parameters() if name not in trained}

    losses = train(adapted, family_inputs[family] | family_labels(family))
    assert losses[-1] < losses[0]
    assert all(torch.equal(adapted.get_parameter(name), tensor) for name, tensor in frozen.items())
    expected = result(adapted)
    assert not torch.allclose(expected, before, atol=1e-3)
    with adapted.disable_adapter():
        torch.testing.assert_close(result(adapted), before, atol=1e-6, rtol=1e-5)

    adapted.save_pretrained(tmp_path / "adapter")
    reloaded = peft.PeftModel.from_pretrained(CLASSES[family].from_pretrained(folder), tmp_path / "adapter").eval()
    torch.testing.assert_close(result(reloaded), expected, atol=1e-6, rtol=1e-5)
    merged = reloaded.merge_and_unload()
    assert type(merged) is CLASSES[family]
    torch.testing.assert_close(result(merged), expected, atol=1e-5, rtol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    final = CLASSES[family].from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(result(final), result(merged), atol=1e-6, rtol=1e-5)


def test_adapters_of_two_tasks_are_switched_on_one_model(folder, family_inputs, family_labels, tmp_path):
    """One trunk in memory, an adapter and a head of its own for each task."""
    base = HulkForHumanAnalysis.from_pretrained(folder)
    pixel_values = family_inputs["pose"]["pixel_values"]
    tasks = {"posture": "pose", "looks": "attributes"}
    heads = {name: CLASSES[family].lora_modules_to_save for name, family in tasks.items()}

    @torch.no_grad()
    def results(model) -> dict[str, torch.Tensor]:
        outputs = model(pixel_values=pixel_values, tasks=list(tasks.values())).outputs
        return {"posture": outputs["pose-small"].heatmaps, "looks": outputs["attributes-small"].logits}

    before = results(base)
    adapted = peft.get_peft_model(base, lora(heads["posture"]), adapter_name="posture")
    adapted.add_adapter("looks", lora(heads["looks"]))
    expected = {}
    for name, family in tasks.items():
        adapted.set_adapter(name)
        trained = [key for key, p in adapted.named_parameters() if p.requires_grad]
        assert trained and all(f".{name}." in key for key in trained)
        losses = train(
            adapted, {"pixel_values": pixel_values, "tasks": [family], "labels": {family: family_labels(family)}}
        )
        assert losses[-1] < losses[0]
        expected[name] = results(adapted)
        assert not torch.allclose(expected[name][name], before[name], atol=1e-3)

    def check(model) -> None:
        for name in ("posture", "looks", "posture"):
            model.set_adapter(name)
            found = results(model)
            for task, tensor in expected[name].items():
                torch.testing.assert_close(found[task], tensor, atol=1e-6, rtol=1e-5)
        with model.disable_adapter():
            for task, tensor in results(model).items():
                torch.testing.assert_close(tensor, before[task], atol=1e-6, rtol=1e-5)

    check(adapted)
    adapted.save_pretrained(tmp_path)
    fresh = HulkForHumanAnalysis.from_pretrained(folder)
    reloaded = peft.PeftModel.from_pretrained(fresh, tmp_path / "posture", adapter_name="posture")
    reloaded.load_adapter(tmp_path / "looks", adapter_name="looks")
    check(reloaded.eval())


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("family", CLASSES)
def test_adapters_learn_through_checkpointed_layers(folder, family_inputs, family_labels, family, reentrant):
    """Re-entrant checkpoints pass gradients on only where they begin in front of them."""
    if family == "detection":
        pytest.importorskip("scipy")
    base = CLASSES[family].from_pretrained(folder)
    base.activation_checkpointing_enable({"use_reentrant": reentrant})
    adapted = peft.get_peft_model(base, lora(base.lora_modules_to_save)).train()
    adapted(**family_inputs[family], **family_labels(family)).loss.backward()
    others = [name for name, p in adapted.named_parameters() if p.requires_grad and p.grad is None]
    assert not [name for name in others if "lora_" in name]


def test_the_model_of_all_heads_names_those_it_has(folder):
    base = HulkForHumanAnalysis.from_pretrained(folder)
    adapted = peft.get_peft_model(base, lora(base.lora_modules_to_save))
    trained = {name.split(".")[2] for name, p in adapted.named_parameters() if p.requires_grad}
    assert trained == {"hulk", *base.lora_modules_to_save}
    assert set(base.lora_modules_to_save) == {"text_head", "dense_head", "box_head", "mesh_head", "caption_head"}
