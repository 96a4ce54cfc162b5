# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Folders of every family, and of all of them: loaded with the package and without, and by transformers' pipelines."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BertTokenizer, pipeline

import hulk_hf
from hulk_hf.conversion.export import export_folder, push_to_hub
from hulk_hf.conversion.published_families import ALL_FAMILIES, ALL_FAMILIES_AUTO_CLASS, PUBLISHED_FAMILIES
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.synthetic.open_body import open_body

EVERYTHING = "universal"
KINDS = [*PUBLISHED_FAMILIES, EVERYTHING]
RESULTS = {family: published.result for family, published in PUBLISHED_FAMILIES.items()}

# Loads every folder of its arguments, in an interpreter that cannot import the package, runs the code of its card, and
# compares outputs with those that are laid beside it.
WITHOUT_PACKAGE = """
import re, sys
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
import torch, transformers
from transformers.dynamic_module_utils import get_class_from_dynamic_module
stock, *folders = sys.argv[1:]
pipe = transformers.pipeline("object-detection", model=stock, trust_remote_code=True)
assert type(pipe.model).__module__.startswith("transformers_modules")
assert {box["label"] for box in pipe("photo.jpg", threshold=0.0)} == {"person"}
for folder in folders:
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    trunk = transformers.AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(trunk).__name__ == "HulkModel"
    snippets = re.findall(r"```python\\n(.*?)```", open(f"{folder}/README.md").read(), re.DOTALL)
    scope = {}
    exec(snippets[1].replace("path/of/this/folder", folder), scope)
    model = scope.get("model")
    if model is None:
        model = transformers.AutoModelForPoseEstimation.from_pretrained(folder, trust_remote_code=True)
    recorded = torch.load(f"{folder}.pt", weights_only=True)
    assert type(model).__name__ == recorded["class"] == config.architectures[0], type(model)
    assert type(model).__module__.startswith("transformers_modules")
    with torch.no_grad():
        for task, given, result, expected in recorded["calls"]:
            output = model(**given)
            found = output.outputs[task][result] if task else output[result]
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        if recorded["written"] is not None:
            assert torch.equal(model.generate(**given), recorded["written"])
assert not [name for name in sys.modules if name.startswith("hulk_hf")]
"""


@pytest.fixture(scope="module")
def universal(every_family):
    """A model of all families, with an open body."""
    torch.manual_seed(0)
    model = hulk_hf.HulkForHumanAnalysis(every_family()).eval()
    model.set_body("mesh-open", open_body())
    return model


@pytest.fixture(scope="module")
def models(universal, tmp_path_factory) -> dict:
    """Family -> its class, loaded from the universal checkpoint, and that itself."""
    folder = tmp_path_factory.mktemp("universal")
    universal.save_pretrained(folder)
    classes = {family: getattr(hulk_hf, published.class_name) for family, published in PUBLISHED_FAMILIES.items()}
    return {family: cls.from_pretrained(folder) for family, cls in classes.items()} | {EVERYTHING: universal}


@pytest.fixture(scope="module")
def folders(models, tmp_path_factory) -> dict[str, Path]:
    """Family -> exported folder."""
    parent = tmp_path_factory.mktemp("exported")
    return {kind: export_folder(model, None, parent / kind) for kind, model in models.items()}


def read(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def load(kind: str, folder: Path):
    """The model of a folder, as a user of the package loads it."""
    if kind == EVERYTHING:
        return hulk_hf.HulkForHumanAnalysis.from_pretrained(folder)
    published = PUBLISHED_FAMILIES[kind]
    name = published.auto_class
    return (getattr(transformers, name) if name else getattr(hulk_hf, published.class_name)).from_pretrained(folder)


@pytest.fixture
def warnings(caplog, monkeypatch):
    """What transformers has to say."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        yield lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_installed_package_loads_it(kind, folders, models, family_inputs, warnings):
    loaded, trunk = load(kind, folders[kind]), AutoModel.from_pretrained(folders[kind])
    assert not warnings()
    assert type(loaded) is type(models[kind]) and type(trunk) is hulk_hf.HulkModel
    for family in PUBLISHED_FAMILIES if kind == EVERYTHING else [kind]:
        ours, theirs = loaded, models[kind]
        if kind == EVERYTHING:
            ours, theirs = loaded.for_family(family), models[kind].for_family(family)
        found, expected = (model(**family_inputs[family])[RESULTS[family]] for model in (ours, theirs))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    state = models[kind].hulk.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in trunk.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_holds_and_no_more(kind, folders, models):
    config, families = read(folders[kind]), list(PUBLISHED_FAMILIES) if kind == EVERYTHING else [kind]
    assert {fields["family"] for fields in config["tasks"].values()} == set(families) == set(config["default_tasks"])
    heads = {published.auto_class: published.model for published in map(PUBLISHED_FAMILIES.get, families)}
    pipelines = [PUBLISHED_FAMILIES[family].pipeline for family in families]
    if kind == EVERYTHING:
        heads[ALL_FAMILIES_AUTO_CLASS] = ALL_FAMILIES
        pipelines.append("human-analysis")
    base = {"AutoConfig": "configuration_hulk.HulkConfig", "AutoModel": "modeling_hulk.HulkModel"}
    assert config["auto_map"] == base | heads
    for reference in (*config["auto_map"].values(), ALL_FAMILIES):
        file, _, name = reference.partition(".")
        assert f"class {name}(" in (folders[kind] / f"{file}.py").read_text(), reference
    assert sorted(config["custom_pipelines"]) == sorted(pipelines)
    processor = json.loads((folders[kind] / "processor_config.json").read_text())
    assert set(processor["processors"]) == set(config["tasks"])
    first = json.loads((folders[kind] / "preprocessor_config.json").read_text())
    assert set(first["auto_map"]) == {"AutoFeatureExtractor" if kind == "action" else "AutoImageProcessor"}
    labels = load(kind, folders[kind]).config.id2label
    assert labels == dict(enumerate(models[kind].config.task("pose" if kind == EVERYTHING else kind).labels))


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_names_the_task_of_the_hub(kind, folders):
    front, text = (folders[kind] / "README.md").read_text().split("---\n", 2)[1:]
    tag = PUBLISHED_FAMILIES["pose" if kind == EVERYTHING else kind].pipeline_tag
    assert re.findall(r"pipeline_tag: (.*)", front) == [tag]
    families = PUBLISHED_FAMILIES if kind == EVERYTHING else [kind]
    assert all(f"- {PUBLISHED_FAMILIES[family].tag}\n" in front for family in families)
    assert "- custom_code\n" in front and text.count("```python") == 2
    assert all(f"| `{name}` |" in text for name in read(folders[kind])["tasks"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_of_the_card_runs(kind, folders, tmp_path, monkeypatch, capsys):
    Image.effect_noise((300, 400), 50).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", (folders[kind] / "README.md").read_text(), re.DOTALL)[0]
    scope = {}
    exec(code.replace("path/of/this/folder", str(folders[kind])), scope)
    if kind == EVERYTHING:
        assert list(scope["outputs"]) == ["pose-small", "attributes-small", "caption-small"]
    elif kind == "pose":
        assert scope["persons"][0]["labels"] == ["head", "left hand", "right hand"]
    else:
        assert capsys.readouterr().out.startswith("torch.Size([1")


def test_interpreters_without_the_package_load_them_all(folders, models, family_inputs, tmp_path):
    Image.effect_noise((300, 400), 50).save(tmp_path / "photo.jpg")
    for kind, folder in folders.items():
        calls = []
        for family in PUBLISHED_FAMILIES if kind == EVERYTHING else [kind]:
            result, given = RESULTS[family], dict(family_inputs[family])
            if kind == EVERYTHING:
                given["tasks"] = [family]
            with torch.no_grad():
                output = models[kind](**given)
            task = models[kind].config.default_tasks[family] if kind == EVERYTHING else None
            calls.append((task, given, result, output.outputs[task][result] if task else output[result]))
        written = models[kind].generate(**family_inputs[kind]) if kind == "caption" else None
        torch.save({"class": type(models[kind]).__name__, "calls": calls, "written": written}, f"{folder}.pt")
    processor = transformers.RTDetrImageProcessorPil(size={"height": 96, "width": 80}, **NORM)
    stock = export_folder(models["detection"], processor, tmp_path / "stock")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "HF_HOME": str(tmp_path / "home"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_PACKAGE, *map(str, [stock, *folders.values()])],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_trunk_alone_has_no_heads_to_offer(universal, tmp_path):
    folder = export_folder(universal.hulk, None, tmp_path / "trunk")
    config = read(folder)
    assert set(config["auto_map"]) == {"AutoConfig", "AutoModel"} and "custom_pipelines" not in config
    assert set(config["tasks"]) == set(universal.config.tasks)
    assert "pipeline_tag: image-feature-extraction" in (folder / "README.md").read_text()
    assert type(AutoModel.from_pretrained(folder)) is hulk_hf.HulkModel


# Bodies


@pytest.mark.parametrize("store", [False, True])
def test_tables_of_a_restricted_body_are_written_only_if_that_was_asked_for(every_family, store, tmp_path):
    body = open_body()
    object.__setattr__(body, "restricted", True)
    fields = {**every_family().tasks["mesh-open"], "body": {**body.sizes()}}
    model = hulk_hf.HulkForMeshRecovery(every_family(tasks={"mesh-closed": fields}))
    model.set_body("mesh-closed", body, store=store)
    folder = export_folder(model, None, tmp_path / "mesh")
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert any("bodies" in name for name in file.keys()) == store
    card = (folder / "README.md").read_text()
    assert ("are part of this folder" in card) == store and ("set_body" in card) != store
    pixels = torch.zeros(1, 3, 224, 224)
    loaded = hulk_hf.HulkForMeshRecovery.from_pretrained(folder)
    if not store:
        with pytest.raises(ValueError, match="no body model is set"):
            loaded(pixels)
        loaded.set_body("mesh-closed", body)
    with torch.no_grad():
        torch.testing.assert_close(loaded(pixels).mesh_joints_3d, model.eval()(pixels).mesh_joints_3d)


# Pipelines of transformers


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8))


NORM = {"do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def test_object_detection_of_transformers(models, photo, tmp_path, warnings):
    """RT-DETR's processor scores queries by a sigmoid, as Hulk does; DETR's would expect a class for nothing."""
    processor = transformers.RTDetrImageProcessorPil(size={"height": 96, "width": 80}, **NORM)
    folder = export_folder(models["detection"], processor, tmp_path / "detection")
    assert "auto_map" not in json.loads((folder / "preprocessor_config.json").read_text())
    found = pipeline("object-detection", model=str(folder))(photo, threshold=0.0)
    assert not warnings()
    inputs = processor(photo, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 96, 80)
    with torch.no_grad():
        outputs = models["detection"](inputs["pixel_values"])
    scores, order = outputs.logits[0, :, 0].sigmoid().sort(descending=True)
    assert {box["label"] for box in found} == {"person"} and len(found) == len(scores)
    np.testing.assert_allclose([box["score"] for box in found], scores, atol=1e-6)
    # Random weights may score two queries alike, to the last digits: either box may come first.
    center, size = outputs.pred_boxes[0, order].split(2, dim=1)
    corners = torch.cat([center - size / 2, center + size / 2], dim=1) * torch.tensor([70, 90, 70, 90])
    first = corners[scores[0] - scores < 1e-6].tolist()
    assert any(list(found[0]["box"].values()) == pytest.approx(one, abs=1.01) for one in first)


def test_image_segmentation_of_transformers(models, photo, tmp_path, warnings):
    """Segformer's processor takes the part of the highest mask logit; it knows nothing of presence."""
    processor = transformers.SegformerImageProcessorPil(size={"height": 64, "width": 64}, **NORM)
    folder = export_folder(models["parsing"], processor, tmp_path / "parsing")
    parts = pipeline("image-segmentation", model=str(folder))(photo)
    assert not warnings()
    labels = models["parsing"].config.task("parsing").labels
    assert {part["label"] for part in parts} <= set(labels) and all(part["mask"].size == (70, 90) for part in parts)
    covered = sum(np.asarray(part["mask"]) // 255 for part in parts)
    assert (covered == 1).all(), "every pixel shows one part"


def test_image_classification_of_transformers(models, photo, tmp_path, warnings):
    """Attributes are judged one by one: sigmoid, not softmax."""
    processor = transformers.ViTImageProcessorPil(size={"height": 64, "width": 48}, **NORM)
    folder = export_folder(models["attributes"], processor, tmp_path / "attributes")
    found = pipeline("image-classification", model=str(folder))(photo)
    assert not warnings()
    with torch.no_grad():
        logits = models["attributes"](processor(photo, return_tensors="pt")["pixel_values"]).logits[0]
    expected = dict(zip(models["attributes"].config.task("attributes").labels, logits.sigmoid().tolist(), strict=True))
    assert {entry["label"]: entry["score"] for entry in found} == pytest.approx(expected, abs=1e-5)


# Processors, tokenizers, adapters


def test_a_processor_makes_inputs_of_a_family_of_the_model(models, tmp_path):
    pose = HulkPoseImageProcessor.from_task(models["pose"].config.task("pose"))
    with pytest.raises(ValueError, match=r"expected HulkParsingImageProcessor, or .* for a model of \['parsing'\]"):
        export_folder(models["parsing"], pose, tmp_path / "x")
    with pytest.raises(ValueError, match="expected .*HulkPoseImageProcessor .* got SegformerImageProcessorPil"):
        export_folder(models[EVERYTHING], transformers.SegformerImageProcessorPil(), tmp_path / "x")
    folder = export_folder(models[EVERYTHING], pose, tmp_path / "x")
    assert AutoImageProcessor.from_pretrained(folder).to_dict().items() >= {"size": dict(pose.size)}.items()


def test_a_tokenizer_comes_along(models, tmp_path):
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "person"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizer.from_pretrained(tmp_path)
    folder = export_folder(models["caption"], None, tmp_path / "caption", tokenizer=tokenizer)
    assert AutoTokenizer.from_pretrained(folder)("a person")["input_ids"] == [101, 104, 105, 102]
    assert (folder / "generation_config.json").is_file()


def test_adapters_have_to_be_merged_first(universal, tmp_path):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(target_modules=["q_proj"])
    adapted = peft.get_peft_model(hulk_hf.HulkForPoseEstimation(universal.config), config)
    with pytest.raises(ValueError, match="model: .*got PeftModel; merge its adapters first"):
        export_folder(adapted, None, tmp_path / "x")
    model = hulk_hf.HulkForPoseEstimation(universal.config)
    model.add_adapter(config)
    with pytest.raises(ValueError, match="without adapters"):
        export_folder(model, None, tmp_path / "x")
    export_folder(adapted.merge_and_unload(), None, tmp_path / "x")


# The hub


class Hub:
    """Stands in for the service: notes what it is asked to do."""

    def __init__(self, monkeypatch, has_card: bool = False):
        self.calls = []
        for name in ("create_repo", "file_exists", "upload_folder"):
            monkeypatch.setattr(huggingface_hub.HfApi, name, getattr(self, name))
        self.has_card = has_card

    def create_repo(self, repo_id, **options):
        self.calls.append(("create_repo", repo_id, options))
        return SimpleNamespace(repo_id=f"me/{repo_id}")

    def file_exists(self, repo_id, filename):
        self.calls.append(("file_exists", repo_id, filename))
        return self.has_card

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
        self.folder = Path(folder_path)
        self.calls.append(("upload_folder", repo_id, options))
        return SimpleNamespace(commit_url="https://hub/commit")


def test_pushing_uploads_the_same_folder(models, folders, monkeypatch):
    hub = Hub(monkeypatch)
    assert push_to_hub(models["parsing"], "hulk", private=True, commit_message="First") == "https://hub/commit"
    assert hub.files == {path.name: path.read_bytes() for path in folders["parsing"].iterdir()}
    assert [call[:2] for call in hub.calls] == [
        ("create_repo", "hulk"),
        ("file_exists", "me/hulk"),
        ("upload_folder", "me/hulk"),
    ]
    assert hub.calls[0][2] == {"private": True, "exist_ok": True}
    options = hub.calls[-1][2]
    assert options["commit_message"] == "First" and options["ignore_patterns"] is None
    assert "*_hulk.py" in options["delete_patterns"], "sources that are no more must not be left over"
    assert not hub.folder.exists()


def test_a_card_on_the_hub_stays_unless_another_is_given(models, monkeypatch):
    hub = Hub(monkeypatch, has_card=True)
    push_to_hub(models["parsing"], "hulk")
    assert hub.calls[-1][2]["ignore_patterns"] == ["README.md"]
    push_to_hub(models["parsing"], "hulk", card="# New")
    assert hub.calls[-1][2]["ignore_patterns"] is None and b"# New" in hub.files["README.md"]


def test_nothing_is_asked_of_the_hub_when_the_export_fails(models, monkeypatch):
    hub = Hub(monkeypatch)
    with pytest.raises(ValueError, match="processor: expected"):
        push_to_hub(models["pose"], "hulk", transformers.SegformerImageProcessorPil())
    assert not hub.calls
