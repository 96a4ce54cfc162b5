# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pose model in the hands of others: the Trainer of transformers, and adapters of peft."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.tasks_hulk import HulkTask

LAYERS = {"vision": 3, "decoder": 2}


def build() -> HulkForPoseEstimation:
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 4, "intermediate_size": 64}
    config = HulkConfig(
        vision_config={"hidden_size": 48, "num_hidden_layers": LAYERS["vision"], "drop_path_rate": 0.0, **sizes},
        decoder_config={"hidden_size": 32, "num_hidden_layers": LAYERS["decoder"], **sizes},
        tasks=[HulkTask("pose-small", "pose", ("head", "left hand", "right hand"), image_size=(64, 48))],
        text_feature_size=24,
    )
    return HulkForPoseEstimation(config).eval()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def heatmaps(model, pixels) -> torch.Tensor:
    return model(pixel_values=pixels).heatmaps


def assert_same(ours: torch.Tensor, other: torch.Tensor) -> None:
    """Equal but for rounding: weights that lie elsewhere in memory may take another way through the processor."""
    torch.testing.assert_close(ours, other, atol=1e-6, rtol=1e-5)


def batches(count: int, size: int = 4) -> list[dict[str, torch.Tensor]]:
    """A task that can be learned: the map shows where the picture is bright."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(count):
        maps = torch.rand(size, 1, 16, 12, generator=generator)
        pixel_values = F.interpolate(maps, scale_factor=4).expand(size, 3, 64, 48)
        labels, weights = maps.expand(size, 3, 16, 12), torch.ones(size, 3)
        made.append({"pixel_values": pixel_values, "labels": labels, "label_weights": weights})
    return made


def test_the_trainer_of_transformers_reduces_the_loss_and_evaluates(tmp_path):
    model = build()
    rows = [{name: rows[i] for name, rows in batch.items()} for batch in batches(6) for i in range(4)]
    arguments = TrainingArguments(
        str(tmp_path), max_steps=25, per_device_train_batch_size=8, learning_rate=3e-3, logging_steps=5, seed=0,
        report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True, lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows[:8])
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.7 * losses[0]
    assert trainer.evaluate()["eval_loss"] < 0.7 * before
    trainer.save_model(tmp_path / "saved")
    loaded = HulkForPoseEstimation.from_pretrained(tmp_path / "saved")
    pixels = rows[0]["pixel_values"][None]
    torch.testing.assert_close(heatmaps(loaded, pixels), heatmaps(model.eval(), pixels))


def test_accumulated_gradients_are_those_of_one_batch(tmp_path):
    rows = [{name: rows[i] for name, rows in batch.items()} for batch in batches(1) for i in range(4)]
    found = []
    for size in (4, 1):
        arguments = TrainingArguments(
            str(tmp_path), max_steps=1, per_device_train_batch_size=size, gradient_accumulation_steps=4 // size,
            learning_rate=0.0, logging_steps=1, seed=0, report_to="none", use_cpu=True, save_strategy="no",
            disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(build(), arguments, train_dataset=rows)
        trainer.train()
        found.append(trainer.state.log_history[0])
    for figure in ("loss", "grad_norm"):
        assert found[1][figure] == pytest.approx(found[0][figure], rel=1e-4)


def test_lora_trains_saves_loads_and_merges_to_the_same_outputs(pixels, tmp_path):
    peft = pytest.importorskip("peft")
    base = build()
    base.save_pretrained(tmp_path / "base")
    base = HulkForPoseEstimation.from_pretrained(tmp_path / "base")
    before = heatmaps(base, pixels)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], modules_to_save=["dense_head"])
    adapted = peft.get_peft_model(base, config)
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "dense_head" in name for name in trained)
    assert sum("lora_A" in name for name in trained) == 2 * sum(LAYERS.values())
    frozen = {name: p.detach().clone() for name, p in adapted.named_parameters() if not p.requires_grad}

    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    adapted.train()
    losses = []
    for batch in batches(8):
        loss = adapted(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(adapted.get_parameter(name), tensor) for name, tensor in frozen.items())

    adapted.eval()
    expected = heatmaps(adapted, pixels)
    assert not torch.allclose(expected, before, atol=1e-3)
    adapted.save_pretrained(tmp_path / "adapter")
    reloaded = peft.PeftModel.from_pretrained(
        HulkForPoseEstimation.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    ).eval()
    assert_same(heatmaps(reloaded, pixels), expected)
    merged = reloaded.merge_and_unload()
    torch.testing.assert_close(heatmaps(merged, pixels), expected, atol=1e-5, rtol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    final = HulkForPoseEstimation.from_pretrained(tmp_path / "merged")
    assert_same(heatmaps(final, pixels), heatmaps(merged, pixels))
