# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Models of recipes: what is taken over from a checkpoint, what starts new and how, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from made_up_examples import TASKS, small_model
from safetensors.torch import save_file

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.processing_hulk import HulkProcessor
from hulk_hf.registration import BUNDLED_CHECKPOINT
from hulk_hf.training.building import (
    build_model,
    continue_from,
    known_tasks,
    known_tokenizer,
    resolve_tasks,
    save_model,
)
from hulk_hf.training.initialization import set_label_features, spread_labels
from hulk_hf.training.recipe import LoraRecipe, ModelRecipe, Recipe, TaskRecipe, load_recipe

HAT = dataclasses.replace(TASKS["attributes-small"], name="attributes-mine", labels=("scarf", "tie"))


def cosines(head, *tasks: str) -> torch.Tensor:
    labels = torch.cat([head.labels(task) for task in tasks])
    return labels @ labels.T


def test_what_a_checkpoint_holds_is_taken_over_and_the_rest_is_new():
    tasks = {"pose-small": TASKS["pose-small"], "attributes-mine": HAT}
    given = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
    earlier = small_model()
    model = continue_from(earlier, tasks, features={"attributes-mine": given}.__getitem__)
    assert list(model.hulk.tasks) == ["pose-small", "attributes-mine"] and not hasattr(model, "box_head")
    old, new = earlier.state_dict(), model.state_dict()
    for name in old.keys() & new.keys():
        same = torch.equal(old[name], new[name])
        assert same or name == "text_head.label_proj.weight", name
    assert torch.equal(model.text_head.label_features("attributes-mine"), given)
    assert model.config.skeleton_config.num_frames == 14
    changed = continue_from(earlier, tasks, {"skeleton_config": {"num_frames": 21}}, lambda name: given)
    assert (changed.config.skeleton_config.num_frames, changed.config.skeleton_config.num_joints) == (21, 5)


def test_new_labels_stand_apart_from_those_that_were_learned():
    torch.manual_seed(0)
    model = small_model(decoder_config={"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2})
    alike = torch.ones(1, 24) + 0.1 * torch.randn(4, 24)
    features = {name: model.dense_head.label_features(name) for name in ("pose-small",)} | {"parsing-small": alike}
    features |= {
        name: model.text_head.label_features(name) for name, _ in model.text_head.label_features.named_buffers()
    }
    features["detection-small"] = model.box_head.label_features("detection-small")
    set_label_features(model, features)
    before = cosines(model.dense_head, "pose-small")
    weight = model.text_head.label_proj.weight.clone()
    assert cosines(model.dense_head, "parsing-small").min() > 0.5
    spread_labels(model, ["parsing-small"])
    after = cosines(model.dense_head, "pose-small", "parsing-small")
    assert torch.allclose(after[:3, :3], before, atol=1e-4)
    assert torch.allclose(after[3:], torch.eye(7)[3:], atol=1e-3)
    assert torch.equal(model.text_head.label_proj.weight, weight), "no head of other tasks changes"


def test_more_labels_than_directions_are_whitened():
    model = small_model()
    words = torch.ones(1, 24) + 0.1 * torch.randn(120, 24, generator=torch.Generator().manual_seed(0))
    model.text_head.label_features("caption-small").copy_(words)
    apart = lambda: cosines(model.text_head, "caption-small").fill_diagonal_(0).abs().mean()  # noqa: E731
    assert apart() > 0.5
    spread_labels(model, [name for name, _ in model.text_head.label_features.named_buffers()])
    assert apart() < 0.35


@pytest.mark.parametrize("family", ["pose", "parsing", "detection", "attributes", "caption", "action", "mesh"])
@pytest.mark.parametrize("kind", ["lora", "finetune"])
def test_recipes_that_go_on_from_the_bundled_model_have_its_tasks(kind, family):
    recipe = load_recipe(f"{kind}-{family}")
    assert recipe.model.start_from == "bundled"
    ((name, task),) = resolve_tasks(recipe.tasks, known_tasks(recipe)).items()
    bundled = HulkConfig.from_pretrained(BUNDLED_CHECKPOINT).task(name)
    assert dataclasses.replace(task, body=bundled.body) == bundled, "set_body completes the body"


def test_an_encoder_can_be_taken_over_alone_and_the_decoder_be_another(tmp_path):
    start = small_model()
    with torch.no_grad():
        for parameter in start.parameters():
            parameter.add_(0.5)
    start.save_pretrained(tmp_path)
    given = ModelRecipe(start_from=str(tmp_path), start_with="encoder", decoder={"modality_embedding": True})
    tasks = {name: TASKS[name] for name in ("pose-small", "parsing-small")}
    recipe = Recipe("x", [TaskRecipe(name) for name in tasks], model=given)
    features = {name: start.dense_head.label_features(name) for name in tasks}
    folder = tmp_path / "features"
    folder.mkdir()
    for name, values in features.items():
        save_file({"features": values.contiguous()}, folder / f"{name}.safetensors")
    given.label_features = str(folder)
    model = build_model(recipe, tasks, {})
    assert model.config.decoder_config.modality_embedding
    assert model.config.vision_config.hidden_size == start.config.vision_config.hidden_size
    earlier = start.state_dict()
    same = {
        name for name, tensor in model.state_dict().items() if name in earlier and torch.equal(tensor, earlier[name])
    }
    learned = {name for name, _ in model.named_parameters() if name in earlier}
    assert {name for name in learned if name.startswith(("hulk.encoder.", "hulk.tokenizers."))} == same & learned
    assert any(name.startswith("hulk.decoder.") for name in learned) and any("head" in name for name in learned)
    recipe.lora = LoraRecipe()
    with pytest.raises(ValueError, match=r"recipe\.lora: .* has none for \['parsing', 'pose'\]"):
        build_model(recipe, tasks, {})
    with pytest.raises(ValueError, match="start_with: expected 'model' or 'encoder', got 'decoder'"):
        ModelRecipe(start_with="decoder")
    with pytest.raises(ValueError, match="vision: expected None beside start_from"):
        ModelRecipe(start_from="a", start_with="encoder", vision={"hidden_size": 8})
    with pytest.raises(ValueError, match="decoder: expected None beside start_from"):
        ModelRecipe(start_from="a", decoder={"hidden_size": 8})


def test_a_checkpoint_of_another_size_is_refused():
    other = {**TASKS, "detection-small": dataclasses.replace(TASKS["detection-small"], anchors_per_side=4)}
    with pytest.raises(
        ValueError, match=r"start_from: tensor 'box_head\.anchors\.detection-small' has shape \(9, 3\)"
    ):
        continue_from(small_model(), other)


def test_features_can_be_given_as_a_folder(tmp_path):
    small_model().save_pretrained(tmp_path / "start")
    recipe = Recipe("x", [TaskRecipe(HAT.name)], model=ModelRecipe(str(tmp_path), str(tmp_path / "start")))
    recipe.model.label_features = str(tmp_path)
    with pytest.raises(ValueError, match=r"recipe\.model\.label_features: expected a file .*attributes-mine\.safeten"):
        build_model(recipe, {HAT.name: HAT}, {})
    features = torch.randn(2, 24)
    save_file({"features": features}, tmp_path / "attributes-mine.safetensors")
    model = build_model(recipe, {HAT.name: HAT}, {})
    assert torch.equal(model.text_head.label_features(HAT.name), features)


def test_single_weights_of_a_loss_can_be_given():
    recipe = load_recipe("tiny-joint", ["tasks.1.loss_weights={presence: 10.0}"])
    tasks = resolve_tasks(recipe.tasks, known_tasks(recipe))
    assert tasks["parsing-lip"].loss_weights == {"mask": 50.0, "dice": 50.0, "presence": 10.0}
    assert tasks["pose-coco"].loss_weights == known_tasks(recipe)["pose-coco"].loss_weights


def test_a_run_to_go_on_from_has_to_be_there():
    with pytest.raises(ValueError, match=r"start_from: no folder 'runs/tiny-joint/model' here; .*train that one"):
        build_model(load_recipe("tiny-single-action"))


def test_adapters_for_a_family_that_the_checkpoint_does_not_know_are_refused(tmp_path):
    pose = continue_from(small_model(), {"pose-small": TASKS["pose-small"]})
    pose.save_pretrained(tmp_path / "pose")
    start = ModelRecipe(start_from=str(tmp_path / "pose"))
    recipe = Recipe("x", [TaskRecipe("parsing-small")], model=start, lora=LoraRecipe())
    with pytest.raises(ValueError, match=r"recipe\.lora: .* has none for \['parsing'\]; .* families \['pose'\]"):
        build_model(recipe, {"parsing-small": TASKS["parsing-small"]}, {})
    with pytest.raises(ValueError, match=r"^lora: adapters need a trained trunk"):
        Recipe("x", [TaskRecipe("pose-small")], lora=LoraRecipe())


def test_an_mae_and_a_checkpoint_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match=r"^mae: expected None beside start_from 'a', got 'b'"):
        ModelRecipe(start_from="a", mae="b")
    recipe = load_recipe("tiny-single-pose", [f"model.mae={tmp_path / 'none.pth'}"])
    with pytest.raises(OSError, match=r"none\.pth"):
        build_model(recipe)


def test_the_joint_recipe_starts_as_the_pose_model_it_goes_on_from(tmp_path):
    from hulk_hf import BUNDLED_CHECKPOINT

    recipe = load_recipe("tiny-joint", ["tasks=[{name: pose-coco}, {name: mesh-open}, {name: caption-synthetic}]"])
    model = build_model(recipe)
    bundled = HulkForHumanAnalysis.from_pretrained(BUNDLED_CHECKPOINT).state_dict()
    taken = model.state_dict()
    for name in bundled.keys() & taken.keys():
        assert torch.equal(bundled[name], taken[name]), name
    assert any(name.startswith("hulk.encoder.") for name in bundled.keys() & taken.keys())
    assert model.config.bos_token_id != 101, "captions are written in the words of the synthetic people"
    assert model.hulk.tasks["mesh-open"].body["name"] == "open body"
    tokenizer = known_tokenizer(recipe, model)
    assert len(tokenizer) == model.config.task("caption").num_labels
    save_model(model, tmp_path / "model", tokenizer)
    processor = HulkProcessor.from_pretrained(tmp_path / "model")
    assert set(processor.processors) == {"pose-coco", "mesh-open", "caption-synthetic"}
    assert processor.tokenizer.vocab_size == tokenizer.vocab_size
    again = HulkForHumanAnalysis.from_pretrained(tmp_path / "model").state_dict()
    assert all(torch.equal(again[name], taken[name]) for name in taken)


def test_the_official_recipe_is_that_of_the_release():
    recipe = load_recipe("official-vit-b")
    tasks = resolve_tasks(recipe.tasks, known_tasks(recipe))
    assert len(tasks) == 24 and sum(task.slots for task in recipe.tasks) == 80 and recipe.total_steps == 60_000
    assert sum(task.slots * task.batch_size for task in recipe.tasks) == 5855
    rates = {name: task.drop_path_rate for name, task in zip(tasks, recipe.tasks, strict=True)}
    assert {name for name, rate in rates.items() if rate == 0.1} == {"action-ntu-gym", "action-kinetics"}
    assert set(rates.values()) == {0.1, 0.2}
    # Authors think in weights per sample: about 53, 42, 36, 24 and 12 for poses, 0.5 for detection, 0.3 for captions.
    per_sample = {task.name: task.weight / task.slots / task.batch_size for task in recipe.tasks}
    assert per_sample["pose-coco"] == pytest.approx(53, abs=0.5) and per_sample["pose-aic"] == pytest.approx(
        42, abs=0.5
    )
    assert per_sample["pose-h36m"] == pytest.approx(12, abs=0.5)
    assert per_sample["detection-crowdhuman"] == pytest.approx(0.47, abs=0.01)
    assert per_sample["detection-joint"] == pytest.approx(0.53, abs=0.01)
    assert per_sample["caption-joint"] == pytest.approx(0.3)
    mask_weights = {"parsing-lip": 0.45, "parsing-cihp": 0.9, "parsing-h36m": 0.3214, "parsing-deepfashion2": 0.021}
    for task in recipe.tasks:
        if task.name in mask_weights:  # with the normaliser of slots.normaliser_arguments
            assert task.weight / task.slots == pytest.approx(mask_weights[task.name], abs=5e-5)
    sizes = {"mesh": (224, 224), "parsing": (480, 480), "attributes": (256, 192), "caption": (384, 384)}
    for task in tasks.values():
        if task.family in sizes:
            assert task.image_size == sizes[task.family]
