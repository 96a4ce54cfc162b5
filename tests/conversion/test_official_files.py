# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Official files are found, read without running anything, and their tasks told; what is no good is said."""

from __future__ import annotations

import csv
import json
import os
import pickle
from pathlib import Path

import huggingface_hub
import pytest
import torch

from hulk_hf.conversion.official import convert, main
from hulk_hf.conversion.official_files import OfficialFile, find_files, read_official_file, recognise_task
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

STATE = {"module.a": torch.arange(3.0), "module._orig_mod.b": torch.zeros(1, 0, 2)}


class Trap:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(STATE, path)


def names_of(files: list[OfficialFile], folder: Path) -> dict[str, str | None]:
    return {str(file.path.relative_to(folder)): file.task for file in files}


def official_of(recorder, task: str, **sizes) -> dict[str, torch.Tensor]:
    """Weights of a small pose model of a known task."""
    known = KNOWN_TASKS[task]
    return recorder.weights(
        recorder.sizes(width=64, decoder_width=32, joints=known.num_labels, image_size=known.image_size, **sizes)
    )


# Finding -------------------------------------------------------------------------------------------------------------


def test_official_names_say_their_task_and_the_newest_is_taken(tmp_path):
    touch(tmp_path, *(f"ckpt_task8_iter_{step}.pth.tar" for step in (1000, 9000, "newest")))
    touch(tmp_path, *(f"deep/ckpt_task18_iter_{step}.pth.tar" for step in (900, 20000)), "mae_vit_base.pth")
    files, passed_over = find_files([tmp_path])
    assert names_of(files, tmp_path) == {
        "ckpt_task8_iter_newest.pth.tar": "pose-coco",
        "deep/ckpt_task18_iter_20000.pth.tar": "parsing-cihp",
    }
    assert len(passed_over) == 4


def test_other_names_are_taken_where_there_are_no_official_ones(tmp_path):
    touch(tmp_path, "hulk_task9.pth", "vit-b.pt", "multitask3.pth", "task99.pth")
    files, passed_over = find_files([tmp_path])
    assert names_of(files, tmp_path) == {
        "hulk_task9.pth": "pose-aic",
        "multitask3.pth": None,
        "task99.pth": None,
        "vit-b.pt": None,
    }
    assert not passed_over


def test_a_task_can_be_given_with_the_file_and_a_file_counts_once(tmp_path):
    touch(tmp_path, "weights.pth", "ckpt_task8_iter_5.pth.tar")
    file, official = tmp_path / "weights.pth", tmp_path / "ckpt_task8_iter_5.pth.tar"
    files, _ = find_files([f"parsing-lip={file}", official, official])
    assert names_of(files, tmp_path) == {"weights.pth": "parsing-lip", "ckpt_task8_iter_5.pth.tar": "pose-coco"}
    assert find_files([f"17={file}"])[0][0].task == "parsing-lip"
    with pytest.raises(ValueError, match="expected one file behind 'parsing-lip'="):
        find_files([f"parsing-lip={tmp_path}"])


@pytest.mark.parametrize("name", ["ckpt_task24_iter_newest.pth.tar", "ckpt_task999_iter_1.pth.tar"])
def test_an_official_name_of_no_task_is_refused(tmp_path, name):
    touch(tmp_path, name)
    with pytest.raises(ValueError, match=rf"{name}: official task \d+ is not known"):
        find_files([tmp_path])


def test_a_folder_without_checkpoints_and_a_path_that_leads_nowhere_are_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no checkpoint in .*expected files that end with"):
        find_files([tmp_path])
    with pytest.raises(ValueError, match="does not exist"):
        find_files([tmp_path / "absent.pth.tar"])
    assert main([str(tmp_path), "--output", str(tmp_path / "hulk")]) == 2
    assert "official: error: sources: no checkpoint" in capsys.readouterr().err


def test_a_repository_of_the_hub_is_downloaded(tmp_path, monkeypatch):
    touch(tmp_path, "b/ckpt_task8_iter_newest.pth.tar")
    asked = []

    def download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    files, _ = find_files(["some-lab/Hulk"])
    assert [file.task for file in files] == ["pose-coco"]
    assert asked == [("some-lab/Hulk", ["*.pth.tar", "*.pth", "*.pt"])]


def test_a_repository_that_cannot_be_downloaded_is_an_error(monkeypatch):
    def download(repository, allow_patterns):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ValueError, match="'some-lab/Hulk' is no file or folder here, and .*no network"):
        find_files(["some-lab/Hulk"])


# Reading -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"step": 3, "state_dict": state, "optimizer": {}}]
)
def test_a_state_dict_is_read_bare_or_in_its_entry(tmp_path, wrap, zipped):
    path = tmp_path / "file.pth.tar"
    torch.save(wrap(STATE), path, _use_new_zipfile_serialization=zipped)
    tensors = read_official_file(path)
    assert tensors.keys() == {"a", "b"} and tensors["a"].tolist() == [0, 1, 2] and tensors["b"].shape == (1, 0, 2)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path, zipped, capsys):
    trap, path = tmp_path / "trap", tmp_path / "ckpt_task8_iter_newest.pth.tar"
    torch.save({"state_dict": STATE, "hook": Trap(trap)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match="newest.pth.tar: holds Python objects .*mkdir"):
        read_official_file(path)
    assert main([str(path), "-o", str(tmp_path / "hulk")]) == 2
    assert "can run any code" in capsys.readouterr().err
    assert not trap.exists() and not (tmp_path / "hulk").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_is_not_run(tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
    with pytest.raises(ValueError, match="file.pth: no file of torch.save"):
        read_official_file(path)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused(tmp_path, share, zipped):
    path = tmp_path / "file.pth.tar"
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"file.pth.tar: (cut short or damaged|no file of torch.save, or a damaged)"):
        read_official_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "loss": [1.0]}, r"expected a state dict.* got \['epoch', 'loss'\]"),
        ({"state_dict": {}}, r"expected a state dict.* got \[\]"),
        ([torch.zeros(1)], "got list"),
        ({"a": torch.zeros(1), "step": 3}, r"official\['step'\]: expected a tensor, got int"),
        ({"a": torch.zeros(1), "module.a": torch.zeros(1)}, "two keys mean 'a'"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=f"file.pth: .*{message}"):
        read_official_file(tmp_path / "file.pth")


# Telling the task ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["pose-aic", "pose-h36m", "pose-posetrack", "pose-mhp", "pose-3dpw"])
def test_pose_tasks_of_their_own_size_are_recognised(recorder, task):
    assert recognise_task({f"module.{name}": value for name, value in official_of(recorder, task).items()}) == task


def test_pose_tasks_that_nothing_tells_apart_have_to_be_named(recorder, tmp_path):
    official = official_of(recorder, "pose-coco")
    torch.save(official, tmp_path / "hulk.pth")
    message = "hulk.pth: .*any of .*'pose-coco', 'pose-jrdb', 'pose-3dhp', 'pose-aist'.*TASK=FILE"
    with pytest.raises(ValueError, match=message):
        convert([tmp_path / "hulk.pth"], tmp_path / "out")
    convert([f"pose-aist={tmp_path / 'hulk.pth'}"], tmp_path / "out")


def test_a_checkpoint_of_no_known_task_is_refused(recorder):
    official = recorder.weights(recorder.sizes(width=64, decoder_width=32, joints=5))
    with pytest.raises(ValueError, match="a pose checkpoint of 5 labels and 12 input tokens is of no known task"):
        recognise_task(official)
    with pytest.raises(ValueError, match=r"2 keys are those of no task, such as \['a', 'b'\]"):
        recognise_task(STATE)


@pytest.mark.parametrize(
    ("task", "recognised"),
    [
        (0, "action-ntu-gym"),
        (2, "mesh-smpl"),
        (5, "attributes-joint"),
        (7, "caption-joint"),
        (9, "pose-aic"),
        (19, "parsing-h36m"),
        (3, "any of .'detection-crowdhuman', 'detection-joint'"),
        (8, "any of .'pose-coco', 'pose-jrdb', 'pose-3dhp', 'pose-aist'"),
        (17, "any of .'parsing-lip', 'parsing-cihp', 'parsing-vip', 'parsing-paperdoll'"),
    ],
)
def test_every_official_file_is_recognised_or_the_choice_is_named(shared, task, recognised):
    with (shared / "checkpoint" / f"keys_full_task{task}.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    tensors = {row["key"]: torch.empty(json.loads(row["shape"]), device="meta") for row in rows}
    if recognised.startswith("any of"):
        with pytest.raises(ValueError, match=recognised):
            recognise_task(tensors)
    else:
        assert recognise_task(tensors) == recognised
