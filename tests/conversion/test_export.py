# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The exported folder serves every way of loading, with the package and without it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForPoseEstimation,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
    pipeline,
)

import hulk_hf
from hulk_hf.conversion.export import SOURCES, export_folder, source_files
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation

# Run in an interpreter that cannot import the package. The blocker stands in front of every other finder, so neither
# an editable nor an ordinary installation can be reached.
BLOCKER = """
import json, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("hulk_hf", "modeling", "conversion"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
try:
    import hulk_hf
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("hulk_hf can be imported here: this test would prove nothing")
"""

WITHOUT_PACKAGE = """
import numpy as np, torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForPoseEstimation, pipeline
folder, picture = sys.argv[1], np.load(sys.argv[2])
remote = {"trust_remote_code": True}
config = AutoConfig.from_pretrained(folder, **remote)
trunk = AutoModel.from_pretrained(folder, **remote)
model = AutoModelForPoseEstimation.from_pretrained(folder, **remote)
processor = AutoImageProcessor.from_pretrained(folder, **remote)
boxes = [[10, 5, 60, 90], [40, 20, 50, 70]]
inputs = processor(picture, boxes=boxes, return_tensors="pt")
with torch.no_grad():
    heatmaps = model(**inputs).heatmaps
    states = trunk(inputs["pixel_values"]).last_hidden_state
pipe = pipeline("human-pose", model=folder, **remote)
assert pipeline(model=folder, **remote).task == "human-pose"
parts = [config, trunk, model, processor, pipe]
assert all(type(part).__module__.startswith("transformers_modules") for part in parts), parts
assert not [name for name in sys.modules if name.startswith("hulk_hf")]
print(json.dumps({"heatmaps": heatmaps.tolist(), "states": states.tolist(), "persons": pipe(picture, boxes=boxes)}))
"""


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    tasks = ["pose-coco", "pose-aic"]
    config = HulkConfig(vision_config=sizes, decoder_config=sizes, tasks=tasks, text_feature_size=24)
    return HulkForPoseEstimation(config).eval()


@pytest.fixture(scope="module")
def processor(model):
    return HulkPoseImageProcessor.from_task(model.config.task("pose"))


@pytest.fixture(scope="module")
def exported(model, processor, tmp_path_factory):
    return export_folder(model, processor, tmp_path_factory.mktemp("export") / "checkpoint")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 255, (120, 100, 3), dtype=np.uint8)


def run_model(model, processor, picture, boxes):
    inputs = processor(picture, boxes=boxes, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).heatmaps, model.hulk(inputs["pixel_values"]).last_hidden_state


def test_the_installed_package_loads_it_without_trusting_anything(
    exported, model, processor, picture, caplog, monkeypatch
):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    boxes = [[10, 5, 60, 90]]
    expected, states = run_model(model, processor, picture, boxes)
    with caplog.at_level(logging.WARNING):
        assert type(AutoConfig.from_pretrained(exported)) is HulkConfig
        trunk = AutoModel.from_pretrained(exported)
        loaded = AutoModelForPoseEstimation.from_pretrained(exported)
        loaded_processor = AutoImageProcessor.from_pretrained(exported)
        pipe = pipeline("human-pose", model=str(exported))
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert type(trunk) is HulkModel and type(loaded) is HulkForPoseEstimation
    assert type(loaded_processor) is HulkPoseImageProcessor and type(pipe) is hulk_hf.HumanPosePipeline
    assert {**loaded_processor.to_dict(), "auto_map": None} == {**processor.to_dict(), "auto_map": None}
    heatmaps, loaded_states = run_model(loaded, loaded_processor, picture, boxes)
    assert torch.equal(heatmaps, expected) and torch.equal(loaded_states, states)
    with torch.no_grad():
        inputs = processor(picture, boxes=boxes, return_tensors="pt")
        assert torch.equal(trunk(inputs["pixel_values"]).last_hidden_state, states)
    assert pipe(picture, boxes=boxes) == pipeline("human-pose", model=model, image_processor=processor)(
        picture, boxes=boxes
    )


def run_without_package(code: str, folder: Path, *arguments: Path) -> str:
    """Run code in an interpreter that cannot import the package; returns its last line of output."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "HF_HOME": str(folder / "home"),
        "HF_MODULES_CACHE": str(folder / "modules"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", BLOCKER + code, *map(str, arguments)],
        capture_output=True, text=True, cwd=folder, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("link_sources", [False, True], ids=["copied", "linked"])
def test_an_interpreter_without_the_package_loads_it_as_remote_code(link_sources, model, processor, picture, tmp_path):
    exported = export_folder(model, processor, tmp_path / "checkpoint", link_sources=link_sources)
    np.save(tmp_path / "picture.npy", picture)
    remote = json.loads(run_without_package(WITHOUT_PACKAGE, tmp_path, exported, tmp_path / "picture.npy"))
    boxes = [[10, 5, 60, 90], [40, 20, 50, 70]]
    heatmaps, states = run_model(model, processor, picture, boxes)
    torch.testing.assert_close(torch.tensor(remote["heatmaps"]), heatmaps, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(torch.tensor(remote["states"]), states, atol=1e-6, rtol=1e-5)
    persons = pipeline("human-pose", model=model, image_processor=processor)(picture, boxes=boxes)
    assert [person["box"] for person in remote["persons"]] == [person["box"] for person in persons]
    assert remote["persons"][1]["labels"] == persons[1]["labels"]
    np.testing.assert_allclose(remote["persons"][1]["keypoints"], persons[1]["keypoints"], atol=1e-2)


def test_the_folder_holds_all_it_needs_and_nothing_else(exported):
    sources = {path.name for path in source_files()}
    assert {"configuration_hulk.py", "modeling_pose_hulk.py", "pipeline_pose_hulk.py"} <= sources
    expected = sources | {"config.json", "preprocessor_config.json", "processor_config.json"}
    expected |= {"model.safetensors", "README.md"}
    assert {path.name for path in exported.iterdir()} == expected
    config = json.loads((exported / "config.json").read_text())
    mapped = [*config["auto_map"].values(), *(entry["impl"] for entry in config["custom_pipelines"].values())]
    for name in ("preprocessor_config.json", "processor_config.json"):
        mapped += json.loads((exported / name).read_text())["auto_map"].values()
    for reference in mapped:
        file, _, name = reference.partition(".")
        assert f"class {name}(" in (exported / f"{file}.py").read_text(), reference
    assert config["dtype"] == "float32"
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in [exported, *exported.iterdir()]), "for everybody"


def test_linked_sources_are_relative_links_that_move_with_the_repository(model, processor, tmp_path):
    folder = export_folder(model, processor, tmp_path / "a" / "b", link_sources=True)
    link = folder / "modeling_hulk.py"
    assert link.is_symlink() and not os.path.isabs(os.readlink(link))
    assert link.resolve() == SOURCES / "modeling_hulk.py"
    assert not any(path.is_symlink() for path in export_folder(model, processor, tmp_path / "copies").iterdir())


def test_a_loaded_model_exports_to_the_same_folder(exported, processor, tmp_path):
    again = export_folder(HulkForPoseEstimation.from_pretrained(exported), processor, tmp_path / "again")
    for name in ("preprocessor_config.json", "model.safetensors", "README.md"):
        assert (again / name).read_bytes() == (exported / name).read_bytes(), name
    first, second = (json.loads((folder / "config.json").read_text()) for folder in (exported, again))
    for part in ("vision_config", "skeleton_config", "decoder_config"):
        second[part].pop("dtype", None)  # transformers notes it on loading
    assert first == second


def test_export_changes_neither_model_nor_processor(model, processor, tmp_path):
    before = model.config.to_dict(), processor.to_dict()
    export_folder(model, processor, tmp_path / "x")
    assert (model.config.to_dict(), processor.to_dict()) == before
    model.save_pretrained(tmp_path / "training")
    assert {path.name for path in (tmp_path / "training").iterdir()} == {"config.json", "model.safetensors"}


def test_cards(model, processor, tmp_path):
    def front_and_text(folder):
        _, front, text = (folder / "README.md").read_text().split("---\n", 2)
        return front, text

    front, text = front_and_text(export_folder(model, processor, tmp_path / "default"))
    lines = front.splitlines()
    assert {"license: apache-2.0", "library_name: transformers", "pipeline_tag: keypoint-detection"} <= set(lines)
    assert "- custom_code" in lines
    assert "`pose-aic`" in text and f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M" in text
    front, text = front_and_text(export_folder(model, processor, tmp_path / "own", card="# Mine\n"))
    assert "- custom_code" in front and text.strip() == "# Mine"
    card = "---\nlicense: mit\n---\n# All mine\n"
    folder = export_folder(model, processor, tmp_path / "front", card=card)
    assert (folder / "README.md").read_text() == card


class Unsaveable(HulkForPoseEstimation):
    def save_pretrained(self, folder, **kwargs):
        super().save_pretrained(folder, **kwargs)
        raise OSError("disk full")


def test_a_failure_leaves_no_half_folder_and_keeps_the_old_one(model, processor, tmp_path):
    broken = Unsaveable(model.config)
    with pytest.raises(OSError, match="disk full"):
        export_folder(broken, processor, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    old = export_folder(model, processor, tmp_path / "old", card="# Old")
    with pytest.raises(OSError, match="disk full"):
        export_folder(broken, processor, old, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert "# Old" in (old / "README.md").read_text()


def test_what_is_there_is_replaced_only_if_asked_and_only_a_checkpoint(model, processor, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    export_folder(model, processor, folder)  # empty: fine
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_folder(model, processor, folder)
    (folder / "left_over.txt").write_text("x")
    export_folder(model, processor, folder, overwrite=True)
    assert not (folder / "left_over.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("x")
    with pytest.raises(FileExistsError, match="holds no checkpoint"):
        export_folder(model, processor, other, overwrite=True)
    assert (other / "precious.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "other"}


def test_other_models_and_processors_are_refused(model, processor, tmp_path):
    vit = ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
    with pytest.raises(ValueError, match="model: expected a Hulk model, got ViTModel"):
        export_folder(vit, processor, tmp_path / "x")
    with pytest.raises(ValueError, match="processor: expected .* got ViTImageProcessorPil"):
        export_folder(model, ViTImageProcessorPil(), tmp_path / "x")
    assert not list(Path(tmp_path).iterdir())
