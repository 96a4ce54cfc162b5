# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Parsing recordings: the official ones agree, so do those of a second implementation at other sizes, errors show.

The second implementation takes the trunk of `recorder` and adds the official head, test path and loss in plain form:
channels first, a mask made whole for every part, one pair of a picture and a part after the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity_parsing import check_forward, check_loss
from hulk_hf.conversion.recordings import RecordingError, read_recording

DENSE = "proj_dense_labeling"
UP = f"{DENSE}.upsample_network"
PREDICTOR = "config.decoder.kwargs.transformer_predictor_cfg"
LOSS = "config.label_proj.kwargs.loss_cfg.kwargs.cfg"
MASK = "patch_diag_label_row_textlabelfull"

OTHER_SIZES = {
    "default": {},
    "wide pictures, many parts": {"image_size": (48, 112), "joints": 9, "batch": 3},
    "one picture, one decoder layer": {"batch": 1, "decoder_layers": 1},
    "deep": {"decoder_layers": 6, "decoder_heads": 8, "encoder_layers": 4},
    "wider up-sampler, other text": {"upsampler": 20, "text": 30},
    "loss of fewer layers": {"decoder_layers": 5, "loss_layers": 3},
    "other loss weights": {"mask_weight": 3.0, "class_weight": 0.5},
    "no pairs to flip": {"flip_pairs": ()},
    "the set without known pairs": {"task": 20, "joints": 14, "flip_pairs": ()},
}


def head(weights: dict[str, torch.Tensor], states: torch.Tensor, grid: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    """Mask and class logits from query states (B, h * w, d)."""
    labels = F.normalize(F.linear(weights[f"{DENSE}.text_features"], weights[f"{DENSE}.class_proj.weight"]), dim=-1)
    cells = F.linear(states, weights[f"{DENSE}.patch_proj.weight"]).transpose(1, 2).unflatten(2, grid)
    cells = F.conv_transpose2d(cells, weights[f"{UP}.0.weight"], weights[f"{UP}.0.bias"], stride=2)
    mean, var = cells.mean(1, keepdim=True), cells.var(1, unbiased=False, keepdim=True)
    scale, shift = (weights[f"{UP}.1.{part}"][:, None, None] for part in ("weight", "bias"))
    cells = F.gelu((cells - mean) / (var + 1e-6).sqrt() * scale + shift)
    cells = F.conv_transpose2d(cells, weights[f"{UP}.3.weight"], weights[f"{UP}.3.bias"], stride=2)
    maps = torch.einsum("bdhw,kd->bhwk", F.normalize(cells, dim=1), labels)
    norm = f"{DENSE}.post_mul_norm"
    maps = F.layer_norm(maps, maps.shape[-1:], weights[f"{norm}.weight"], weights[f"{norm}.bias"], 1e-6)
    return maps.permute(0, 3, 1, 2), states.mean(1) @ labels.T


class Second:
    """The second implementation at some sizes, and its recordings."""

    def __init__(self, recorder: Any, **sizes: Any):
        self.recorder = recorder
        self.s = s = recorder.sizes(**{"mask": MASK, "task": 17, "flip_pairs": ((1, 2),), **sizes})
        pose = recorder.weights(s)
        width, inner = s.decoder_width, s.upsampler or s.decoder_width
        generator = torch.Generator().manual_seed(7)
        self.trunk = {name: tensor for name, tensor in pose.items() if not name.startswith(UP)}
        self.pose_head = {name: tensor for name, tensor in pose.items() if name.startswith(UP)}
        shapes = {"0.weight": (width, inner, 2, 2), "0.bias": (inner,), "1.weight": (inner,), "1.bias": (inner,)}
        shapes |= {"3.weight": (inner, width, 2, 2), "3.bias": (width,)}
        self.upsampler = {f"{UP}.{name}": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        self.images = 255 * torch.rand(s.batch, 3, *s.image_size, generator=generator)

    def states(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Stages of the trunk; what the head of `recorder` makes of them is left out."""
        out = self.recorder.run({**self.trunk, **self.pose_head}, images, self.s)
        return {name: tensor for name, tensor in out.items() if not name.startswith(("heatmap", "presence"))}

    def layers(self, out: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Query states, the last layer first."""
        auxiliary = [out[f"decoder_label_aux{index}"] for index in range(self.s.decoder_layers - 1)]
        return [out["decoder_label"], *auxiliary]

    def weights(self) -> dict[str, torch.Tensor]:
        """All official weights, aliases included."""
        alias = {f"{UP}.1.ln.{part}": self.upsampler[f"{UP}.1.{part}"] for part in ("weight", "bias")}
        return {**self.trunk, **self.upsampler, **alias}

    def info(self, loss: dict[str, Any], **head_options: Any) -> dict[str, Any]:
        """The JSON of a recording."""
        s = self.s
        predictor = {
            "nheads": s.decoder_heads, "pre_norm": False, "self_attn_mask_type": s.mask,
            "adding_per_layer_pe": True, "use_adapt_pos2d": True,
        }  # fmt: skip
        options = {"cls_loss_branch": True, "post_mul_norm": True, "upsample_before_product": True, **head_options}
        return {
            "task": s.task,
            "config": {
                "backbone": {"kwargs": {"drop_path_rate": 0.0, "num_heads": s.encoder_heads}},
                "patch_adapter": {"kwargs": {"img_size": list(s.image_size)}},
                "decoder": {"kwargs": {"transformer_predictor_cfg": predictor}},
                "label_proj": {"kwargs": {**options, "loss_cfg": {"kwargs": {"cfg": loss}}}},
                "model_entry_kwargs": {"test_flag": "par_flip", "flip_channels": [list(p) for p in s.flip_pairs]},
            },
        }

    @torch.no_grad()
    def forward(self, path: Path, truth: tuple[int, int] | None = None) -> Path:
        """Record the flip test; with `truth` all results have the size of the ground truth."""
        s, passes = self.s, {}
        for prefix, images in {"": self.images, "flip.": self.images.flip(-1)}.items():
            out = self.states(images)
            maps, classes = head(self.weights(), out["decoder_label"], s.grid)
            out["dense_masks"] = maps.sigmoid() * classes.sigmoid()[..., None, None]
            # The official head squeezes a batch of one away.
            out["dense_pred_classes"] = classes.sigmoid().squeeze(0)
            passes |= {prefix + name: tensor for name, tensor in out.items()}
        sizes = [truth or (61 + 9 * index, 50 + 20 * index) for index in range(s.batch)]
        order = list(range(s.joints))
        for first, second in s.flip_pairs:
            order[first], order[second] = second, first
        for index, size in enumerate(sizes):
            plain, mirrored = (
                F.interpolate(
                    F.interpolate(passes[f"{prefix}dense_masks"][index][None], s.image_size, mode="bilinear"),
                    size,
                    mode="bilinear",
                )[0]
                for prefix in ("", "flip.")
            )
            passes[f"proj_label.{index}.sem_seg"] = plain
            passes[f"final.pred.{index}.sem_seg"] = (plain + mirrored.flip(-1)[order]) / 2
        tensors = {f"sd.{name}": tensor for name, tensor in self.weights().items()}
        tensors |= {"in.image": self.images, **{f"out.{name}": tensor for name, tensor in passes.items()}}
        tensors |= {"in.height": torch.tensor([size[0] for size in sizes])}
        tensors |= {"in.width": torch.tensor([size[1] for size in sizes])}
        if truth:
            tensors["in.gt"] = torch.zeros(s.batch, *truth, dtype=torch.long)
            tensors["in.height"] += 5
        return self.recorder.write(path, tensors, self.info({}, mask_times_cls=True))

    def loss(self, path: Path) -> Path:
        """Record a training step. Parts are listed in no order, the padding as a part of its own."""
        s, generator = self.s, torch.Generator().manual_seed(2)
        trained = {
            name: tensor.requires_grad_()
            for name, tensor in {**self.trunk, **self.upsampler}.items()
            if not name.endswith(("pos_embed", "query_embed_patch", "query_embed_label", "text_features"))
        }
        out = self.states(self.images)
        blocks = torch.randint(0, s.joints, (s.batch, 2 * s.grid[0], 2 * s.grid[1]), generator=generator)
        labels = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
        labels[:, -12:] = s.joints
        tensors, pairs = {}, []
        for index, label in enumerate(labels):
            parts = label.unique()
            parts = parts[torch.randperm(len(parts), generator=generator)]
            tensors[f"in.instances.{index}.gt_classes"] = parts
            tensors[f"in.instances.{index}.gt_masks"] = label == parts[:, None, None]
            pairs += [(index, part) for part in parts.tolist() if part != s.joints]
        ratios = torch.rand(s.joints, generator=generator).tolist()
        weights = {"mask_weight": s.mask_weight, "dice_weight": 7.0, "class_weight": s.class_weight}
        terms, present = {}, torch.zeros(s.batch, s.joints)
        present[tuple(torch.tensor(pairs).T)] = 1.0
        r = torch.tensor(ratios)
        balance = torch.exp(present * (1 - r) + (1 - present) * r)
        for layer, states in enumerate(self.layers(out)[: s.loss_layers]):
            maps, classes = head(self.weights(), states, s.grid)
            points = torch.rand(len(pairs), 33, 2, generator=generator)
            tensors[f"in.point_coords_{layer}"] = points
            mask, dice = 0.0, 0.0
            for (index, part), where in zip(pairs, points, strict=True):
                planes = (maps[index, part], (labels[index] == part).float())
                grid = (2 * where - 1)[None, None]
                x, y = (F.grid_sample(plane[None, None], grid, align_corners=False)[0, 0, 0] for plane in planes)
                mask = mask + F.binary_cross_entropy_with_logits(x, y)
                p = x.sigmoid()
                dice = dice + 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
            suffix = f"_{layer - 1}" if layer else ""
            cross = F.softplus(classes) - classes * present
            for name, value in (
                ("mask", s.mask_weight * mask / len(pairs)),
                ("dice", 7.0 * dice / len(pairs)),
                ("bce", s.class_weight * (cross * balance).mean()),
            ):
                terms[f"loss_dense_labeling_{name}{suffix}"] = value
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        info = self.info({**weights, "sample_weight": ratios, "ignore_index": s.joints, "cls_weight_sample": True})
        info["losses"] = {"loss_rgb": 0.0, **{name: term.item() for name, term in terms.items()}}
        info["total_loss_sum_of_terms_with_loss_in_name"] = total.item()
        norms = {name: 0.0 if t.grad is None else t.grad.norm().item() for name, t in trained.items()}
        info["grad_norms"] = norms
        info["params_without_grad"] = [name for name, norm in norms.items() if norm == 0]
        tensors |= {f"sd.{name}": tensor for name, tensor in self.weights().items()}
        tensors |= {"in.image": self.images, "in.label": labels}
        tensors |= {f"out.{name}": out[name] for name in ("backbone", "decoder_label")}
        tensors |= {f"out.{name}": term for name, term in terms.items()}
        return self.recorder.write(path, tensors, info)


def failed(report: Report) -> list[str]:
    return [comparison.stage for comparison in report.comparisons if not comparison.passed]


def altered(path: Path, tensors: Any = None, info: Any = None) -> Path:
    """Change a recording in place: `tensors` its tensors, `info` its JSON."""
    loaded, described = load_file(path), json.loads(path.with_suffix(".json").read_text())
    for change, value in ((tensors, loaded), (info, described)):
        if change is not None:
            change(value)
    save_file(loaded, path)
    path.with_suffix(".json").write_text(json.dumps(described))
    return path


def put(info: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for key in outer:
        info = info.setdefault(key, {})
    info[last] = value


@pytest.mark.parametrize("task", [17, 18, 19])
def test_official_forwards_agree(shared, task):
    report = check_forward(read_recording(shared / "golden" / f"golden_tiny_task{task}_a.safetensors"))
    assert report.passed, failed(report)
    stages = {comparison.stage for comparison in report.comparisons}
    assert {"decoder", "part probabilities", "mirrored pass: part probabilities", "flip test, picture 1"} <= stages
    assert not {reason for reason in report.left_out.values() if "no counterpart" in reason}


@pytest.mark.parametrize("task", [17, 18, 19])
def test_official_training_steps_agree(shared, task):
    report = check_loss(read_recording(shared / "golden" / f"golden_tiny_task{task}_a_loss.safetensors"))
    assert report.passed, failed(report)
    names = {comparison.stage for comparison in report.comparisons}
    for term in ("mask", "dice", "bce"):
        assert {f"loss_dense_labeling_{term}", f"loss_dense_labeling_{term}_0"} <= names
    assert sum(name.startswith("gradient ") for name in names) > 60


@pytest.mark.parametrize("sizes", OTHER_SIZES.values(), ids=OTHER_SIZES.keys())
def test_other_forwards_agree(recorder, tmp_path, sizes):
    report = check_forward(read_recording(Second(recorder, **sizes).forward(tmp_path / "r.safetensors")))
    assert report.passed, failed(report)
    assert len(report.comparisons) >= 10 and not report.left_out


@pytest.mark.parametrize("sizes", OTHER_SIZES.values(), ids=OTHER_SIZES.keys())
def test_other_training_steps_agree(recorder, tmp_path, sizes):
    report = check_loss(read_recording(Second(recorder, **sizes).loss(tmp_path / "r.safetensors")))
    assert report.passed, failed(report)


def test_results_have_the_size_of_the_ground_truth_where_there_is_one(recorder, tmp_path):
    report = check_forward(read_recording(Second(recorder).forward(tmp_path / "r.safetensors", truth=(40, 33))))
    assert report.passed, failed(report)


def test_what_differs_is_found(recorder, tmp_path):
    second = Second(recorder)
    path = second.forward(tmp_path / "r.safetensors")

    def change(tensors):
        tensors["out.final.pred.1.sem_seg"][2, 3, 4] += 1e-3
        tensors["out.flip.dense_pred_classes"][0, 0] += 1e-3

    report = check_forward(read_recording(altered(path, change)))
    assert failed(report) == ["mirrored pass: presence probabilities", "flip test, picture 1"]
    # The pairs of the recording are used, not those of the known task.
    altered(second.forward(path), info=lambda info: put(info, "config.model_entry_kwargs.flip_channels", [[0, 1]]))
    assert failed(check_forward(read_recording(path))) == ["flip test, picture 0", "flip test, picture 1"]


def test_a_loss_that_differs_is_found(recorder, tmp_path):
    path = Second(recorder).loss(tmp_path / "r.safetensors")

    def change(info):
        info["losses"]["loss_dense_labeling_dice_1"] *= 1 + 1e-4
        info["grad_norms"][f"{DENSE}.patch_proj.weight"] *= 1 + 2e-3

    report = check_loss(read_recording(altered(path, info=change)))
    assert failed(report) == ["loss_dense_labeling_dice_1", f"gradient {DENSE}.patch_proj.weight"]


def test_the_points_are_those_of_the_pairs_as_listed(recorder, tmp_path):
    """Parts are listed in no order; a loss that paired points with sorted parts would fail."""
    path = Second(recorder).loss(tmp_path / "r.safetensors")
    listed = load_file(path)["in.instances.0.gt_classes"].tolist()
    assert listed != sorted(listed)
    altered(path, lambda t: t.update({"in.point_coords_0": t["in.point_coords_0"].flip(0)}))
    assert {"loss_dense_labeling_mask", "loss_dense_labeling_dice"} <= set(failed(check_loss(read_recording(path))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{LOSS}.loss_per_class", False),
        (f"{LOSS}.cls_weight_sample", False),
        (f"{LOSS}.loss_weight", 2.0),
        (f"{LOSS}.dice_weight", None),
        (f"{LOSS}.sample_weight", None),
        ("config.label_proj.kwargs.upsample_before_product", False),
        ("config.label_proj.kwargs.post_mul_norm", False),
        ("config.backbone.kwargs.drop_path_rate", 0.1),
        (f"{PREDICTOR}.pre_norm", True),
    ],
)
def test_a_training_step_with_options_we_lack_is_refused(recorder, tmp_path, path, value):
    recording = Second(recorder).loss(tmp_path / "r.safetensors")
    with pytest.raises(RecordingError, match="not supported"):
        check_loss(read_recording(altered(recording, info=lambda info: put(info, path, value))))


def test_maps_without_presence_are_refused(recorder, tmp_path):
    path = Second(recorder).forward(tmp_path / "r.safetensors")
    altered(path, info=lambda info: put(info, "config.label_proj.kwargs.mask_times_cls", False))
    with pytest.raises(RecordingError, match="mask_times_cls is False"):
        check_forward(read_recording(path))
    altered(
        path, lambda t: t.pop("out.dense_masks"), lambda i: put(i, "config.label_proj.kwargs.mask_times_cls", True)
    )
    with pytest.raises(RecordingError, match="holds no maps"):
        check_forward(read_recording(path))


def test_targets_that_no_map_of_labels_can_say_are_refused(recorder, tmp_path):
    path = Second(recorder).loss(tmp_path / "r.safetensors")
    altered(path, lambda t: t["in.instances.1.gt_masks"].fill_(True))
    with pytest.raises(RecordingError, match="in.instances.1: parts that overlap"):
        check_loss(read_recording(path))
    altered(path, lambda t: t["in.instances.1.gt_masks"].fill_(False))
    with pytest.raises(RecordingError, match="in.instances.1: parts .* have no pixel"):
        check_loss(read_recording(path))


def test_a_loss_without_its_points_is_refused(recorder, tmp_path):
    path = Second(recorder, decoder_layers=1).loss(tmp_path / "r.safetensors")
    altered(path, lambda t: t.update({"in.point_coords_0": t["in.point_coords_0"][1:].clone()}))
    with pytest.raises(RecordingError, match="in.point_coords_.*: expected points for"):
        check_loss(read_recording(path))
    altered(path, lambda t: t.pop("in.point_coords_0"))
    with pytest.raises(RecordingError, match=r"in.point_coords_.* got \[\]"):
        check_loss(read_recording(path))
