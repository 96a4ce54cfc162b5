# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One folder, every pipeline: by name through transformers, with the package installed and as remote code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoProcessor

import hulk_hf
from hulk_hf.conversion.export import export_folder
from hulk_hf.conversion.published_families import PUBLISHED_FAMILIES
from hulk_hf.modeling.processing_hulk import PROCESSORS, HulkProcessor
from hulk_hf.synthetic.open_body import open_body

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
OTHER = PIXELS[:, ::-1].copy()
BOXES = [[10.0, 5.0, 40.0, 80.0], [-12.0, 20.0, 60.0, 60.0], [70.0, 10.0, 30.0, 75.0]]
PERSONS = ("pose", "parsing", "attributes", "mesh", "caption")
WORDS = [
    "[PAD]",
    *(f"[unused{i}]" for i in range(99)),
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *(f"w{i}" for i in range(16)),
]

REMOTE = """
import json, sys
import numpy as np
import torch
import transformers
transformers.logging.set_verbosity_error()
pixels = np.load(sys.argv[1])
boxes = json.loads(sys.argv[2])
found = {}
for name, folder in json.loads(sys.argv[3]).items():
    pipe = transformers.pipeline(name, model=folder, trust_remote_code=True)
    assert type(pipe).__module__.startswith("transformers_modules"), type(pipe)
    if name == "human-action":
        result = pipe(np.load(sys.argv[1] + ".clip.npy"))
    elif name == "human-detection":
        result = pipe(pixels, threshold=0.0)
    else:
        result = pipe(pixels, boxes=boxes)
    found[name] = len(result)
assert not [name for name in sys.modules if name.startswith("hulk_hf")]
print("RESULT" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def universal(every_family, made_uneven):
    torch.manual_seed(0)
    model = hulk_hf.HulkForHumanAnalysis(every_family(bos_token_id=101, eos_token_id=102)).eval()
    model.set_body("mesh-open", open_body())
    return made_uneven(model)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    vocabulary = tmp_path_factory.mktemp("words") / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS))
    return transformers.BertTokenizer(vocab=str(vocabulary))


@pytest.fixture(scope="module")
def folder(universal, tokenizer, tmp_path_factory) -> Path:
    return export_folder(universal, None, tmp_path_factory.mktemp("exported") / "universal", tokenizer=tokenizer)


@pytest.fixture(scope="module")
def analysis(folder):
    return hulk_hf.pipeline("human-analysis", model=folder)


def same(ours, expected) -> None:
    """Results of two batch sizes: equal but for the rounding of matrix products."""
    if isinstance(expected, dict):
        assert set(ours) == set(expected)
        for key in expected:
            same(ours[key], expected[key])
    elif isinstance(expected, list):
        assert len(ours) == len(expected)
        for one, other in zip(ours, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert ours == pytest.approx(expected, abs=2e-3, rel=1e-4)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_allclose(ours, expected, atol=1e-4)
    elif isinstance(expected, Image.Image):
        assert (np.asarray(ours) == np.asarray(expected)).mean() > 0.999
    else:
        assert ours == expected


# Processors ----------------------------------------------------------------------------------------------------------


def test_one_processor_for_all_tasks(folder, universal):
    processor = AutoProcessor.from_pretrained(folder)
    assert type(processor) is HulkProcessor and set(processor.processors) == set(universal.config.tasks)
    for family, kind in PROCESSORS.items():
        name = universal.config.default_tasks[family]
        assert type(processor.processors[name]) is kind
        assert (
            processor.processors[name].to_dict()
            == HulkProcessor.from_config(universal.config).processors[name].to_dict()
        )
    inputs = processor(PIXELS, task="pose", boxes=BOXES, return_tensors="pt")
    assert inputs["pixel_values"].shape == (3, 3, 64, 48)
    outputs = universal(**inputs, tasks=["pose"]).outputs["pose-small"]
    persons = processor.post_process_pose_estimation(outputs, [BOXES])
    assert persons[0][2]["keypoints"].shape == (3, 2)
    assert processor(PIXELS, task="attributes-small", return_tensors="pt")["pixel_values"].shape == (1, 3, 64, 48)
    assert type(processor.for_task("caption")) is hulk_hf.HulkCaptionProcessor


def test_a_processor_survives_a_trip_to_disk(folder, tmp_path):
    processor = AutoProcessor.from_pretrained(folder)
    processor.processors["pose-small"].padding_factor = 1.5
    processor.save_pretrained(tmp_path)
    again = HulkProcessor.from_pretrained(tmp_path)
    assert again.processors["pose-small"].padding_factor == 1.5
    assert again.to_dict() == processor.to_dict() and len(again.tokenizer) == len(WORDS)


def test_processors_that_are_not_there(folder, tmp_path):
    processor = AutoProcessor.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"`task`: no 'pose-coco' in this checkpoint, expected one of \["):
        processor(PIXELS, task="pose-coco")
    with pytest.raises(ValueError, match="`task`: no None in this checkpoint"):
        processor(PIXELS)
    with pytest.raises(ValueError, match=r"`processors\['pose'\]` must be one of"):
        HulkProcessor({"pose": "none"})
    settings = {"processor_class": "HulkProcessor", "processors": {"pose-x": {"image_processor_type": "Evil"}}}
    (tmp_path / "processor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"`processors\['pose-x'\]` must be one of .* got 'Evil'"):
        HulkProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize("family", list(PUBLISHED_FAMILIES))
def test_the_auto_classes_load_the_processor_of_a_folder(family, folder, tmp_path):
    published = PUBLISHED_FAMILIES[family]
    model = getattr(hulk_hf, published.class_name).from_pretrained(folder)
    single = export_folder(model, None, tmp_path / family)
    auto = AutoFeatureExtractor if family == "action" else AutoImageProcessor
    assert type(auto.from_pretrained(single)) is PROCESSORS[family]
    whole = AutoProcessor.from_pretrained(single)
    assert whole.task_name(family) == model.config.default_tasks[family]


# Pipelines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(PUBLISHED_FAMILIES))
def test_every_pipeline_runs_on_the_folder_of_all_families(family, folder):
    published = PUBLISHED_FAMILIES[family]
    pipe = transformers.pipeline(published.pipeline, model=str(folder))
    assert type(pipe.model).__name__ == published.class_name
    if family == "action":
        assert len(pipe(np.random.default_rng(0).random((1, 30, 5, 3), dtype=np.float32))) > 1
    elif family == "detection":
        assert {"box", "score", "label"} == set(pipe(PIXELS, threshold=0.0)[0])
    else:
        assert len(pipe(PIXELS, boxes=BOXES)) == 3 and pipe(PIXELS, boxes=[]) == []


def test_analysis_is_what_the_single_pipelines_say(folder, analysis):
    together = analysis(PIXELS, boxes=BOXES)
    assert [list(person) for person in together] == [["box", "score", *PERSONS]] * 3
    for family in PERSONS:
        alone = hulk_hf.pipeline(PUBLISHED_FAMILIES[family].pipeline, model=folder)(PIXELS, boxes=BOXES)
        for person, record in zip(together, alone, strict=True):
            same(person[family], {key: record[key] for key in person[family]})


def test_analysis_of_ragged_lists_and_generators(analysis):
    pictures, boxes = [PIXELS, OTHER, PIXELS], [BOXES, [], BOXES[:1]]
    families = ["pose", "parsing", "attributes"]
    expected = [
        analysis(picture, boxes=part, families=families) for picture, part in zip(pictures, boxes, strict=True)
    ]
    for batch_size in (1, 2, 8):
        same(analysis(pictures, boxes=boxes, families=families, batch_size=batch_size), expected)
    items = ({"image": picture, "boxes": part} for picture, part in zip(pictures, boxes, strict=True))
    same(list(analysis(items, families=families)), expected)
    assert analysis([], boxes=[]) == []
    assert len(analysis(PIXELS, families=["pose"])) == 1, "without boxes the picture is one person"


def test_analysis_finds_persons_once(analysis):
    calls = []

    def detector(image):
        calls.append(image.size)
        return [{"box": {"xmin": 10, "ymin": 5, "xmax": 50, "ymax": 85}, "score": 0.8, "label": "person"}]

    person = analysis(PIXELS, detector=detector, families=["pose", "attributes"])[0]
    assert calls == [(120, 90)] and person["score"] == 0.8
    own = analysis.own_detector(Image.fromarray(PIXELS), threshold=0.0)
    wide = [
        entry for entry in own if all(entry["box"][f"{side}max"] - entry["box"][f"{side}min"] > 2 for side in "xy")
    ]
    found = analysis(PIXELS, families=["detection", "pose"], detector_threshold=0.0)
    assert len(found) >= len(wide), "detection among the families finds the persons"
    assert analysis(PIXELS, detector=lambda image: [], families=["pose"]) == []


def test_one_crop_for_two_families(analysis, monkeypatch):
    passes = []
    trunk = analysis.model.hulk.encoder
    handle = trunk.register_forward_hook(lambda *arguments: passes.append(1))
    own = analysis(PIXELS, boxes=BOXES, families=["pose", "attributes"])
    count = len(passes)
    shared = analysis(PIXELS, boxes=BOXES, families=["pose", "attributes"], shared_crop=True)
    handle.remove()
    assert (count, len(passes) - count) == (2, 1)
    same([person["pose"] for person in shared], [person["pose"] for person in own])
    assert shared[0]["attributes"] != own[0]["attributes"]
    with pytest.raises(ValueError, match="`shared_crop`: no two of the families can share a crop"):
        analysis(PIXELS, boxes=BOXES, families=["pose", "parsing"], shared_crop=True)


def test_options_reach_the_families(analysis):
    options = {"pose": {"threshold": 2.0}, "attributes": {"threshold": None}}
    person = analysis(PIXELS, boxes=BOXES, families=["pose", "attributes"], options=options)[0]
    assert person["pose"]["labels"] == [] and "keypoints" in person["pose"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"families": "pose"}, "`families` must be a list of names"),
        ({"families": ["action"]}, "`families`: 'action' is not about a person in a picture"),
        ({"families": ["speech"]}, "task: no task 'speech' in this checkpoint"),
        ({"families": ["detection"]}, "`families` must name more than detection"),
        ({"task": "pose"}, "`task` must not be given: `families`"),
        ({"families": ["pose"], "options": {"mesh": {}}}, r"`options`: \['mesh'\] are none of the families"),
        ({"families": ["pose"], "options": {"pose": {"box_format": "xyxy"}}}, "hold for all families"),
    ],
)
def test_analysis_of_bad_input(analysis, arguments, message):
    with pytest.raises(ValueError, match=message):
        analysis(PIXELS, boxes=BOXES, **arguments)


def test_analysis_needs_all_heads(folder):
    with pytest.raises(ValueError, match="`model` must be a HulkForHumanAnalysis"):
        hulk_hf.HumanAnalysisPipeline(model=hulk_hf.HulkForPoseEstimation.from_pretrained(folder))


def test_remote_code_runs_every_pipeline(folder, tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    np.save(tmp_path / "pixels.npy.clip.npy", np.random.default_rng(0).random((1, 30, 5, 3), dtype=np.float32))
    names = [published.pipeline for published in PUBLISHED_FAMILIES.values()] + ["human-analysis"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "HF_HOME": str(tmp_path / "home"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    arguments = [str(tmp_path / "pixels.npy"), json.dumps(BOXES), json.dumps(dict.fromkeys(names, str(folder)))]
    done = subprocess.run(
        [sys.executable, "-I", "-c", REMOTE, *arguments],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("RESULT")[2])
    assert all(found[name] == 3 for name in names if name not in ("human-detection", "human-action"))


# predict -------------------------------------------------------------------------------------------------------------


def test_predict_everything(folder, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    result = hulk_hf.predict(tmp_path / "a.png", task=list(PERSONS), model=folder, boxes=BOXES)
    assert len(result) == 3 and result.source == str(tmp_path / "a.png") and result.size == (120, 90)
    person = result[0]
    assert len(person.pose.labels) == 3 and person.mesh.vertices.shape == (500, 3) and person.parsing is not None
    assert isinstance(person.caption.generated_text, str) and person.attributes is not None
    again = hulk_hf.ImageResult.from_dict(json.loads(result.to_json()), result.tasks)
    assert again.to_json() == result.to_json()
    assert min(result.plot().size) >= 640
    result.save(tmp_path / "bodies.glb")
    assert (tmp_path / "bodies.glb").read_bytes()[:4] == b"glTF"


def test_predict_lists_generators_and_detections(folder):
    predictor = hulk_hf.Predictor("pose", folder)
    results = predictor([PIXELS, OTHER], boxes=[BOXES, BOXES[:1]])
    assert [len(result) for result in results] == [3, 1]
    lazily = predictor({"image": picture, "boxes": BOXES} for picture in (PIXELS, OTHER))
    assert [len(result) for result in lazily] == [3, 3]
    found = hulk_hf.predict(PIXELS, task="detection", model=folder, detector_threshold=0.0)
    assert len(found) > 0 and found[0].pose is None and 0 <= found[0].score <= 1
    action = hulk_hf.predict(np.ones((1, 30, 5, 3), np.float32), task="action", model=folder)
    assert action.labels and len(action.labels) == len(action.scores)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("", "task: expected names of tasks"),
        ("speech", "task: no task 'speech'"),
        ("pose-small,pose-other", "task: expected one task of each family"),
        ("action,attributes", "'action' reads the skeletons of 'pose'"),
    ],
)
def test_predict_of_bad_tasks(folder, task, message):
    with pytest.raises(ValueError, match=message):
        hulk_hf.predict(PIXELS, task=task, model=folder)


def test_actions_of_a_picture(folder):
    with pytest.raises(ValueError, match="a picture shows no movement"):
        hulk_hf.predict(PIXELS, task="pose,action", model=folder)
