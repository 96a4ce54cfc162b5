# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Adapters with the tasks they are for: trained, stored, switched on one trunk, merged, pushed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.synthetic.open_body import open_body

peft = pytest.importorskip("peft")
from hulk_hf.adapters import add_adapter, load_adapter, push_adapter, save_adapter  # noqa: E402 - needs peft

PETS = ["ear", "left paw", "right paw"]
OUTPUTS = {"pose": "heatmaps", "mesh": "mesh_joints_3d"}


@pytest.fixture(scope="module")
def trunk(every_family, tmp_path_factory) -> Path:
    """A universal checkpoint of random weights."""
    torch.manual_seed(0)
    model = HulkForHumanAnalysis(every_family())
    model.set_body("mesh-open", open_body())
    path = tmp_path_factory.mktemp("trunk")
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pets(trunk, family_inputs, tmp_path_factory) -> tuple[Path, torch.Tensor]:
    """An adapter for joints of pets, and what it says."""
    model = HulkForPoseEstimation.from_pretrained(trunk)
    model.add_task("pose-pets", PETS, text_features=torch.randn(3, 24, generator=torch.Generator().manual_seed(1)))
    adapted = learn(add_adapter(model, ["pose-pets"], rank=2), family_inputs["pose"], "pose-pets")
    folder = save_adapter(adapted, tmp_path_factory.mktemp("pets") / "adapter")
    return folder, said(adapted, family_inputs["pose"], "pose-pets")


@pytest.fixture(scope="module")
def bags(trunk, family_inputs, tmp_path_factory) -> tuple[Path, torch.Tensor]:
    """An adapter for two attributes, of another rank and with other tasks, and what it says."""
    model = HulkForHumanAnalysis.from_pretrained(trunk)
    features = torch.randn(2, 24, generator=torch.Generator().manual_seed(2))
    model.add_task("attributes-bags", ["red bag", "blue bag"], text_features=features)
    adapted = add_adapter(model, ["attributes-bags", "pose"], rank=3, name="bags")
    single = model.for_family("attributes")
    learn(single, family_inputs["attributes"], "attributes-bags", [p for p in adapted.parameters() if p.requires_grad])
    folder = save_adapter(adapted, tmp_path_factory.mktemp("bags") / "adapter")
    return folder, said(single, family_inputs["attributes"], "attributes-bags")


def learn(model, inputs: dict, task: str, parameters: list | None = None):
    """A few steps towards other outputs than those at the start."""
    if parameters is None:
        parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(5):
        output = model(**inputs, task=task)
        (-output[0].square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@torch.no_grad()
def said(model, inputs: dict, task: str) -> torch.Tensor:
    return model(**inputs, task=task)[OUTPUTS.get(task.partition("-")[0], "logits")]


def test_an_adapter_is_small_and_leaves_the_model_as_it_was(trunk, family_inputs, pets):
    model = HulkForPoseEstimation.from_pretrained(trunk)
    inputs = family_inputs["pose"]
    size = sum(p.numel() for p in model.parameters())
    first = said(model, inputs, "pose-small")
    adapted = add_adapter(model, rank=2)
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    whole = {name for name in trained if ".lora_" not in name}
    assert all(".modules_to_save.default." in name and "pose-" in name for name in whole), "what belongs to the tasks"
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained - whole} == {
        *("q_proj", "v_proj", "query_proj", "label_proj")
    }
    frozen = {name: p.detach().clone() for name, p in adapted.named_parameters() if not p.requires_grad}
    learn(adapted, inputs, "pose-small")
    assert not torch.allclose(said(adapted, inputs, "pose-small"), first, atol=1e-3)
    with adapted.disable_adapter():
        assert torch.equal(said(adapted, inputs, "pose-small"), first)
    assert all(torch.equal(adapted.get_parameter(name), tensor) for name, tensor in frozen.items())
    folder, _ = pets
    stored = load_file(folder / "adapter_model.safetensors")
    assert stored and sum(tensor.numel() for tensor in stored.values()) < size / 4


def test_an_adapter_brings_its_task_along(trunk, family_inputs, pets):
    folder, expected = pets
    described = json.loads((folder / "hulk_tasks.json").read_text(encoding="utf-8"))["tasks"]
    assert described == {"pose-pets": {"family": "pose", "labels": PETS, "image_size": [64, 48]}}
    model = HulkForPoseEstimation.from_pretrained(trunk)
    adapted = load_adapter(model, folder)
    assert model.config.task("pose-pets").flip_pairs == ((1, 2),)
    assert torch.equal(said(adapted, family_inputs["pose"], "pose-pets"), expected)
    merged = adapted.merge_and_unload()
    assert type(merged) is HulkForPoseEstimation
    torch.testing.assert_close(said(merged, family_inputs["pose"], "pose-pets"), expected, atol=1e-5, rtol=1e-5)
    # As peft itself would load it, once the model has the task.
    other = HulkForPoseEstimation.from_pretrained(trunk)
    features = load_file(folder / "hulk_label_features.safetensors")["pose-pets"]
    other.add_task("pose-pets", PETS, text_features=features, blend=False)
    assert torch.equal(
        said(peft.PeftModel.from_pretrained(other, folder).eval(), family_inputs["pose"], "pose-pets"), expected
    )


def test_adapters_are_switched_on_one_trunk(trunk, family_inputs, pets, bags):
    (posture, joints), (looks, answers) = pets, bags
    model = HulkForHumanAnalysis.from_pretrained(trunk)
    pose, attributes = family_inputs["pose"], family_inputs["attributes"]
    first = said(model.for_family("pose"), pose, "pose-small")
    adapted = load_adapter(model, posture, "pets")
    load_adapter(adapted, looks, "bags")
    for _ in range(2):
        assert torch.equal(said(model.for_family("attributes"), attributes, "attributes-bags"), answers)
        adapted.set_adapter("pets")
        assert torch.equal(said(model.for_family("pose"), pose, "pose-pets"), joints)
        with adapted.disable_adapter():
            assert torch.equal(said(model.for_family("pose"), pose, "pose-small"), first)
        adapted.set_adapter("bags")
    again = save_adapter(adapted, posture.parent / "again", "pets")
    stored = load_file(again / "adapter_model.safetensors")
    kept = load_file(posture / "adapter_model.safetensors")
    assert stored.keys() == kept.keys() and all(torch.equal(stored[name], kept[name]) for name in kept)


def test_an_adapter_is_pushed_with_its_task(trunk, pets, monkeypatch):
    """The calls of the hub are recorded; what they would upload is read."""
    folder, _ = pets
    calls = []

    def upload(self, repo_id, folder_path, **options):
        calls.append((repo_id, {file.name for file in Path(folder_path).iterdir()}))
        return f"https://hub/{repo_id}/commit/1"

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda self, repo_id, **options: calls.append(options))
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", upload)
    adapted = load_adapter(HulkForPoseEstimation.from_pretrained(trunk), folder)
    assert push_adapter(adapted, "me/pets", private=True) == "https://hub/me/pets/commit/1"
    assert calls[0] == {"private": True, "exist_ok": True}
    assert calls[1][0] == "me/pets"
    assert {"adapter_config.json", "adapter_model.safetensors", "hulk_tasks.json"} <= calls[1][1]


def test_what_does_not_fit_is_refused(trunk, pets, bags, tmp_path):
    folder, _ = pets
    model = HulkForPoseEstimation.from_pretrained(trunk)
    with pytest.raises(ValueError, match=r"task: no task 'pose-none'"):
        add_adapter(model, ["pose-none"])
    with pytest.raises(ValueError, match=r"tasks: expected at least one task or family"):
        add_adapter(model, [])
    adapted = load_adapter(model, folder, "pets")
    with pytest.raises(ValueError, match=r"name: there is an adapter 'pets' already"):
        load_adapter(adapted, folder, "pets")
    with pytest.raises(ValueError, match=r"name: there is an adapter 'pets' already"):
        add_adapter(adapted, ["pose"], name="pets")
    with pytest.raises(ValueError, match=r"name: no adapter 'none', expected one of \['pets'\]"):
        save_adapter(adapted, tmp_path / "x", "none")
    with pytest.raises(
        OSError, match=r"lacks \['hulk_tasks.json', 'hulk_label_features.safetensors', 'adapter_config"
    ):
        load_adapter(HulkForPoseEstimation.from_pretrained(trunk), tmp_path)
    other = HulkForPoseEstimation.from_pretrained(trunk)
    other.add_task("pose-pets", ["a", "b"], text_features=torch.randn(2, 24))
    with pytest.raises(ValueError, match=r"is for a task 'pose-pets' that this model describes otherwise"):
        load_adapter(other, folder)
    looks, _ = bags
    with pytest.raises(ValueError, match=r"HulkForPoseEstimation has no head for 'attributes-small'"):
        load_adapter(HulkForPoseEstimation.from_pretrained(trunk), looks)
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    fields = json.loads((damaged / "adapter_config.json").read_text(encoding="utf-8"))
    fields["r"] = 5
    (damaged / "adapter_config.json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises((ValueError, RuntimeError), match=r"size mismatch"):
        load_adapter(HulkForPoseEstimation.from_pretrained(trunk), damaged)
