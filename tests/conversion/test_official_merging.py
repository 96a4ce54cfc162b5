# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Files of several tasks are merged where they agree, kept apart or refused where they do not, and written whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file

from hulk_hf import cli
from hulk_hf.conversion import official_folder
from hulk_hf.conversion.converted_file import convert_file
from hulk_hf.conversion.merging import Merge, largest_difference, tensor_sha256
from hulk_hf.conversion.official import convert, main
from hulk_hf.conversion.official_files import OfficialFile
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.positions_hulk import sincos_2d, stretched_sincos_2d
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, OFFICIAL_TASK_IDS

NUMBERS = {name: number for number, name in OFFICIAL_TASK_IDS.items()}
SHARED = "backbone_module.blocks.1.mlp.fc1.weight"
OURS = "hulk.encoder.layers.1.mlp.fc1.weight"
DEAD = "decoder_module.predictor.adapt_pos1d.0.weight"
POSITIONS = "adapter_rgb.pos_embed"


@pytest.fixture
def weights_of(recorder):
    """Weights of small pose files: what tasks share is equal, the rest is not."""

    def make(task: str, width: int = 64, **sizes) -> dict[str, torch.Tensor]:
        known = KNOWN_TASKS[task]
        common = recorder.weights(recorder.sizes(width=width, decoder_width=32, image_size=(256, 192), **sizes))
        sizes |= {"width": width, "joints": known.num_labels, "image_size": known.image_size}
        own = recorder.weights(recorder.sizes(decoder_width=32, **sizes), seed=NUMBERS[task])
        private = ("proj_dense_labeling.upsample", "proj_dense_labeling.post_mul", "proj_dense_labeling.text")
        kept = {name for name in own if name.startswith((*private, DEAD)) or "embed_" in name or "pos_embed" in name}
        return {name: own[name] if name in kept else common[name] for name in own}

    return make


@pytest.fixture
def save(tmp_path):
    """Write weights as a file of the release."""

    def write(task: str, weights: dict[str, torch.Tensor]) -> Path:
        path = tmp_path / "official" / f"ckpt_task{NUMBERS[task]}_iter_newest.pth.tar"
        path.parent.mkdir(exist_ok=True)
        state = {f"module.{name}": tensor for name, tensor in weights.items()}
        torch.save({"step": 1, "state_dict": state, "optimizer": {}}, path)
        return path

    return write


@pytest.fixture
def two_files(weights_of, save):
    return [save(task, weights_of(task)) for task in ("pose-coco", "pose-aic")]


def left_behind(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir() if path.name != "official")


# Equal copies --------------------------------------------------------------------------------------------------------


def test_two_files_become_one_checkpoint_that_the_class_loads(two_files, tmp_path, capsys):
    folder = convert([tmp_path / "official"], tmp_path / "deep" / "hulk")
    said = capsys.readouterr().out
    assert "ckpt_task8_iter_newest.pth.tar: pose-coco" in said and "2 duplicate, 0 restricted" in said
    assert "in more than one file" in said and "pose-coco, pose-aic; " in said
    model, info = HulkForPoseEstimation.from_pretrained(folder, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert set(model.state_dict()) == set(load_file(folder / "model.safetensors"))
    assert model.dtype == torch.float32 and HulkPoseImageProcessor.from_pretrained(folder).task == "pose-coco"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "conversion.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
    ]
    assert left_behind(tmp_path / "deep") == ["hulk"]
    assert (folder.stat().st_mode & 0o777, (folder / "config.json").stat().st_mode & 0o777) == (0o755, 0o644)


def test_dead_tensors_are_never_compared(weights_of, save, tmp_path):
    first, second = weights_of("pose-coco"), weights_of("pose-aic")
    assert not torch.equal(first[DEAD], second[DEAD])
    second[DEAD] = torch.full_like(second[DEAD], float("nan"))
    convert([save("pose-coco", first), save("pose-aic", second)], tmp_path / "hulk")


def test_small_differences_are_accepted_and_reported(weights_of, save, tmp_path, capsys):
    first, second = weights_of("pose-coco"), weights_of("pose-aic")
    second[SHARED] = second[SHARED] + 5e-6
    folder = convert([save("pose-coco", first), save("pose-aic", second)], tmp_path / "hulk")
    assert re.search(rf"the largest difference is [45][.\d]*e-06 \({OURS}\)", capsys.readouterr().out)
    assert torch.equal(load_file(folder / "model.safetensors")[OURS], first[SHARED])
    shared = json.loads((folder / "conversion.json").read_text(encoding="utf-8"))["shared"]
    assert shared[OURS]["largest_difference"] == pytest.approx(5e-6, rel=0.1)
    assert shared[OURS]["sha256"] == {
        "ckpt_task8_iter_newest.pth.tar": tensor_sha256(first[SHARED]),
        "ckpt_task9_iter_newest.pth.tar": tensor_sha256(second[SHARED]),
    }
    assert [name for name, result in shared.items() if len(result["sha256"]) > 1] == [OURS]
    assert "the largest difference" in (folder / "README.md").read_text(encoding="utf-8")


def test_tasks_are_chosen_by_name_or_number(two_files, tmp_path):
    for number, tasks in enumerate((["pose-aic"], ["9"])):
        folder = convert(two_files, tmp_path / f"hulk{number}", tasks=tasks)
        assert list(HulkConfig.from_pretrained(folder).tasks) == ["pose-aic"]
    assert main([*map(str, two_files), "-o", str(tmp_path / "both"), "--tasks", "pose-aic,8"]) == 0
    assert set(HulkConfig.from_pretrained(tmp_path / "both").tasks) == {"pose-aic", "pose-coco"}
    options = ["--tasks", "9", "--tasks", "pose-coco", "--dtype", "float16"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["convert", *map(str, two_files), "-o", str(tmp_path / "half"), *options])
    assert not ended.value.code
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.float16}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["parsing-lip"], r"no file of \['parsing-lip'\], found those of \['pose-aic', 'pose-coco'\]"),
        (["pose-coc"], "no known task 'pose-coc'"),
        (["77"], "no known task '77'"),
        ([], r"no file of \[\]"),
    ],
)
def test_a_task_that_is_not_there_is_an_error(two_files, tmp_path, tasks, message):
    with pytest.raises(ValueError, match=f"tasks: {message}"):
        convert(two_files, tmp_path / "hulk", tasks=tasks)
    assert left_behind(tmp_path) == []


def test_two_files_of_one_task_are_refused(two_files, tmp_path):
    with pytest.raises(ValueError, match="both of task 'pose-coco', expected one file per task"):
        convert([two_files[0], f"pose-coco={two_files[1]}"], tmp_path / "hulk")


# Copies that differ --------------------------------------------------------------------------------------------------


def test_an_altered_copy_is_refused_and_named_with_its_hashes(weights_of, save, tmp_path, capsys):
    first, second = weights_of("pose-coco"), weights_of("pose-aic")
    second[SHARED] = second[SHARED].clone()
    second[SHARED][3, 5] += 0.25
    files = [save("pose-coco", first), save("pose-aic", second)]
    with pytest.raises(ValueError, match="1 shared tensors differ by more than 1e-05") as raised:
        convert(files, tmp_path / "hulk")
    for part in (SHARED, "0.25", tensor_sha256(first[SHARED])[:12], tensor_sha256(second[SHARED])[:12], "task9"):
        assert part in str(raised.value)
    assert left_behind(tmp_path) == []
    with pytest.raises(SystemExit) as ended:
        cli.main(["convert", *map(str, files), "-o", str(tmp_path / "hulk")])
    assert ended.value.code == 2 and SHARED in capsys.readouterr().err


def test_task_copies_are_kept_as_checkpoints_of_their_own(weights_of, save, tmp_path):
    first, second, third = (weights_of(task) for task in ("pose-coco", "pose-aic", "pose-mhp"))
    second[SHARED] = second[SHARED] + 0.25
    files = [save("pose-coco", first), save("pose-aic", second), save("pose-mhp", third)]
    convert(files, tmp_path / "hulk", keep_task_copies=True)
    assert left_behind(tmp_path) == ["hulk"]
    assert sorted(path.name for path in (tmp_path / "hulk").iterdir()) == ["pose-aic", "pose-coco"]
    for name, tasks, expected in (("pose-coco", {"pose-coco", "pose-mhp"}, first), ("pose-aic", {"pose-aic"}, second)):
        model = HulkForPoseEstimation.from_pretrained(tmp_path / "hulk" / name)
        assert set(model.config.tasks) == tasks and torch.equal(model.state_dict()[OURS], expected[SHARED])
    convert([files[0], files[2]], tmp_path / "alike", keep_task_copies=True)
    assert (tmp_path / "alike" / "model.safetensors").is_file()  # nothing to keep apart


def test_files_of_different_sizes_are_refused(weights_of, save, tmp_path):
    files = [save("pose-coco", weights_of("pose-coco")), save("pose-aic", weights_of("pose-aic", width=128))]
    for keep in (False, True):
        with pytest.raises(ValueError, match=r"task9.*\(width 128, 2 layers\), but .*task8.*\(width 64, 2 layers\)"):
            convert(files, tmp_path / "hulk", keep_task_copies=keep)
    files[1] = save("pose-aic", weights_of("pose-aic", decoder_mlp=80))
    with pytest.raises(ValueError, match=r"decoder_config.intermediate_size 80 and 24"):
        convert(files, tmp_path / "hulk")
    assert left_behind(tmp_path) == []


# Position tables -----------------------------------------------------------------------------------------------------


def grid_of(task: str) -> tuple[int, int]:
    height, width = KNOWN_TASKS[task].image_size
    return height // 16, width // 16


def test_tables_that_follow_from_different_formulas_are_kept(weights_of, save, tmp_path):
    first, second = weights_of("pose-coco"), weights_of("pose-h36m")
    first[POSITIONS] = stretched_sincos_2d(64, 16, 12)[None]
    second[POSITIONS] = sincos_2d(64, 16, 16)[None]
    folder = convert([save("pose-coco", first), save("pose-h36m", second)], tmp_path / "hulk")
    model, info = HulkForPoseEstimation.from_pretrained(folder, output_loading_info=True)
    assert model.config.vision_config.image_positions == "stored" and not info["missing_keys"]
    tables = model.hulk.tokenizers["image"].position_tables
    assert torch.equal(tables(16, 12, "pose-coco"), first[POSITIONS][0])
    assert torch.equal(tables(16, 16, "pose-h36m"), second[POSITIONS][0])


def test_a_table_of_no_formula_is_kept_beside_one_that_follows(weights_of, save, tmp_path, capsys):
    first, second = weights_of("pose-coco"), weights_of("pose-h36m")
    second[POSITIONS] = torch.randn(1, 256, 64)
    files = [save("pose-coco", first), save("pose-h36m", second)]
    stored = load_file(convert(files, tmp_path / "hulk") / "model.safetensors")
    assert "3 derived (1 of them kept)" in capsys.readouterr().out
    prefix = "hulk.tokenizers.image.position_tables"
    assert torch.equal(stored[f"{prefix}.pose-h36m.weight"], second[POSITIONS][0])
    torch.testing.assert_close(stored[f"{prefix}.pose-coco.weight"], first[POSITIONS][0], atol=1e-5, rtol=0)
    alone = load_file(convert([files[1]], tmp_path / "alone") / "model.safetensors")
    assert [name for name in alone if "position_tables" in name] == [f"{prefix}.pose-h36m.weight"]


@pytest.mark.parametrize("which", [0, 1])
def test_tasks_of_one_grid_may_have_tables_of_their_own(weights_of, save, tmp_path, which):
    weights = [weights_of("pose-coco"), weights_of("pose-aic")]
    weights[which][POSITIONS] = weights[which][POSITIONS] + 0.5
    names = ("pose-coco", "pose-aic")
    files = [save(name, tensors) for name, tensors in zip(names, weights, strict=True)]
    model = HulkForPoseEstimation.from_pretrained(convert(files, tmp_path / "hulk"))
    for name, tensors in zip(names, weights, strict=True):
        table = model.hulk.tokenizers["image"].position_tables(16, 12, name)
        torch.testing.assert_close(table, tensors[POSITIONS][0], atol=1e-5, rtol=0)
    alone = HulkForPoseEstimation.from_pretrained(convert([files[which]], tmp_path / "alone"))
    pixels = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        together = model.eval()(pixels, task=names[which]).heatmaps
        assert torch.equal(together, alone.eval()(pixels).heatmaps)


def test_tables_of_the_decoder_are_kept_too(weights_of, save, tmp_path):
    weights = weights_of("pose-coco")
    for name in ("patch", "label"):
        weights[f"decoder_module.predictor.query_embed_{name}"] = torch.linspace(0, 1, 192 * 32).view(1, 192, 32)
    model = HulkForPoseEstimation.from_pretrained(convert([save("pose-coco", weights)], tmp_path / "hulk"))
    expected = weights["decoder_module.predictor.query_embed_patch"][0]
    assert torch.equal(model.hulk.decoder.places.grids(16, 12, "pose-coco"), expected)


# Precision -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "asked", "written"),
    [
        (torch.float32, None, torch.float32),
        (torch.float16, None, torch.float16),
        (torch.float64, None, torch.float32),
        (torch.float16, "float32", torch.float32),
        (torch.float32, "bfloat16", torch.bfloat16),
        (torch.float32, "float16", torch.float16),
    ],
)
def test_weights_are_written_in_the_wanted_precision(weights_of, save, tmp_path, source, asked, written):
    weights = {name: tensor.to(source) for name, tensor in weights_of("pose-coco").items()}
    folder = convert([save("pose-coco", weights)], tmp_path / "hulk", dtype=asked)
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {written}
    assert torch.equal(stored[OURS], weights[SHARED].to(written))
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["dtype"] == "float32"
    assert HulkForPoseEstimation.from_pretrained(folder).dtype == torch.float32


def test_of_copies_in_different_precision_the_finer_is_kept(weights_of, save, tmp_path):
    first, second = weights_of("pose-coco"), weights_of("pose-aic")
    half = {name: tensor.half() for name, tensor in first.items()}
    stored = load_file(
        convert([save("pose-coco", half), save("pose-aic", second)], tmp_path / "hulk") / "model.safetensors"
    )
    assert torch.equal(stored[OURS], second[SHARED]) and stored[OURS].dtype == torch.float32
    assert largest_difference(torch.tensor([1.0]).half(), torch.tensor([1.0001])) == 0
    assert largest_difference(torch.zeros(2), torch.zeros(3)) == float("inf")


def test_values_that_cannot_be_written_are_refused(weights_of, save, tmp_path):
    weights = weights_of("pose-coco")
    weights[SHARED] = weights[SHARED].clone()
    weights[SHARED][0, 0] = 1e6
    with pytest.raises(ValueError, match=rf"dtype: {OURS} holds 1e\+06, which torch.float16 cannot hold"):
        convert([save("pose-coco", weights)], tmp_path / "hulk", dtype="float16")
    weights[SHARED][0, 0] = float("nan")
    with pytest.raises(ValueError, match=rf"newest.pth.tar: {OURS}: holds values that are not finite"):
        convert([save("pose-coco", weights)], tmp_path / "hulk")
    weights[SHARED] = torch.zeros_like(weights[SHARED], dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"newest.pth.tar: {OURS}: expected a floating dtype, got torch.int64"):
        convert([save("pose-coco", weights)], tmp_path / "hulk")
    with pytest.raises(ValueError, match="dtype: expected one of .* got 'int8'"):
        convert([save("pose-coco", weights)], tmp_path / "hulk", dtype="int8")
    assert left_behind(tmp_path) == []


# Bad files and bad folders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.update(extra=torch.zeros(1)), "1 official keys are not known.*extra"),
        (lambda w: w.pop(SHARED), f"1 official tensors .* are missing: {SHARED}"),
        (lambda w: w.update({SHARED: torch.zeros(3, 3)}), f"official key '{SHARED}': got shape"),
    ],
)
def test_a_file_with_other_keys_or_shapes_is_named(weights_of, save, tmp_path, change, message):
    weights = weights_of("pose-aic")
    change(weights)
    files = [save("pose-coco", weights_of("pose-coco")), save("pose-aic", weights)]
    with pytest.raises(ValueError, match=f"ckpt_task9_iter_newest.pth.tar: .*{message}"):
        convert(files, tmp_path / "hulk")
    assert left_behind(tmp_path) == []


def test_a_file_of_another_task_than_its_name_says_is_refused(weights_of, save, tmp_path):
    path = save("pose-coco", weights_of("pose-aic"))
    with pytest.raises(ValueError, match="ckpt_task8.*'pose-coco' has 17 labels, but the weights are for 14"):
        convert([path], tmp_path / "hulk")


@pytest.mark.parametrize("failing", ["save_file", "card_text"])
def test_a_failure_while_writing_leaves_nothing(two_files, tmp_path, monkeypatch, failing):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(official_folder, failing, fail)
    assert main([*map(str, two_files), "--output", str(tmp_path / "hulk")]) == 2
    assert left_behind(tmp_path) == []


def test_a_folder_that_holds_something_is_not_touched(two_files, tmp_path):
    (tmp_path / "hulk").mkdir()
    convert(two_files, tmp_path / "hulk")  # an empty one is fine
    before = sorted(path.name for path in (tmp_path / "hulk").iterdir())
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        convert(two_files, tmp_path / "hulk")
    assert sorted(path.name for path in (tmp_path / "hulk").iterdir()) == before
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        convert(two_files, two_files[0])


def test_a_merge_does_not_take_a_task_twice(two_files):
    merge = Merge()
    assert merge.add(convert_file(OfficialFile(two_files[0], "pose-coco"))) == []
    with pytest.raises(ValueError, match="of task 'pose-coco', as ckpt_task8"):
        merge.add(convert_file(OfficialFile(two_files[0], "pose-coco")))


# Vocabulary ----------------------------------------------------------------------------------------------------------


def vocabulary(folder: Path, size: int = 110, begin: str = "[CLS]") -> Path:
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", begin, "[SEP]", "[MASK]"]
    words += [f"word{i}" for i in range(size - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder / "vocab.txt"


@pytest.fixture
def caption():
    return replace(KNOWN_TASKS["caption-joint"], vocabulary_size=110)


def test_the_vocabulary_comes_from_a_file_a_folder_or_the_hub(caption, tmp_path, monkeypatch):
    path = vocabulary(tmp_path)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, name: {"vocab.txt": str(path)}[name])
    for number, source in enumerate((path, tmp_path, "some-lab/words", None)):
        tokenizer, remarks = official_folder.caption_tokenizer(caption, source)
        assert remarks == [] and len(tokenizer) == caption.num_labels, number


def test_without_a_network_the_rest_is_written_and_the_gap_is_said(caption, tmp_path, monkeypatch):
    def download(repository, name):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    tokenizer, (remark,) = official_folder.caption_tokenizer(caption, None)
    assert "no network" in remark and "--vocab" in remark and tokenizer is None
    with pytest.raises(ValueError, match="vocab: 'some-lab/words' cannot be read .*no network"):
        official_folder.caption_tokenizer(caption, "some-lab/words")


@pytest.mark.parametrize(("size", "begin"), [(111, "[CLS]"), (110, "[BEGIN]")])
def test_another_vocabulary_is_refused(caption, tmp_path, size, begin):
    with pytest.raises(ValueError, match="vocab: got .* expected the 110 words of the weights with"):
        official_folder.caption_tokenizer(caption, vocabulary(tmp_path, size, begin))


def test_a_vocabulary_that_no_task_needs_is_said(two_files, tmp_path, capsys):
    convert(two_files, tmp_path / "hulk", vocabulary=vocabulary(tmp_path))
    assert "none of these tasks writes captions" in capsys.readouterr().out
