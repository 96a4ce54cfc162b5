# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Many pictures: names of results, unreadable ones, several processes, a killed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from hulk_hf.predict_files import find_pictures, predict_files, read_boxes
from hulk_hf.results import ImageResult, Person


class Eyes:
    """Stands in for a predictor and counts what it is shown."""

    def __init__(self):
        self.seen = 0

    def __call__(self, items, **options):
        for item in items:
            self.seen += 1
            image = item["image"]
            boxes = item.get("boxes") or [[0, 0, *image.size]]
            persons = [Person((x, y, x + w, y + h)) for x, y, w, h in boxes]
            yield ImageResult(persons, image.size, picture=image)


def make_pictures(folder, count: int = 5, size: tuple[int, int] = (40, 30)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"p{index}.png")


def test_names_of_results(tmp_path):
    make_pictures(tmp_path / "a", 2)
    make_pictures(tmp_path / "a" / "b", 1)
    Image.new("RGB", (5, 5)).save(tmp_path / "a" / "p1.jpg")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    found = find_pictures([str(tmp_path / "a"), str(tmp_path / "a" / "p0.png")])
    assert [os.path.relpath(source, tmp_path) for source, _ in found] == [
        "a/b/p0.png",
        "a/p0.png",
        "a/p1.jpg",
        "a/p1.png",
    ]
    assert [name for _, name in found] == ["b/p0", "p0", "p1.jpg", "p1.png"]
    make_pictures(tmp_path / "c", 1)
    same = find_pictures([str(tmp_path / "a" / "p0.png"), str(tmp_path / "c" / "p0.png")])
    assert len({name for _, name in same}) == 2, "no result takes the place of another"


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match="is neither a file nor a folder nor a URL"):
        find_pictures([str(tmp_path / "nothing.png")])
    with pytest.raises(ValueError, match="no pictures in the folder"):
        find_pictures([str(tmp_path)])


def test_what_is_done_is_not_done_again(tmp_path):
    make_pictures(tmp_path / "in")
    eyes = Eyes()
    first = predict_files([str(tmp_path / "in")], eyes, tmp_path / "out")
    (tmp_path / "out" / "p3.json").unlink()
    second = predict_files([str(tmp_path / "in")], eyes, tmp_path / "out", pictures=True)
    assert len(first.done) == 5 and eyes.seen == 6
    assert [os.path.basename(name) for name in second.done] == ["p3.png"] and len(second.skipped) == 4
    assert (tmp_path / "out" / "p3.png").is_file()
    third = predict_files([str(tmp_path / "in")], eyes, tmp_path / "out", overwrite=True)
    assert len(third.done) == 5


def test_an_unreadable_picture_is_named_and_the_others_are_done(tmp_path):
    make_pictures(tmp_path / "in", 3)
    (tmp_path / "in" / "p1.png").write_bytes(b"\x89PNG broken")
    outcome = predict_files([str(tmp_path / "in")], Eyes(), tmp_path / "out")
    assert len(outcome.done) == 2 and list(outcome.failed) == [str(tmp_path / "in" / "p1.png")]
    assert sorted(os.listdir(tmp_path / "out")) == ["p0.json", "p2.json"]


def test_processes_share_the_pictures(tmp_path):
    make_pictures(tmp_path / "in", 7)
    outcomes = [predict_files([str(tmp_path / "in")], Eyes(), tmp_path / "out", share=(rank, 3)) for rank in range(3)]
    done = [name for outcome in outcomes for name in outcome.done]
    assert len(done) == len(set(done)) == 7 and len(os.listdir(tmp_path / "out")) == 7


def test_boxes_from_files(tmp_path):
    simple = tmp_path / "boxes.json"
    simple.write_text(json.dumps({"p0.png": [[1, 2, 10, 12]]}))
    assert read_boxes(simple) == {"p0.png": [[1, 2, 10, 12]]}
    coco = tmp_path / "coco.json"
    images = [{"id": 3, "file_name": "p0.png"}, {"id": 4, "file_name": "p1.png"}]
    annotations = [{"image_id": 3, "bbox": [1, 2, 10, 12]}, {"image_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1}]
    coco.write_text(json.dumps({"images": images, "annotations": annotations}))
    assert read_boxes(coco) == {"p0.png": [[1, 2, 10, 12]], "p1.png": []}
    make_pictures(tmp_path / "in", 1)
    predict_files([str(tmp_path / "in")], Eyes(), tmp_path / "out", boxes=read_boxes(coco))
    person = json.loads((tmp_path / "out" / "p0.json").read_text())["persons"][0]
    assert person["box"] == {"xmin": 1.0, "ymin": 2.0, "xmax": 11.0, "ymax": 14.0}
    for content in ("[1, 2", "[1, 2]"):
        simple.write_text(content)
        with pytest.raises(ValueError, match="boxes: .*boxes.json"):
            read_boxes(simple)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "hulk_hf", "predict", *words]


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    make_pictures(tmp_path / "in", 40, (64, 48))
    words = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--batch-size", "1"]
    process = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while len(list((tmp_path / "out").glob("*.json"))) < 3 and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.json")}
    assert 3 <= len(before) < 40
    for path in (tmp_path / "out").glob("*.json"):
        json.loads(path.read_text())
    result = subprocess.run(command(*words), capture_output=True, text=True, check=True)
    assert f"{40 - len(before)} done, {len(before)} done before, 0 not read" in result.stderr
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.json")}
    assert len(after) == 40 and all(after[name] == moment for name, moment in before.items())


@pytest.mark.distributed
@pytest.mark.slow
def test_launched_processes_do_each_picture_once(tmp_path):
    make_pictures(tmp_path / "in", 9)
    # What `accelerate launch` starts processes with; on a CPU alone it would start one.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    launch += ["--nproc_per_node", "2"]
    words = ["-m", "hulk_hf", "predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run([*launch, *words], capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    sources = [json.loads(line)["source"] for line in lines]
    assert len(sources) == len(set(sources)) == 9
    assert "5 done" in run.stderr and "4 done" in run.stderr
