# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`verify` passes what is equal, fails what is not, and names the stage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hulk_hf.conversion.verify import main, verify_recording

GOLDEN = ["golden_tiny_task8_a", "golden_tiny_task8_a_loss", "golden_tiny_task9_a", "golden_tiny_task9_a_loss"]
PROCESSING = ["pose_crop_a", "pose_crop_gt_a", "pose_train_affine_a", "pose_target_a", "pose_decode_square_a"]

OTHER_SIZES = {
    "default": {},
    "wide picture": {"image_size": (48, 112)},
    "square, one picture": {"image_size": (64, 64), "batch": 1},
    "other label set": {"task": 13, "joints": 7, "flip_pairs": (), "text": 20},
    "full label set": {"task": 15, "joints": 18, "batch": 3},
    "one decoder layer": {"decoder_layers": 1, "decoder_heads": 8},
    "deep": {"encoder_layers": 5, "encoder_heads": 8, "decoder_layers": 6, "mlp": 40},
    "context sees only itself": {"mask": "patch_diag_label_row"},
    "other loss weights": {"mask_weight": 3.0, "class_weight": 0.5},
    "supervision of fewer layers": {"decoder_layers": 5, "loss_layers": 3},
    "no auxiliary outputs": {"intermediate_output": False, "loss_layers": 1},
    "no deep supervision": {"deep_supervision": False},
    "size as one number": {"image_size": (80, 80), "whole_size": False},
    "larger grid than the stretched table": {"image_size": (240, 256), "decoder_layers": 2, "batch": 1},
    "stored position table, one picture": {"own_positions": True, "batch": 1},
    "wider up-sampler": {"upsampler": 20},
}


def altered(path: Path, folder: Path, tensors=None, info=None) -> Path:
    """A copy of a recording: `tensors` changes the tensors in place, `info` the JSON."""
    copy = folder / f"altered_{path.name}"
    loaded = load_file(path)
    if tensors is not None:
        tensors(loaded)
    save_file(loaded, copy)
    described = json.loads(path.with_suffix(".json").read_text())
    if info is not None:
        info(described)
    copy.with_suffix(".json").write_text(json.dumps(described))
    return copy


def failed_stages(path: Path) -> list[str]:
    return [comparison.stage for comparison in verify_recording(path).comparisons if not comparison.passed]


@pytest.mark.parametrize("name", [*GOLDEN, "golden_pose_decode", *(f"processing/{name}" for name in PROCESSING)])
def test_recordings_of_the_official_code_agree(shared, name, capsys):
    assert main([str(shared / "golden" / f"{name}.safetensors")]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines()[-1].startswith("verify: ok")


@pytest.mark.parametrize("other", OTHER_SIZES.values(), ids=OTHER_SIZES.keys())
@pytest.mark.parametrize("kind", ["forward", "loss"])
def test_recordings_of_other_sizes_agree(recorder, tmp_path, kind, other, capsys):
    path = getattr(recorder, kind)(tmp_path / "other.safetensors", recorder.sizes(**other))
    assert main([str(path)]) == 0, capsys.readouterr().out


def test_a_forward_needs_neither_an_input_size_nor_loss_weights(recorder, tmp_path, capsys):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())

    def forget(info):
        del info["config"]["patch_adapter"]
        del info["config"]["label_proj"]

    assert main([str(altered(path, tmp_path, info=forget))]) == 0, capsys.readouterr().out


def test_loss_terms_are_held_to_a_tighter_tolerance_that_the_table_names(recorder, tmp_path, capsys):
    path = recorder.loss(tmp_path / "r.safetensors", recorder.sizes())

    def change(tensors):
        tensors["out.loss_bce_pos"] += 2e-5

    copy = altered(path, tmp_path, tensors=change)
    assert failed_stages(copy) == ["loss_bce_pos"]
    assert main([str(copy)]) == 1
    assert "loss terms within 1e-05 + 1e-05 |x|)" in capsys.readouterr().out.splitlines()[0]


def test_forward_compares_every_stage_of_the_network(recorder, tmp_path):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())
    assert [comparison.stage for comparison in verify_recording(path).comparisons] == [
        "tokenizer",
        "encoder",
        "neck",
        "decoder auxiliary 0",
        "decoder auxiliary 1",
        "decoder",
        "heat maps",
        "presence",
        "heat maps (test output)",
        "presence (test output)",
        "mirrored pass: tokenizer",
        "mirrored pass: decoder",
        "mirrored pass: heat maps (test output)",
        "presence probabilities",
        "box information",
        "joint scores",
    ]


def test_loss_compares_every_term_and_every_parameter(recorder, tmp_path):
    sizes = recorder.sizes()
    path = recorder.loss(tmp_path / "r.safetensors", sizes)
    stages = [comparison.stage for comparison in verify_recording(path).comparisons]
    terms = {f"loss_{term}_pos{layer}" for term in ("mask", "bce") for layer in ("", "_0", "_1")}
    assert terms | {"total loss"} <= set(stages)
    info = json.loads(path.with_suffix(".json").read_text())
    with_gradient = {f"gradient {name}" for name, norm in info["grad_norms"].items() if norm}
    assert {stage for stage in stages if stage.startswith("gradient ")} == with_gradient
    assert len(with_gradient) > 60


def test_a_position_table_that_no_formula_gives_is_used(recorder, tmp_path, capsys):
    sizes = recorder.sizes()
    weights = recorder.weights(sizes)
    weights["adapter_rgb.pos_embed"] = torch.randn_like(weights["adapter_rgb.pos_embed"])
    path = recorder.forward(tmp_path / "r.safetensors", sizes, weights)
    assert main([str(path)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("weight", "first_failure"),
    [
        ("adapter_rgb.type_embed.weight", "tokenizer"),
        ("backbone_module.blocks.1.attn.qkv.weight", "encoder"),
        ("neck_patch.mask_map.0.bias", "neck"),
        ("decoder_module.predictor.mask_token", "decoder auxiliary 0"),
        ("decoder_module.predictor.transformer_ffn_layers.2.linear2.bias", "decoder"),
        ("proj_dense_labeling.upsample_network.3.bias", "heat maps"),
        ("proj_dense_labeling.text_features", "heat maps"),
    ],
)
def test_one_other_weight_fails_at_its_stage(recorder, tmp_path, weight, first_failure, capsys):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())

    def change(tensors):
        tensors[f"sd.{weight}"].view(-1)[0] += 0.1

    copy = altered(path, tmp_path, tensors=change)
    assert failed_stages(copy)[0] == first_failure
    assert main([str(copy)]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out.splitlines()[-1] and first_failure in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("tensor", "stage"),
    [
        ("adapter_patch", "tokenizer"),
        ("backbone", "encoder"),
        ("decoder_label_aux1", "decoder auxiliary 1"),
        ("proj_label.output_heatmap", "heat maps"),
        ("flip.dense_masks", "mirrored pass: heat maps (test output)"),
        ("final.boxes", "box information"),
    ],
)
def test_one_other_recorded_number_fails_its_stage_alone(recorder, tmp_path, tensor, stage):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())

    def change(tensors):
        tensors[f"out.{tensor}"].view(-1)[-1] += 1e-2

    assert failed_stages(altered(path, tmp_path, tensors=change)) == [stage]


def test_a_number_that_is_none_fails(recorder, tmp_path):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())

    def change(tensors):
        tensors["out.backbone"].view(-1)[0] = float("nan")

    assert failed_stages(altered(path, tmp_path, tensors=change)) == ["encoder"]


def test_one_other_gradient_or_loss_term_fails_alone(recorder, tmp_path):
    path = recorder.loss(tmp_path / "r.safetensors", recorder.sizes())
    name = "backbone_module.blocks.0.attn.qkv.bias"

    def change_gradient(info):
        info["grad_norms"][name] *= 1.002

    def change_term(tensors):
        tensors["out.loss_bce_pos_0"] += 2e-4

    def revive(info):
        info["grad_norms"]["neck_label.mask_map.0.weight"] = 0.01

    def forget(info):
        del info["grad_norms"]["adapter_rgb.proj.bias"]

    assert failed_stages(altered(path, tmp_path, info=change_gradient)) == [f"gradient {name}"]
    assert failed_stages(altered(path, tmp_path, tensors=change_term)) == ["loss_bce_pos_0"]
    assert "unused official tensors" in failed_stages(altered(path, tmp_path, info=revive))[0]
    assert "without a recorded gradient" in failed_stages(altered(path, tmp_path, info=forget))[0]


def test_one_other_weight_of_a_recorded_official_file_fails(shared, tmp_path, capsys):
    path = shared / "golden" / "golden_tiny_task9_a.safetensors"

    def change(tensors):
        tensors["sd.backbone_module.blocks.0.mlp.fc1.weight"][0, 0] += 0.5

    assert failed_stages(altered(path, tmp_path, tensors=change))[0] == "encoder"


def test_decoding_and_crops_can_fail(shared, tmp_path):
    golden = shared / "golden"
    tensors = load_file(golden / "golden_pose_decode.safetensors")
    tensors["b.preds"][1, 0, 0] += 0.01
    save_file(tensors, tmp_path / "decode.safetensors")
    assert failed_stages(tmp_path / "decode.safetensors") == ["b.joints"]

    def change_crop(tensors):
        tensors["task8.crop_float"][0, 0, 100, 100] ^= 64

    def change_box(info):
        info["annotations"]["9"][0]["bbox"][0] += 1

    crops = golden / "processing" / "pose_crop_a.safetensors"
    assert failed_stages(altered(crops, tmp_path, tensors=change_crop)) == ["task8.crop, exact kernel"]
    annotated = golden / "processing" / "pose_crop_gt_a.safetensors"
    assert failed_stages(altered(annotated, tmp_path, info=change_box)) == ["task9.clipped boxes"]


def test_both_files_of_a_recording_count_once(recorder, tmp_path, capsys):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())
    assert main([str(path.with_suffix(".json")), str(path)]) == 0
    out = capsys.readouterr().out
    assert out.count("tokenizer") == 2  # its own line, and that of the mirrored pass
    assert "in 1 recordings" in out.splitlines()[-1]


def _no_json(path, info):
    path.with_suffix(".json").unlink()


def _broken_json(path, info):
    path.with_suffix(".json").write_text("{")


def _truncated(path, info):
    path.write_bytes(path.read_bytes()[:-100])


def _gone(path, info):
    path.unlink()


def _writes(field, value):
    def damage(path, info):
        *parents, last = field.split(".")
        inner = info
        for key in parents:
            inner = inner[key]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
        path.with_suffix(".json").write_text(json.dumps(info))

    return damage


def _tensors(change):
    def damage(path, info):
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_no_json, "r.json is missing"),
        (_broken_json, "not a readable JSON"),
        (_truncated, "not a readable safetensors"),
        (_gone, "does not exist"),
        (_writes("task", 24), "official task 24 is not known"),
        (_writes("task", "eight"), "official task 'eight' is not known"),
        (_writes("task", None), "no field 'task'"),
        (_writes("config.decoder.kwargs.transformer_predictor_cfg.nheads", None), "nheads"),
        (_writes("config.decoder.kwargs.transformer_predictor_cfg.pre_norm", True), "pre_norm"),
        (_writes("config.label_proj.kwargs.cls_loss_branch", False), "cls_loss_branch is False, expected True: the"),
        (_writes("config.label_proj.kwargs.post_mul_norm", False), "post_mul_norm is False, expected True: the"),
        (_writes("config.label_proj.kwargs.replace_post_mul_norm", True), "replace_post_mul_norm is True"),
        (_writes("config.decoder.kwargs.transformer_predictor_cfg.self_attn_mask_type", "odd"), "'odd'"),
        (_writes("config.patch_adapter.kwargs.img_size", [128, 48]), "image_size"),
        (_writes("config.backbone.kwargs.num_heads", 5), "encoder_heads"),
        (_tensors(lambda t: t.pop("in.image")), "in.image"),
        (_tensors(lambda t: t.pop("sd.backbone_module.norm.bias")), "missing: backbone_module.norm.bias"),
        (_tensors(lambda t: t.update({"sd.surprise": torch.zeros(1)})), "not known"),
        (_tensors(lambda t: t.update({"in.image": torch.zeros(1, 1, 64, 48)})), "in.image: expected"),
        (_tensors(lambda t: [t.pop(k) for k in list(t) if k.startswith("sd.")]), "no check recognises"),
        (_tensors(lambda t: [t.pop(k) for k in list(t) if k.startswith("out.")]), "no heat maps"),
    ],
)
def test_bad_recordings_get_a_reason_and_exit_code_1(recorder, tmp_path, damage, reason, capsys):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes())
    good = shutil.copy(path, tmp_path / "good.safetensors")
    shutil.copy(path.with_suffix(".json"), tmp_path / "good.json")
    damage(path, json.loads(path.with_suffix(".json").read_text()))
    assert main([str(path), str(good)]) == 1
    out = capsys.readouterr().out
    assert reason in out and "Traceback" not in out
    assert "1 of 2 recordings: r" in out.splitlines()[-1], "the good one is still compared"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_writes("losses.loss_dice_pos", 0.1), "loss_dice_pos"),
        (_writes("config.backbone.kwargs.drop_path_rate", 0.1), "drop_path_rate"),
        (_writes("grad_norms", None), "grad_norms"),
        (_writes("grad_norms", {"surprise": 1.0}), "surprise"),
        (_writes("config.label_proj.kwargs.loss_cfg.kwargs.cfg.sample_weight", [0.5]), "presence_ratios"),
        (_writes("config.label_proj.kwargs.loss_cfg.kwargs.cfg.sample_weight", None), "sample_weight'"),
        (_writes("config.label_proj.kwargs.loss_cfg.kwargs.cfg.class_weight", None), "class_weight'"),
        (_writes("config.label_proj.kwargs.loss_cfg.kwargs.cfg.mask_weight", None), "mask_weight'"),
        (_tensors(lambda t: t.pop("in.label")), "in.label"),
        (_tensors(lambda t: t.update({"in.label": torch.zeros(1, 1, 4, 4)})), "labels"),
    ],
)
def test_bad_loss_recordings_get_a_reason(recorder, tmp_path, damage, reason, capsys):
    path = recorder.loss(tmp_path / "r.safetensors", recorder.sizes())
    damage(path, json.loads(path.with_suffix(".json").read_text()))
    assert main([str(path)]) == 1
    out = capsys.readouterr().out
    assert reason in out and "Traceback" not in out


def test_the_command_itself(recorder, tmp_path):
    path = recorder.forward(tmp_path / "r.safetensors", recorder.sizes(joints=4))
    command = [sys.executable, "-m", "hulk_hf.conversion.verify"]
    good = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[-1] == "verify: ok, 16 comparisons in 1 recordings"
    bad = subprocess.run([*command, str(tmp_path / "none.json")], capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and "does not exist" in bad.stdout
    assert "Traceback" not in bad.stdout + bad.stderr


def test_sizes_are_really_other(recorder):
    """The sizes above differ from each other and from the defaults, or the tests would prove little."""
    rows = [tuple(asdict(recorder.sizes(**other)).items()) for other in OTHER_SIZES.values()]
    assert len(set(rows)) == len(rows)
