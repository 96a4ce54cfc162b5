# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""After `import hulk_hf`, transformers loads Hulk by its own means, offline."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import pytest
import transformers
from PIL import Image
from transformers.pipelines import PIPELINE_REGISTRY

import hulk_hf
from hulk_hf import registration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pose checkpoint with random weights."""
    path = tmp_path_factory.mktemp("checkpoint")
    config = hulk_hf.HulkConfig.preset("hulk-tiny")
    hulk_hf.HulkForPoseEstimation(config).save_pretrained(path)
    hulk_hf.HulkPoseImageProcessor.from_task(config.task()).save_pretrained(path)
    return path


def test_auto_classes_load_hulk(folder: Path) -> None:
    assert type(transformers.AutoConfig.from_pretrained(folder)) is hulk_hf.HulkConfig
    assert type(transformers.AutoModel.from_pretrained(folder)) is hulk_hf.HulkModel
    assert type(transformers.AutoModelForPoseEstimation.from_pretrained(folder)) is hulk_hf.HulkForPoseEstimation
    assert type(transformers.AutoImageProcessor.from_pretrained(folder)) is hulk_hf.HulkPoseImageProcessor


@pytest.fixture(scope="module")
def universal(every_family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint of all families with random weights."""
    path = tmp_path_factory.mktemp("universal")
    hulk_hf.HulkForHumanAnalysis(every_family()).save_pretrained(path)
    return path


@pytest.mark.parametrize(
    ("auto_class", "name"),
    [
        ("AutoModel", "HulkModel"),
        ("AutoModelForPoseEstimation", "HulkForPoseEstimation"),
        ("AutoModelForSemanticSegmentation", "HulkForHumanParsing"),
        ("AutoModelForObjectDetection", "HulkForPedestrianDetection"),
        ("AutoModelForImageClassification", "HulkForAttributeRecognition"),
        ("AutoModelForImageTextToText", "HulkForCaptioning"),
        ("AutoModelForVideoClassification", "HulkForActionRecognition"),
        ("AutoModelForKeypointDetection", "HulkForMeshRecovery"),
        ("AutoModelForPreTraining", "HulkForHumanAnalysis"),
    ],
)
def test_each_auto_class_loads_its_family_from_a_universal_checkpoint(universal, auto_class: str, name: str) -> None:
    model = getattr(transformers, auto_class).from_pretrained(universal)
    assert type(model) is getattr(hulk_hf, name)
    assert registration.AUTO_CLASSES[getattr(transformers, auto_class)] is type(model)


def test_all_model_classes_are_public(root: Path) -> None:
    found = set()
    for file in (root / "modeling").glob("modeling_*_hulk.py"):
        found |= set(re.findall(r"^class (HulkFor\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(found) == 8 and found <= set(hulk_hf.__all__)


def test_sub_configurations_are_known() -> None:
    for name in ("hulk_vision", "hulk_skeleton", "hulk_decoder"):
        assert transformers.AutoConfig.for_model(name).model_type == name


@pytest.mark.parametrize("kind", [str, Path])
def test_both_ways_to_a_pipeline_agree(folder: Path, kind: type) -> None:
    picture = Image.effect_noise((60, 80), 50)
    ours = hulk_hf.pipeline("human-pose", model=kind(folder))
    theirs = transformers.pipeline("human-pose", model=kind(folder))
    assert type(ours) is type(theirs) is hulk_hf.HumanPosePipeline
    assert ours(picture) == theirs(picture)


def test_registering_again_changes_nothing() -> None:
    before = dict(PIPELINE_REGISTRY.supported_tasks["human-pose"])
    registration.register()
    assert PIPELINE_REGISTRY.supported_tasks["human-pose"] == before


def test_an_unknown_task_is_told() -> None:
    with pytest.raises(ValueError, match="expected one of .*human-pose"):
        hulk_hf.pipeline("human-poses")


def test_public_names() -> None:
    assert sorted(hulk_hf.__all__) == hulk_hf.__all__
    assert all(inspect.getdoc(getattr(hulk_hf, name)) for name in hulk_hf.__all__)


@pytest.mark.parametrize("build", [hulk_hf.pipeline, transformers.pipeline])
def test_without_a_model_the_bundled_one_is_used(build) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    pipe = build("human-pose")
    assert Path(pipe.model.config._name_or_path) == Path(hulk_hf.BUNDLED_CHECKPOINT)
    persons = pipe(Image.effect_noise((60, 80), 50))
    assert len(persons) == 1 and len(persons[0]["keypoints"]) == 17


def test_the_bundled_checkpoint_can_be_remote_code(root: Path) -> None:
    """Every file of the room `modeling` lies in the folder, as a link, so that there is one source."""
    folder = Path(hulk_hf.BUNDLED_CHECKPOINT)
    wanted = {file.name for file in (root / "modeling").glob("*_hulk.py")}
    assert {file.name for file in folder.glob("*_hulk.py")} == wanted
    assert all((folder / name).resolve() == root / "modeling" / name for name in wanted)
    assert (folder / "model.safetensors").stat().st_size <= 25 * 2**20
