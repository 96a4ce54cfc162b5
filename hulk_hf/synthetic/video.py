# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Videos of several people who move about on one ground, with everything that is known about every frame.

>>> clip = render_clip(0, actions=("walking", "waving", "jumping"), num_frames=2)  # doctest: +SKIP

Frames come one by one, so a video of any length takes the memory of one frame and of the joints' movements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import pi

import numpy as np

from .actions import SINGLE_ACTIONS, gallop, stand, stride, to_and_fro
from .body import COCO_KEYPOINTS, MESHES, forward_kinematics, skin, vertex_normals
from .effects import sample_light
from .figure import Figure
from .ground import draw_ground, stand_camera
from .motion import turned
from .open_body import coarse_vertices
from .outfits import sample_outfit
from .person import _blend, _drawn, _visible_keypoints, draw_figure
from .poses import Pose, Z, rotation
from .rasteriser import extent, vertex_thickness
from .renderer import Camera, Light, cast_shadow
from .splits import banded, generator
from .tracks import Motion, Track, perform, sample_actor
from .wardrobe import compile_outfit, vertex_clip

_PACING = ("walking", "running")
_SEED_OFFSET = 1 << 40  # numbers of videos are none of pictures or clips


@dataclass(frozen=True)
class _Player:
    """Somebody in the video: how it moves and where (angle, place of the start), the vertices of its body at rest
    (V, 3) and what clothes add to them (V, 1), and a figure with all that stays the same."""

    action: str
    motion: Motion
    lift: np.ndarray
    angle: float
    place: np.ndarray
    rest: np.ndarray
    lifted: np.ndarray
    still: Figure

    def depth(self, frame: int) -> float:
        """Metres in front of the camera."""
        return float(turned(self.motion.root[frame], self.angle, self.place)[1])

    def figure(self, frame: int) -> Figure:
        """The person in a frame, standing on the ground or `lift` above it."""
        still, body = self.still, self.still.body
        local = self.motion.local[frame].copy()
        local[0] = rotation(Z, self.angle) @ local[0]
        rotations, translations, _ = forward_kinematics(local, self.motion.actor.heads, body.bone_parents)
        posed = skin(self.rest, body.skin_weights, body.skin_bones, rotations, translations)
        normals = vertex_normals(posed, still.faces)
        shift = turned(self.motion.root[frame], self.angle, self.place).astype(np.float32)
        vertices = posed + normals * self.lifted
        shift[2] = self.lift[frame] - vertices[body.mesh_vertices["body"], 2].min()
        return replace(
            still,
            vertices=vertices + shift,
            normals=normals,
            keypoints=body.keypoints(posed) + shift,
            coarse=coarse_vertices(posed) + shift,
            pose=Pose(local, self.action, ("", "")),
        )


def _paces(half: float) -> Callable[[np.random.Generator, np.ndarray, str], Track]:
    """Somebody who walks or runs to and fro, about `half` metres to both sides of where it begins."""

    def draw(rng: np.random.Generator, seconds: np.ndarray, action: str) -> Track:
        track = stand(rng, seconds)
        running = action == "running"
        rate, size = (1.3, 0.6) if running else (rng.uniform(0.8, 0.95), rng.uniform(0.34, 0.42))
        speed = (5 if running else 4) * rate * np.sin(size) * 0.8
        period, turn = 2 * half / speed, 0.9
        since = seconds - seconds[0] + period * rng.uniform(0.3, 0.5)
        track.move(heading=to_and_fro(since, period, turn), bend=0.06 + 0.1 * running)
        phase = 2 * pi * rate * seconds + rng.uniform(0, 2 * pi)
        if running:
            gallop(track, phase, size, 0.05)
        else:
            stride(track, phase, size, rng.uniform(0.6, 1.0))
        return track

    return draw


def _dressed(rng: np.random.Generator, split: str, motion: Motion) -> tuple[np.ndarray, np.ndarray, Figure]:
    """Dresses somebody: `rest`, `lifted` and `still` of a `_Player`."""
    actor, body = motion.actor, motion.actor.body
    rest, _ = body.shape(actor.coefficients)
    outfit = sample_outfit(rng, split, actor.gender, actor.age)
    table = compile_outfit(outfit)
    absent = {"hair": outfit.hair_length is None, "skirt": outfit.skirt_hem is None}
    faces, face_regions, _ = _drawn(tuple(mesh for mesh in MESHES if not absent.get(mesh)))
    lifted = vertex_thickness(body.canonical, body.regions, body.along, table.bounds, table.starts, table.thickness)
    clip = vertex_clip(outfit, body)
    drawn = np.unique(faces)
    still = Figure(
        body=body,
        vertices=rest,
        normals=vertex_normals(rest, faces),
        keypoints=body.keypoints(rest),
        coarse=coarse_vertices(rest),
        faces=faces,
        face_regions=face_regions,
        clip=clip,
        outline=drawn[clip[drawn] >= 0],
        table=table,
        outfit=outfit,
        pose=Pose(motion.local[0], "", ("", "")),
        height=float(np.ptp(rest[body.mesh_vertices["body"][::3], 2])),
        gender=actor.gender,
        age=actor.age,
        things=(),
    )
    return rest, lifted[:, None], still


def _facing(rng: np.random.Generator, split: str) -> float:
    """A direction of the split, less than 50 degrees from towards the camera."""
    while True:
        angle = 2 * pi * banded(rng, split, 64)
        if abs((angle + pi) % (2 * pi) - pi) < 0.87:
            return angle


class VideoScene:
    """A video that is drawn while it is read: `for frame in VideoScene(3): ...`.

    Args:
        number: which video of the split, >= 0; the same arguments give the same video.
        split: "train", "validation" or "test"; `splits` says how they differ.
        actions: names of `actions.SINGLE_ACTIONS`, one for each person; those who walk or run do so to and fro.
        num_frames: how many frames.
        frame_rate: frames per second.
        size: (height, width) in pixels.

    Raises:
        ValueError: An unknown action, or an argument that is out of range; the error names it.
    """

    def __init__(
        self,
        number: int = 0,
        split: str = "test",
        actions: Sequence[str] = ("walking", "waving", "jumping"),
        num_frames: int = 150,
        frame_rate: float = 15.0,
        size: tuple[int, int] = (360, 640),
    ):
        unknown = sorted(set(actions) - set(SINGLE_ACTIONS))
        if unknown or not 1 <= len(actions) <= 8:
            raise ValueError(f"actions must be one to eight of {', '.join(SINGLE_ACTIONS)}; got {list(actions)!r}")
        if num_frames < 2 or frame_rate <= 0 or min(size) < 32:
            raise ValueError(
                "num_frames must be >= 2, frame_rate > 0 and both of size >= 32; "
                f"got {num_frames!r}, {frame_rate!r} and {size!r}"
            )
        rng = generator(split, number + _SEED_OFFSET)
        self.actions, self.frame_rate, self.size = tuple(actions), float(frame_rate), (int(size[0]), int(size[1]))
        self.num_frames = num_frames
        height, width = self.size
        focal = rng.uniform(1.5, 1.7) * height
        self.camera: Camera = stand_camera(self.size, focal, rng.uniform(1.3, 1.7), height * rng.uniform(0.36, 0.46))
        self.light: Light = sample_light(rng)
        self._backdrop, _ = draw_ground(rng, split, self.camera, self.size, rng.uniform(9, 15))
        self._shadow = rng.uniform(0.3, 0.6)
        seconds = np.arange(num_frames) / frame_rate
        # Those who stay stand side by side, those who walk pass between them and the camera or behind them.
        staying = [i for i, action in enumerate(actions) if action not in _PACING]
        slots = rng.permutation(len(staying))
        depth = rng.uniform(4.8, 5.6)
        half = depth * width / (2 * focal)
        self._players = []
        for index, action in enumerate(actions):
            if action in _PACING:
                lane = depth + (1.1 + 0.4 * rng.random()) * rng.choice([-1, 1])
                reach = 0.62 * half * lane / depth
                track, angle = _paces(reach)(rng, seconds, action), pi / 2 * rng.choice([-1, 1])
                place = np.array([0.0, lane, 0.0])
            else:
                track, angle = SINGLE_ACTIONS[action](rng, seconds), _facing(rng, split)
                track.momentum = 0.0
                across = (slots[staying.index(index)] + 0.5) / len(staying) * 2 - 1
                place = np.array([0.72 * half * across, depth + rng.uniform(-0.2, 0.2), 0.0])
            motion = perform(sample_actor(rng, split, lambda age: age > 0.5), track)
            middle = turned(motion.root * [1, 1, 0], angle, np.zeros(3))
            place -= (middle.min(axis=0) + middle.max(axis=0)) / 2
            dressed = _dressed(rng, split, motion)
            self._players.append(_Player(action, motion, track.lift, angle, place, *dressed))

    def __len__(self) -> int:
        """Number of frames."""
        return self.num_frames

    def __iter__(self) -> Iterator[dict]:
        """Draws the frames in order; each is a dict as `frame` returns it."""
        return (self.frame(index) for index in range(self.num_frames))

    def frame(self, index: int) -> dict:
        """Draws one frame.

        Args:
            index: its number, from 0.

        Returns:
            A dict with, for P people in the order of `actions`,

            * `image`: (H, W, 3) uint8 RGB;
            * `ids`: (P,) int64, 1 to P, the same in all frames;
            * `actions`: list of their names;
            * `boxes`: (P, 4) float32 xywh of the whole person, also where it is hidden or outside;
            * `visibility`: (P,) float32, share of its pixels in the picture that nobody hides;
            * `keypoints`: (P, 17, 3) float32: COCO's x, y and visibility as `person.render_person` has them.
        """
        count = len(self._players)
        picture = self._backdrop.copy()
        figures = [player.figure(index) for player in self._players]
        floor_faces, _, _ = _drawn(("body",))
        shade = np.zeros(self.size, np.float32)
        for figure in figures:
            shadow = cast_shadow(figure.vertices, floor_faces, 0.0, self.camera, self.light, self.size, 1.5)
            np.maximum(shade, shadow, out=shade)
        picture *= 1 - np.float32(self._shadow) * shade[..., None]
        boxes, seen = np.zeros((count, 4), np.float32), np.zeros(count, np.float32)
        keypoints = np.zeros((count, len(COCO_KEYPOINTS), 3), np.float32)
        layers = [draw_figure(figure, self.camera, self.light, self.size) for figure in figures]
        order = sorted(range(count), key=lambda row: self._players[row].depth(index))
        hidden = np.zeros(self.size, bool)
        for row in order:  # the nearest first
            figure, mask = figures[row], layers[row].labels > 0
            low, high = extent(self.camera.project(figure.vertices[figure.outline])[0])
            boxes[row] = *low, *(high - low)
            keypoints[row] = _visible_keypoints(figure, self.camera, layers[row], hidden)
            seen[row] = (mask & ~hidden).sum() / max(mask.sum(), 1)
            hidden |= mask
        for row in reversed(order):
            _blend(picture, layers[row])
        return {
            "image": np.clip(picture, 0, 255).astype(np.uint8),
            "ids": np.arange(1, count + 1),
            "actions": list(self.actions),
            "boxes": boxes,
            "visibility": seen,
            "keypoints": keypoints,
        }


def render_clip(
    number: int = 0,
    split: str = "test",
    actions: Sequence[str] = ("walking", "waving", "jumping"),
    num_frames: int = 90,
    frame_rate: float = 15.0,
    size: tuple[int, int] = (360, 640),
) -> dict:
    """Draws a whole video; arguments as of `VideoScene`.

    Returns:
        A dict with `frames` (T, H, W, 3) uint8, `boxes` (T, P, 4), `visibility` (T, P), `keypoints` (T, P, 17, 3),
        `ids` (P,), `actions` (P names) and `frame_rate`, as in `VideoScene.frame`.
    """
    scene = VideoScene(number, split, actions, num_frames, frame_rate, size)
    frames = list(scene)
    stacked = {key: np.stack([frame[key] for frame in frames]) for key in ("boxes", "visibility", "keypoints")}
    return {
        "frames": np.stack([frame["image"] for frame in frames]),
        **stacked,
        "ids": frames[0]["ids"],
        "actions": list(scene.actions),
        "frame_rate": scene.frame_rate,
    }


__all__ = ["VideoScene", "render_clip"]
