# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches and figures of each family, on made-up people: pictures in which the labels can be seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.skeleton_geometry_hulk import SCORE_FLOOR
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask
from hulk_hf.synthetic.open_body import open_body
from hulk_hf.synthetic.tasks import SYNTHETIC_SETTINGS, SYNTHETIC_TASKS
from hulk_hf.training.augmentation import NO_AUGMENTATION, Augmentation
from hulk_hf.training.examples import action
from hulk_hf.training.examples.action import ActionExamples, normalise_clips, sample_frames
from hulk_hf.training.examples.attributes import AttributeExamples
from hulk_hf.training.examples.bystanders import add_bystanders
from hulk_hf.training.examples.caption import CaptionExamples
from hulk_hf.training.examples.detection import DetectionExamples
from hulk_hf.training.examples.joint_noise import unsettle_joints
from hulk_hf.training.examples.mesh import MeshExamples
from hulk_hf.training.examples.parsing import ParsingExamples
from hulk_hf.training.examples.pose import PoseExamples
from hulk_hf.training.examples.windows import jitter_windows, look, look_at_labels, windows_on

HEIGHT, WIDTH = 64, 48
MIRRORED = replace(NO_AUGMENTATION, flip_probability=1.0)
EXAMPLES = {
    "pose": PoseExamples,
    "parsing": ParsingExamples,
    "detection": DetectionExamples,
    "attributes": AttributeExamples,
    "action": ActionExamples,
    "mesh": MeshExamples,
    "caption": CaptionExamples,
}


def task_of(family: str) -> HulkTask:
    task = next(task for task in SYNTHETIC_TASKS.values() if task.family == family)
    sizes = {"detection": (48, 64), "mesh": (32, 32)}
    return replace(task, image_size=sizes.get(family, (64, 48)), anchors_per_side=3)


@pytest.fixture(scope="module")
def people() -> dict[str, np.ndarray]:
    """Six people whose parts are painted in the brightness of their label; the left arm is at the right edge."""
    random = np.random.default_rng(0)
    parts = np.zeros((6, HEIGHT, WIDTH), np.uint8)
    parts[:, 10:30, 14:34] = 5
    parts[:, 10:30, 34:40] = 14
    parts[:, 10:30, 8:14] = 15
    body = open_body()
    joints = random.uniform(-0.5, 0.5, (6, 14, 3))
    return {
        "images": np.repeat((parts * 12)[..., None], 3, axis=-1),
        "parts": parts,
        "layers": (parts > 0).astype(np.uint8),
        "boxes": np.tile(np.array([8.0, 10.0, 32.0, 20.0], np.float32), (6, 1)),
        "areas": np.full(6, 640),
        "keypoints": np.concatenate([random.uniform(10, 40, (6, 17, 2)), np.full((6, 17, 1), 2)], 2).astype("f4"),
        "attributes": random.integers(-1, 2, (6, SYNTHETIC_TASKS["attributes-synthetic"].num_labels)).astype(np.int8),
        "captions": np.array([[b"a man in a red shirt", b"a man wearing blue trousers", b"this man has a hat"]] * 6),
        "vertices": random.uniform(-1, 1, (6, body.vertices[0], 3)).astype(np.float32),
        "joints_3d": np.concatenate([joints, np.ones((6, 14, 1))], axis=2).astype(np.float32),
        "joints_2d": np.concatenate([random.uniform(8, 40, (6, 14, 2)), np.ones((6, 14, 1))], 2).astype(np.float32),
    }


@pytest.fixture(scope="module")
def scenes() -> dict[str, np.ndarray]:
    """Four scenes of two bright rectangles, the second of which is to be ignored."""
    images, boxes = np.zeros((4, 48, 64, 3), np.uint8), np.zeros((4, 15, 4), np.float32)
    images[:, 8:40, 10:20] = 250
    images[:, 20:40, 40:50] = 120
    boxes[:, 0], boxes[:, 1] = [10, 8, 10, 32], [40, 20, 10, 20]
    ignore = np.ones((4, 15), bool)
    ignore[:, 0] = False
    return {"images": images, "counts": np.full(4, 2), "boxes": boxes, "ignore": ignore}


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    keypoints = random.uniform(100, 400, (5, 2, 120, 17, 3)).astype(np.float16)
    keypoints[..., 2] = 0.9
    return {"keypoints": keypoints, "lengths": np.array([30, 70, 120, 45, 90]), "labels": np.array([0, 3, 3, 1, 2])}


@pytest.fixture(scope="module")
def make(people, scenes, clips):
    def build(family: str, augmentation: Augmentation | None = None):
        data = {"detection": scenes, "action": clips}.get(family, people)
        return EXAMPLES[family](task_of(family), data, data, augmentation)

    return build


@pytest.fixture(scope="module")
def model() -> HulkForHumanAnalysis:
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = HulkConfig.preset(
        "hulk-tiny",
        vision_config={"hidden_size": 32, **sizes},
        decoder_config={"hidden_size": 16, **sizes},
        tasks=[task_of(family) for family in EXAMPLES],
        **SYNTHETIC_SETTINGS,
    )
    model = HulkForHumanAnalysis(config).eval()
    model.set_body("mesh-open", open_body())
    return model


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flatten(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in flatten(value[key])]
    if isinstance(value, list):
        return [leaf for item in value for leaf in flatten(item)]
    return [value.get_state()] if isinstance(value, torch.Generator) else [torch.tensor(value)]


@pytest.mark.parametrize("family", EXAMPLES)
def test_batches_are_a_function_of_the_generator_and_train_the_model(make, model, family):
    examples = make(family)
    batch, again = (examples.batch(seeded(3), 4) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(flatten(batch), flatten(again), strict=True))
    other = examples.batch(seeded(4), 4)
    assert any(
        a.shape != b.shape or not torch.equal(a, b) for a, b in zip(flatten(batch), flatten(other), strict=True)
    )
    batch.pop("part_shares", None)
    output = model.for_family(family)(**batch, task=examples.task.name)
    assert torch.isfinite(output.loss)
    assert output.loss.requires_grad


@pytest.mark.parametrize("family", EXAMPLES)
def test_figures_of_model_and_baseline_have_the_same_names(make, model, family):
    examples = make(family)
    figures = examples.evaluate(model, limit=3)
    assert list(figures) == list(examples.baseline(limit=3))
    assert all(isinstance(value, float | int) for value in figures.values())
    assert not model.training


def test_normalisers_count_boxes_and_pairs(make):
    detection, parsing = make("detection", NO_AUGMENTATION), make("parsing", NO_AUGMENTATION)
    batch = detection.batch(seeded(), 3)
    assert detection.normaliser(batch) == sum(int((~label["iscrowd"]).sum()) for label in batch["labels"])
    assert parsing.normaliser(parsing.batch(seeded(), 3)) == 3 * 4  # background, clothes and two arms
    assert make("pose").normaliser({}) is None


def test_a_window_shows_its_part_of_the_picture():
    picture = torch.arange(12.0).view(1, 3, 4, 1).expand(-1, -1, -1, 3).to(torch.uint8)
    windows = windows_on(torch.tensor([[1.0, 0.0, 2.0, 3.0]]))
    grid = windows.grid((3, 2), (3, 4))
    assert torch.allclose(look(picture, grid)[0, 0], torch.tensor([[1.0, 2.0], [5.0, 6.0], [9.0, 10.0]]), atol=1e-4)
    labels = look_at_labels(picture[..., 0].long(), windows.grid((3, 2), (3, 4)), outside=255)
    assert labels[0].tolist() == [[1, 2], [5, 6], [9, 10]]


def test_points_go_through_a_window_and_back():
    windows = jitter_windows(
        windows_on(torch.tensor([[4.0, 6.0, 20.0, 30.0]]).repeat(8, 1)),
        Augmentation(rotation_probability=1.0),
        seeded(),
    )
    grid = windows.grid((5, 7), (HEIGHT, WIDTH))
    places = (grid + 1) / 2 * torch.tensor([WIDTH, HEIGHT])
    expected = torch.stack(
        torch.meshgrid((torch.arange(5) + 0.5) / 5, (torch.arange(7) + 0.5) / 7, indexing="ij")[::-1], dim=-1
    )
    found = windows.to_window(places.flatten(1, 2)).view(8, 5, 7, 2)
    assert torch.allclose(found, expected.expand_as(found), atol=1e-4)
    # On the way back, each place of the picture is where the window shows it.
    back = windows.grid_back((HEIGHT, WIDTH))
    centre = windows.to_window(torch.tensor([[[10.5, 20.5]]]).repeat(8, 1, 1))[:, 0] * 2 - 1
    assert torch.allclose(back[:, 20, 10], centre, atol=1e-4)


def test_labels_of_parsing_follow_the_pixels_and_swap_sides_in_a_mirror(make):
    plain = make("parsing", NO_AUGMENTATION).batch(seeded(), 2)
    mirrored = make("parsing", MIRRORED).batch(seeded(), 2)
    assert torch.allclose(mirrored["pixel_values"].flip(-1), plain["pixel_values"], atol=1e-3)
    swapped = plain["labels"].clone()
    swapped[plain["labels"] == 14], swapped[plain["labels"] == 15] = 15, 14
    assert torch.equal(mirrored["labels"].flip(-1), swapped)
    brightness = plain["pixel_values"][:, 0] * 0.229 + 0.485  # the mean and deviation of red
    inner = plain["labels"] == 5
    assert brightness[inner].median() == pytest.approx(60 / 255, abs=1e-3)


def test_boxes_of_detection_frame_what_they_are_of(make, scenes):
    examples = make("detection", NO_AUGMENTATION)
    batch = examples.batch(seeded(1), 16)
    for pixels, label in zip(batch["pixel_values"], batch["labels"], strict=True):
        height, width = pixels.shape[1:]
        for (x, y, w, h), crowd in zip(label["boxes"].tolist(), label["iscrowd"].tolist(), strict=True):
            if not crowd:
                bright = (pixels[0] * 0.229 + 0.485 > 0.7).nonzero().float()
                low, high = bright.amin(dim=0), bright.amax(dim=0) + 1
                expected = torch.tensor([(x - w / 2) * width, (x + w / 2) * width])
                assert torch.allclose(torch.stack([low[1], high[1]]), expected, atol=1.5)
                expected = torch.tensor([(y - h / 2) * height, (y + h / 2) * height])
                assert torch.allclose(torch.stack([low[0], high[0]]), expected, atol=1.5)


def test_a_mirrored_body_is_seen_where_its_joints_are_and_keeps_its_shape(make, people):
    examples = make("mesh", replace(MIRRORED, rotation=40.0, rotation_probability=1.0))
    joints, vertices = people["joints_3d"], people["vertices"]
    batch = examples.batch(seeded(2), 6)
    rows = examples.draw(seeded(2), 6)
    labels = batch["labels"]
    order = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]
    # Depths and distances of the sides that were swapped stay as they were.
    assert np.allclose(labels["joints_3d"][..., 2], joints[rows][:, order, 2], atol=1e-5)
    lengths = np.linalg.norm(joints[rows][:, order, :3], axis=-1)
    assert np.allclose(labels["joints_3d"][..., :3].norm(dim=-1), lengths, atol=1e-5)
    assert np.allclose(
        labels["vertices"][0].norm(dim=-1).sort(dim=1).values,
        np.sort(np.linalg.norm(vertices[rows], axis=-1)),
        atol=1e-5,
    )


def test_a_turned_picture_turns_body_and_joints_alike(people):
    # A body whose joints are seen where a camera of one metre to 20 pixels sees them.
    seen = people["joints_3d"][..., [0, 1, 3]] * [20, 20, 1] + [23.5, 19.5, 0]
    flat = {**people, "joints_2d": seen.astype(np.float32)}
    augmentation = replace(NO_AUGMENTATION, rotation=60.0, rotation_probability=1.0, flip_probability=0.5)
    examples = MeshExamples(task_of("mesh"), flat, flat, augmentation)
    labels = examples.batch(seeded(5), 6)["labels"]
    seen = labels["joints_2d"][..., :2] * 20  # half of the window is 1.25 * 32 / 2 pixels
    assert torch.allclose(seen.float(), labels["joints_3d"][..., :2] * 20, atol=1e-3)


def test_captions_that_say_left_are_not_mirrored(people):
    sided = {**people, "captions": np.array([[b"a bag in the left hand"] * 3] * 6)}
    plain = CaptionExamples(task_of("caption"), sided, sided, NO_AUGMENTATION).batch(seeded(), 4)
    mirrored = CaptionExamples(task_of("caption"), sided, sided, MIRRORED).batch(seeded(), 4)
    assert torch.equal(plain["pixel_values"], mirrored["pixel_values"])
    examples = CaptionExamples(task_of("caption"), people, people, NO_AUGMENTATION)
    labels = examples.batch(seeded(), 4)["labels"]
    assert (labels[:, 0] == SYNTHETIC_SETTINGS["bos_token_id"]).all()
    assert ((labels == SYNTHETIC_SETTINGS["eos_token_id"]).sum(dim=1) == 1).all()
    words = examples.tokenizer.batch_decode(labels, skip_special_tokens=True)
    assert set(words) <= {text.decode() for text in people["captions"][0]}


@pytest.mark.parametrize("length", [4, 15, 40])
def test_frames_run_forward_inside_the_clip(length):
    frames = sample_frames(torch.tensor([length] * 50), 10, 7, seeded())
    assert frames.shape == (50, 70)
    assert frames.min() >= 0
    assert frames.max() < length
    runs = frames.view(50, 10, 7)
    assert ((runs[..., 1:] - runs[..., :-1]) <= 1).all()
    starts = runs[..., 0]
    if length >= 10:
        assert (starts[:, 1:] > starts[:, :-1]).all()
    if length >= 20:  # one of each segment
        assert torch.equal(starts * 10 // length, torch.arange(10).expand(50, -1))


def test_clips_are_scaled_by_the_joints_that_were_found():
    clips = torch.full((1, 1, 3, 2, 3), 5.0)
    clips[0, 0, 0, 0] = torch.tensor([100.0, 50.0, 0.9])
    clips[0, 0, 1, 1] = torch.tensor([200.0, 90.0, 0.8])
    clips[0, 0, 0, 1] = torch.tensor([900.0, 900.0, 0.0])
    clips[0, 0, 1, 0, 2] = 0.0
    scaled = normalise_clips(clips, torch.tensor([2]))  # the third frame lies behind the end
    assert scaled[0, 0, 0, 0, :2].tolist() == [-1.0, -1.0]
    assert scaled[0, 0, 1, 1, :2].tolist() == [1.0, 1.0]
    assert scaled[0, 0, 0, 1, :2].tolist() == [0.0, 0.0]


def test_noise_of_joints_lasts_grows_and_swaps_sides_of_limbs_only():
    generator = seeded(3)
    joints = torch.stack([torch.linspace(100, 200, 17), torch.linspace(400, 100, 17).roll(3)], dim=-1)
    clips = torch.cat([joints, torch.full((17, 1), 0.9)], dim=-1).expand(64, 2, 100, 17, 3).clone()
    clips[:, 1] = 0.0  # nobody
    clips[:, 0, 20:30, 4] = 0.0
    noisy = unsettle_joints(clips, 0.1, generator)
    assert torch.equal(noisy, unsettle_joints(clips, 0.1, seeded(3)))
    assert (noisy[:, 1] == 0).all() and (noisy[:, 0, 20:30, 4] == 0).all()
    there = noisy[:, 0, :, 0, 2] > 0
    scores = noisy[:, 0][there][:, [0, *range(5, 17)], 2]
    assert scores.min() > SCORE_FLOOR and scores.max() <= 0.9 and (noisy[:, 0][~there] == 0).all()
    sure = noisy[:, 0, :, 0, 2].sum(dim=1) / there.sum(dim=1)
    assert sure.max() > 0.85 and sure.min() < 0.4 and sure.std() > 0.1  # clips differ
    lost = (~there).float().mean(dim=1)
    assert lost.min() == 0 and 0.02 < lost.mean() < 0.2 and lost.max() > 0.2
    begun = (~there[:, 1:] & there[:, :-1]).sum()
    assert (~there).sum() > 2 * begun  # for some frames in a row

    size = (100 * 300) ** 0.5
    shift = (noisy - clips)[:, 0, :, 0, :2] / size  # of the nose, which has no side to be swapped with
    errors = torch.stack([row[here].abs().mean() for row, here in zip(shift, there, strict=True)])
    assert 0.01 < errors.mean() < 0.08 and errors.min() < 0.3 * errors.mean() < errors.mean() < errors.max()
    wrist = (noisy - clips)[:, 0, :, 9, :2].norm(dim=-1)[there].median()
    assert 1.4 < wrist / (noisy - clips)[:, 0, :, 0, :2].norm(dim=-1)[there].median() < 8  # sides are swapped, too
    both = there[:, 1:] & there[:, :-1]
    change = (shift[:, 1:] - shift[:, :-1])[both].std() / shift[there].std()
    assert change < 1.2  # independent frames: 1.41

    slight = unsettle_joints(clips, 1e-6, seeded(5))[:, 0]
    slight = slight[slight[:, :, 0, 2] > 0]
    swapped = {
        pair: ((slight[:, pair[0], :2] - joints[pair[1]]).norm(dim=-1) < 1).float()
        for pair in ((5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (1, 2), (3, 4))
    }
    assert swapped[1, 2].sum() == swapped[3, 4].sum() == 0
    assert 0.1 < swapped[5, 6].mean() < 0.3 and 0.1 < swapped[11, 12].mean() < 0.3
    assert torch.equal(swapped[5, 6], swapped[9, 10]) and torch.equal(swapped[11, 12], swapped[15, 16])
    assert not torch.equal(swapped[5, 6], swapped[11, 12])


def test_bystanders_stand_beside_people_and_cover_what_they_stand_before():
    images = torch.zeros(200, 60, 40, 3, dtype=torch.uint8)
    layers = torch.zeros(200, 60, 40, dtype=torch.uint8)
    boxes = torch.tensor([15.0, 10.0, 10.0, 40.0]).expand(200, 4)
    layers[:, 10:50, 15:25] = 1
    images[:, 10:50, 15:25] = torch.arange(200, dtype=torch.uint8)[:, None, None, None] + 40
    given = images.clone()
    mixed, added = add_bystanders(images, boxes, layers, 0.6, seeded())
    assert torch.equal(images, given) and mixed.dtype == torch.uint8
    changed = (mixed != images).any(dim=-1)
    assert torch.equal(added, changed)
    assert 0.4 < changed.flatten(1).any(dim=1).float().mean() < 0.65  # some are beyond the edge
    for row in torch.nonzero(changed.flatten(1).any(dim=1))[:, 0].tolist():
        seen, before = mixed[row][changed[row]].float(), 40 + (row - 1) % 200  # the person of the picture before
        assert seen.median() == before and seen.max() <= before and seen.min() >= before // 2  # mixed at its edge
        ys, xs = torch.nonzero(changed[row], as_tuple=True)
        assert ys.max() <= 50 + 0.08 * 40 and ys.min() >= 50 - 40 * 1.15 - 0.08 * 40 - 1
        assert xs.min() < 15 or xs.max() >= 25
    covered = (changed & (layers > 0)).flatten(1).any(dim=1).sum() / changed.flatten(1).any(dim=1).sum()
    assert 0.08 < covered < 0.3  # a quarter would stand in front, and some would cover too much
    assert torch.equal(add_bystanders(images[:1], boxes[:1], layers[:1], 1.0, seeded())[0], images[:1])
    lost = (changed & (layers > 0)).sum(dim=(1, 2)) / (layers > 0).sum(dim=(1, 2))
    assert 0.2 < lost.max() < 0.35


def test_bystanders_bring_what_they_carry_and_do_not_cover_what_others_do_or_what_hides_them():
    images = torch.full((40, 60, 40, 3), 10, dtype=torch.uint8)
    layers = torch.zeros(40, 60, 40, dtype=torch.uint8)
    boxes = torch.tensor([15.0, 10.0, 10.0, 40.0]).expand(40, 4)
    layers[:, 10:50, 15:25] = 1
    layers[:, 20:30, 25:32] = 1  # a bag beside the body
    images[:, 20:30, 25:32] = 200
    layers[:, 40:50, 5:35] = 2  # a hedge
    mixed, added = add_bystanders(images, boxes, layers, 1.0, seeded())
    assert ((mixed[..., 0] == 200) & (layers == 0)).flatten(1).any(dim=1).float().mean() > 0.5
    behind = ~(added & (layers == 1)).flatten(1).any(dim=1)
    assert 0.6 < behind.float().mean() < 0.95
    assert torch.equal(mixed[behind][:, 20:30, 25:32], images[behind][:, 20:30, 25:32])
    assert not (added & (layers == 2))[behind].any() and added[behind].flatten(1).any(dim=1).any()


@pytest.mark.parametrize("family", ["pose", "parsing", "attributes", "caption", "mesh"])
def test_recipes_ask_for_bystanders(make, family):
    # Without any other change nothing else can make the pictures differ.
    plain, company = (make(family, replace(NO_AUGMENTATION, bystander_probability=share)) for share in (0.0, 1.0))
    first, other = (each.batch(seeded(2), 6) for each in (plain, company))
    assert first["pixel_values"].shape == other["pixel_values"].shape
    changed = (first["pixel_values"] != other["pixel_values"]).flatten(1).any(dim=1)
    assert changed.any()
    assert torch.equal(other["pixel_values"], company.batch(seeded(2), 6)["pixel_values"])
    if family == "parsing":  # who stands in front takes parts away
        lost = (first["labels"] != other["labels"]).flatten(1).any(dim=1)
        assert lost.any() and not (lost & ~changed).any()


def test_recipes_ask_for_noise_of_joints(make, monkeypatch):
    asked = []
    monkeypatch.setattr(
        action, "unsettle_joints", lambda keypoints, noise, _: asked.append(noise) or torch.zeros_like(keypoints)
    )
    assert make("action").batch(seeded(), 3)["skeletons"].any() and not asked
    assert not make("action", Augmentation(joint_noise=0.1)).batch(seeded(), 3)["skeletons"].any()
    assert asked == [0.1]


def test_the_mean_pose_and_the_most_frequent_answers_are_what_they_say(make, clips):
    assert make("attributes").baseline()["mA"] <= 1.0
    assert make("action").baseline()["top1"] == pytest.approx(2 / 5)  # class 3 is the most frequent
    assert make("parsing").baseline()["pACC"] == pytest.approx(1 - 640 / (HEIGHT * WIDTH))
    assert make("mesh").baseline()["MPJPE"] > 0
    assert math.isclose(make("caption").baseline()["slots"], 1.0)


def test_tasks_are_whole_and_known_ones_keep_their_labels():
    for name, task in SYNTHETIC_TASKS.items():
        if name in KNOWN_TASKS:
            assert task.labels == KNOWN_TASKS[name].labels
    assert {task.family for task in SYNTHETIC_TASKS.values()} == set(EXAMPLES)
    config = HulkConfig.preset("hulk-tiny", tasks=list(SYNTHETIC_TASKS.values()), **SYNTHETIC_SETTINGS)
    assert config.skeleton_config.num_frames == SYNTHETIC_SETTINGS["skeleton_config"]["num_frames"]
