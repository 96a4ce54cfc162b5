# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The known tasks as data: names, label vocabularies, input sizes, flip pairs, constants of losses and metrics.

Joint names of the sets whose prompts were never published (marked "inferred" below) follow the public order of the
data set.
"""

from .labels_action_hulk import (
    ACTION_KINETICS_LABEL_SPACES,
    ACTION_KINETICS_LABELS,
    ACTION_NTU_GYM_LABEL_SPACES,
    ACTION_NTU_GYM_LABELS,
)
from .labels_attributes_hulk import (
    ATTRIBUTES_JOINT_LABEL_SPACES,
    ATTRIBUTES_JOINT_LABELS,
    ATTRIBUTES_JOINT_RATIOS,
    ATTRIBUTES_JOINT_WEIGHTS,
    ATTRIBUTES_LUPERSON_LABEL_SPACES,
    ATTRIBUTES_LUPERSON_LABELS,
    ATTRIBUTES_LUPERSON_RATIOS,
)
from .labels_parsing_hulk import (
    CIHP_LABELS,
    CIHP_RATIOS,
    DEEPFASHION2_LABELS,
    DEEPFASHION2_RATIOS,
    H36M_PARTS_LABELS,
    H36M_PARTS_RATIOS,
    LIP_LABELS,
    LIP_RATIOS,
    MODANET_LABELS,
    MODANET_RATIOS,
    PAPERDOLL_RATIOS,
    VIP_RATIOS,
)
from .task_description_hulk import FAMILIES, HulkFamily, HulkTask, mirror_pairs


def _pose(name: str, labels: str, **fields) -> HulkTask:
    joints = tuple(label.strip() for label in labels.split(","))
    return HulkTask(name=name, family="pose", labels=joints, **fields)


# fmt: off
_COCO_JOINTS = (
    "nose, left eye, right eye, left ear, right ear, left shoulder, right shoulder, left elbow, right elbow, "
    "left wrist, right wrist, left hip, right hip, left knee, right knee, left ankle, right ankle"
)
_COCO_SKELETON = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13),
    (13, 15), (12, 14), (14, 16),
)
_COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)
_MPI_RATIOS = (
    0.97905498, 0.98151887, 0.98018951, 0.97778281, 0.97704955, 0.98018951, 0.97778281, 0.97704955, 0.98309006,
    0.98060388, 0.97209657, 0.98309006, 0.98060388, 0.97209657, 0.98405158, 0.98242514, 0.98066688,
)

_POSE_TASKS = (
    _pose(
        "pose-coco", _COCO_JOINTS, skeleton=_COCO_SKELETON, sigmas=_COCO_SIGMAS,
        presence_ratios=(
            0.38647058, 0.33606767, 0.33835369, 0.29253424, 0.29636332, 0.4987484, 0.49978854, 0.39467358, 0.40091822,
            0.36039853, 0.36918446, 0.43343303, 0.4345989, 0.32999829, 0.33092793, 0.27714171, 0.27754939,
        ),
    ),
    _pose(
        "pose-aic",  # head top and neck are inferred
        "right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist, right hip, right knee, "
        "right ankle, left hip, left knee, left ankle, head top, neck",
        skeleton=(
            (12, 13), (13, 0), (13, 3), (0, 1), (1, 2), (3, 4), (4, 5), (0, 6), (3, 9), (6, 9), (6, 7), (7, 8),
            (9, 10), (10, 11),
        ),
        sigmas=(
            0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
            0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
        ),
        presence_ratios=(
            0.98064613, 0.97789357, 0.97715356, 0.98064613, 0.97789357, 0.97715356, 0.95945282, 0.85703431,
            0.75049819, 0.95945282, 0.85703431, 0.75049819, 0.97149646, 0.98605877,
        ),
    ),
    _pose(
        "pose-h36m",  # pelvis, spine, thorax, neck and left wrist are inferred
        "pelvis, left hip, left knee, left foot, right hip, right knee, right foot, spine, thorax, neck, head, "
        "left shoulder, left elbow, left wrist, right shoulder, right elbow, right wrist",
        image_size=(256, 256), presence_ratios=(1.0,) * 17,
    ),
    _pose(
        "pose-posetrack",  # head bottom and head top are inferred
        "nose, head bottom, head top, left shoulder, right shoulder, left elbow, right elbow, left wrist, "
        "right wrist, left hip, right hip, left knee, right knee, left ankle, right ankle",
        presence_ratios=(
            0.81831569, 0.75692071, 0.74175951, 0.78988265, 0.78988265, 0.65977142, 0.65977142, 0.62561473,
            0.62561473, 0.7377724, 0.7377724, 0.66502273, 0.66502273, 0.59563039, 0.5956303,
        ),
    ),
    _pose(
        "pose-jrdb",  # head, neck and pelvis are inferred
        "head, right eye, left eye, right shoulder, neck, left shoulder, right elbow, left elbow, pelvis, "
        "right wrist, right hip, left hip, left wrist, right knee, left knee, right ankle, left ankle",
        presence_ratios=(
            0.90384634, 0.82524231, 0.89927266, 0.90945538, 0.92796942, 0.89927266, 0.90945538, 0.92796942, 0.9912784,
            0.84353379, 0.97898463, 0.9912784, 0.84353379, 0.97898463, 0.97418356, 0.94284516, 0.93372039,
        ),
    ),
    _pose(
        "pose-mhp",  # pelvis, thorax, upper neck and head top are inferred
        "right ankle, right knee, right hip, left hip, left knee, left ankle, pelvis, thorax, upper neck, head top, "
        "right wrist, right elbow, right shoulder, left shoulder, left elbow, left wrist",
        skeleton=(
            (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12), (12, 11), (11, 10),
            (8, 13), (13, 14), (14, 15),
        ),
        presence_ratios=(
            0.4631881, 0.60557285, 0.73299212, 0.73299212, 0.60557285, 0.4631881, 0.74209784, 0.92598716, 0.9642093,
            0.98767263, 0.67156195, 0.68611408, 0.85427203, 0.85427203, 0.68611408, 0.67156195,
        ),
    ),
    _pose(
        "pose-3dhp",  # neck, pelvis, thorax and upper neck are inferred
        "head, neck, right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist, right hip, "
        "right knee, right ankle, left hip, left knee, left ankle, pelvis, thorax, upper neck",
        presence_ratios=_MPI_RATIOS,
    ),
    _pose(
        "pose-3dpw",  # neck is inferred
        "nose, neck, right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist, right hip, "
        "right knee, right ankle, left hip, left knee, left ankle, right eye, left eye, right ear, left ear",
        presence_ratios=(
            0.81362905, 0.92006165, 0.90966899, 0.83948673, 0.78390512, 0.90966899, 0.83948673, 0.78390512,
            0.91677164, 0.89591263, 0.86267757, 0.91677164, 0.89591263, 0.86267757, 0.6836304, 0.6836304, 0.63909139,
            0.63909139,
        ),
    ),
    _pose(
        "pose-aist", _COCO_JOINTS, skeleton=_COCO_SKELETON, sigmas=_COCO_SIGMAS,
        presence_ratios=_MPI_RATIOS,  # the release copies the constants of 3DHP
    ),
)

_ACTION_TASKS = (
    HulkTask("action-ntu-gym", "action", ACTION_NTU_GYM_LABELS, label_spaces=ACTION_NTU_GYM_LABEL_SPACES),
    HulkTask("action-kinetics", "action", ACTION_KINETICS_LABELS, label_spaces=ACTION_KINETICS_LABEL_SPACES),
)

# Sizes of the body model that the released mesh weights are made for; its tables have a licence of their own.
_SMPL_JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "right wrist", "right elbow",
    "right shoulder", "left shoulder", "left elbow", "left wrist", "neck", "head",
)
_SMPL_SKELETON = (
    (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 12), (12, 9), (9, 10), (10, 11), (12, 13),
)
_MESH_TASK = HulkTask(
    "mesh-smpl", "mesh", _SMPL_JOINTS, image_size=(224, 224), skeleton=_SMPL_SKELETON,
    body={"vertices": [431, 1723, 6890], "regressed_joints": 17, "restricted": True},
)
# The same joints on a body that may be passed on, see `hulk_hf.synthetic.open_body`. No task of the release.
_OPEN_MESH_TASK = HulkTask(
    "mesh-open", "mesh", _SMPL_JOINTS, image_size=(224, 224), skeleton=_SMPL_SKELETON,
    body={"vertices": [500], "regressed_joints": 15, "restricted": False},
)

_DETECTION_TASKS = tuple(
    HulkTask(name, "detection", ("pedestrian",), image_size=(1344, 1344))
    for name in ("detection-crowdhuman", "detection-joint")
)

_ATTRIBUTES_TASKS = (
    HulkTask(
        "attributes-joint", "attributes", ATTRIBUTES_JOINT_LABELS, label_spaces=ATTRIBUTES_JOINT_LABEL_SPACES,
        presence_ratios=ATTRIBUTES_JOINT_RATIOS,
        label_weights=tuple(
            ATTRIBUTES_JOINT_WEIGHTS[space]
            for space, (begin, end) in ATTRIBUTES_JOINT_LABEL_SPACES.items()
            for _ in range(begin, end)
        ),
    ),
    HulkTask(
        "attributes-luperson", "attributes", ATTRIBUTES_LUPERSON_LABELS,
        label_spaces=ATTRIBUTES_LUPERSON_LABEL_SPACES, presence_ratios=ATTRIBUTES_LUPERSON_RATIOS,
    ),
)

_CAPTION_TASK = HulkTask("caption-joint", "caption", image_size=(384, 384), vocabulary_size=30522)


def _parsing(name: str, labels: tuple[str, ...], ratios: tuple[float, ...], presence: float = 0.1) -> HulkTask:
    weights = {"mask": 50.0, "dice": 50.0, "presence": presence}
    return HulkTask(name, "parsing", labels, image_size=(480, 480), presence_ratios=ratios, loss_weights=weights)


_PARSING_TASKS = (
    _parsing("parsing-lip", LIP_LABELS, LIP_RATIOS, presence=0.3),
    _parsing("parsing-cihp", CIHP_LABELS, CIHP_RATIOS),
    _parsing("parsing-h36m", H36M_PARTS_LABELS, H36M_PARTS_RATIOS),
    _parsing("parsing-modanet", MODANET_LABELS, MODANET_RATIOS),
    _parsing("parsing-vip", CIHP_LABELS, VIP_RATIOS),
    _parsing("parsing-deepfashion2", DEEPFASHION2_LABELS, DEEPFASHION2_RATIOS),
    _parsing("parsing-paperdoll", CIHP_LABELS, PAPERDOLL_RATIOS),
)
# fmt: on

# In the order of the official task ids.
_ALL_TASKS = (
    *_ACTION_TASKS,
    _MESH_TASK,
    *_DETECTION_TASKS,
    *_ATTRIBUTES_TASKS,
    _CAPTION_TASK,
    *_POSE_TASKS,
    *_PARSING_TASKS,
)

OFFICIAL_TASK_IDS: dict[int, str] = {index: task.name for index, task in enumerate(_ALL_TASKS)}

KNOWN_TASKS: dict[str, HulkTask] = {task.name: task for task in (*_ALL_TASKS, _OPEN_MESH_TASK)}

__all__ = ["FAMILIES", "KNOWN_TASKS", "OFFICIAL_TASK_IDS", "HulkFamily", "HulkTask", "mirror_pairs"]
