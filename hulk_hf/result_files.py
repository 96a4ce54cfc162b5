# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Results as files: drawn pictures, JSON, COCO results, part maps with a palette, meshes.

Every file is written beside its place first and then renamed, so that a full disk leaves no half of one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hulk_hf.results import ImageResult

KINDS = ("picture", "json", "coco", "parts", "mesh")
_ENDINGS = {
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".webp": "picture",
    ".json": "json",
    ".obj": "mesh",
    ".ply": "mesh",
    ".glb": "mesh",
}


def save_result(result: ImageResult, path: Path, kind: str | None = None) -> Path:
    """Write a result, see `ImageResult.save`."""
    kind = kind or _ENDINGS.get(path.suffix.lower())
    if kind not in KINDS:
        raise ValueError(
            f"path: expected an ending among {sorted(_ENDINGS)}, or `kind` among {list(KINDS)}; got {path.name!r}"
        )
    if kind == "picture":
        return write_whole(path, lambda draft: result.plot().save(draft))
    if kind == "json":
        return write_whole(path, lambda draft: draft.write_text(result.to_json() + "\n", encoding="utf-8"))
    if kind == "coco":
        text = json.dumps(coco_results([result]), allow_nan=False)
        return write_whole(path, lambda draft: draft.write_text(text + "\n", encoding="utf-8"))
    if kind == "parts":
        if path.suffix.lower() != ".png":
            raise ValueError(f"path: a part map needs an ending of .png, which keeps its ids; got {path.name!r}")
        return write_whole(path, lambda draft: result.part_map().save(draft))
    return _save_meshes(result, path)


def write_whole(path: Path, write: Callable[[Path], Any]) -> Path:
    """Let `write` fill a file beside `path`, then put it there in one step.

    Args:
        path: Its folder is made if there is none.
        write: Gets the name of the draft, which has the ending of `path`.

    Raises:
        OSError: The folder or the file cannot be written; names the path.
    """
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        draft = Path(name)
        write(draft)
        draft.chmod(0o644)
        os.replace(draft, path)
    except OSError as error:
        raise OSError(f"output: {path} cannot be written ({error})") from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
    return path


def coco_results(results: Iterable[ImageResult], image_ids: Iterable[int] | None = None) -> list[dict[str, Any]]:
    """Results in COCO's format, as its evaluation reads them.

    Args:
        results: Of pictures.
        image_ids: One per picture; 0, 1, 2 ... if not given.

    Returns:
        One entry per person: `keypoints` [x, y, score, ...] with the score of the pose, or only `bbox` (xywh) without.
    """
    entries = []
    ids = range(1 << 62) if image_ids is None else image_ids
    for result, image_id in zip(results, ids, strict=image_ids is not None):
        for person in result:
            left, top, right, bottom = person.box
            entry: dict[str, Any] = {
                "image_id": image_id,
                "category_id": 1,
                "bbox": [left, top, right - left, bottom - top],
                "score": person.score,
            }
            if person.pose is not None:
                pose = person.pose
                joints = zip(pose.keypoints, pose.keypoint_scores, strict=True)
                entry["keypoints"] = [number for (x, y), score in joints for number in (x, y, score)]
                entry["score"] = person.score if pose.score is None else pose.score
            entries.append(entry)
    return entries


def _save_meshes(result: ImageResult, path: Path) -> Path:
    from hulk_hf.mesh_overlay import save_mesh

    meshes = [person.mesh for person in result if person.mesh is not None]
    if not meshes:
        raise ValueError("path: there are no meshes to write; add 'mesh' to `task`")
    if len(meshes) > 1 and path.suffix.lower() != ".glb":
        raise ValueError(f"path: {len(meshes)} persons need one .glb, or a result each; got {path.name!r}")
    vertices = [mesh.vertices for mesh in meshes]
    faces = [mesh.faces for mesh in meshes if mesh.faces is not None]
    if len(faces) != len(meshes):
        raise ValueError("path: the body model of these meshes has no faces, so there is no surface to write")
    return write_whole(path, lambda draft: save_mesh(draft, vertices, faces))


__all__ = ["KINDS", "coco_results", "save_result", "write_whole"]
