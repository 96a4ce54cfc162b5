# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Files made from the key lists of all official files become one checkpoint, from which every class loads its part.

The files hold random values: the same for what tasks share, others for the rest, and tables by their formulas. In
small files every width is smaller, and there are two layers of each kind.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertTokenizer

from hulk_hf.conversion.official import convert, main
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.positions_hulk import sequence_sincos, stretched_sincos_2d
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, OFFICIAL_TASK_IDS

LISTS = (0, 2, 3, 4, 5, 7, 8, 9, 17, 18, 19)
# The released tasks; the two detection files are of one label space.
TEN = tuple(task for task in LISTS if task != 3)
# Of which task the list of used parameters is, for those that have none of their own.
MEASURED = {3: 4, 9: 8, 18: 17, 19: 17}
CLASSES = {
    "pose": HulkForPoseEstimation,
    "parsing": HulkForHumanParsing,
    "detection": HulkForPedestrianDetection,
    "attributes": HulkForAttributeRecognition,
    "action": HulkForActionRecognition,
    "mesh": HulkForMeshRecovery,
    "caption": HulkForCaptioning,
}
# Measured as unused in the network as it was built, but what it uses is an equal copy taken at construction.
USED_AS_A_COPY = {"adapter_sparse_labeling.text_embedding"}
# Used by something that is no result of the task: kinds of joints, of which all have the same text.
OF_NO_USE = {2: {"proj_sparse_labeling.text_features", "proj_sparse_labeling.post_mul_norm.bias"}}


@dataclass(frozen=True)
class Scale:
    """Widths of a model, under the full widths that the lists state: encoder, MLP, decoder, its MLP, text."""

    width: int = 64
    mlp: int = 96
    decoder: int = 32
    decoder_mlp: int = 48
    text: int = 24
    encoder_layers: int = 2
    decoder_layers: int = 2
    small: bool = True

    def shape(self, key: str, full: list[int]) -> tuple[int, ...]:
        """The shape of a tensor at this scale."""
        lengths = {256: self.decoder, 2048: self.decoder_mlp, 2304: 3 * self.width, 3072: self.mlp}
        of_encoder = key.startswith(("backbone_module", "adapter_rgb", "adapter_dense", "adapter_sparse", "neck_"))
        lengths[768] = self.width if of_encoder else self.text
        if "in_proj" in key:
            lengths[768] = 3 * self.decoder
        if self.small:
            # What nothing depends on: body models, and the embedding of label maps.
            lengths |= {6890: 30, 13776: 40} if ".smpl." in key else {64: 2}
        return tuple(lengths.get(length, length) for length in full)

    def layers(self, key: str) -> list[str]:
        """A key of the lists, which have 12 and 9 layers, as it occurs in a model with as many layers as this."""
        layer = re.search(r"\.(blocks|transformer_\w+_layers)\.(\d+)\.", key)
        if layer is None:
            return [key]
        listed, wanted = (12, self.encoder_layers) if layer[1] == "blocks" else (9, self.decoder_layers)
        return [key.replace(layer[0], f".{layer[1]}.{i}.") for i in range(int(layer[2]), wanted, listed)]


SMALL = Scale()
FULL = Scale(768, 3072, 256, 2048, 768, 12, 9, small=False)
LARGE = Scale(1024, 4096, 256, 2048, 768, 24, 9, small=False)


def read_list(shared: Path, task: int) -> list[dict[str, str]]:
    """The rows of a key list, keys without wrapper."""
    with (shared / "checkpoint" / f"keys_full_task{task}.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return [{**row, "key": row["key"].removeprefix("module.")} for row in rows]


def unused(shared: Path, task: int) -> set[str]:
    """Keys that were measured to change no output of the task."""
    path = shared / "checkpoint" / f"used_params_task{MEASURED.get(task, task)}.tsv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))[1:]
    return {key for key, status, *_ in rows if status != "USED"} - USED_AS_A_COPY | OF_NO_USE.get(task, set())


def make_file(shared: Path, task: int, scale: Scale) -> dict[str, torch.Tensor]:
    """An official state dict."""
    known = KNOWN_TASKS[OFFICIAL_TASK_IDS[task]]
    dead = unused(shared, task)
    tensors: dict[str, torch.Tensor] = {}
    rows = [(key, row) for row in read_list(shared, task) for key in scale.layers(row["key"])]
    for key, row in rows:
        scope = {"task_specific": known.name, "modality_share": known.family}.get(row["grad_sync_group"], "")
        seed = zlib.crc32(f"{key} {known.name if key in dead else scope}".encode())
        shape = scale.shape(key, json.loads(row["shape"]))
        if row["dtype"] == "int64":
            tensors[key] = torch.zeros(shape, dtype=torch.int64)
        else:
            tensors[key] = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1
    grid = (25, 8) if known.input == "skeleton" else tuple(side // 16 for side in known.image_size)
    decoder = "decoder_module.predictor"
    tensors[f"{decoder}.query_embed_patch"] = stretched_sincos_2d(scale.decoder, *grid)[None]
    if known.queries == "patch":
        tensors[f"{decoder}.query_embed_label"] = stretched_sincos_2d(scale.decoder, *grid)[None]
    if known.queries in ("label", "token"):
        length = tensors[f"{decoder}.query_embed_label"].shape[1]
        tensors[f"{decoder}.query_embed_label"] = sequence_sincos(scale.decoder, length)[None]
    source = "adapter_sparse_labeling" if known.input == "skeleton" else "adapter_rgb"
    tensors[f"{source}.pos_embed"] = stretched_sincos_2d(scale.width, *grid)[None]
    if known.family == "caption":
        tensors[f"{decoder}.mask_token_buffer"] = tensors["proj_text.text_vectors"][None].clone()
    for key in [key for key in tensors if ".1.ln." in key]:
        tensors[key] = tensors[key.replace(".ln.", ".")]
    return tensors


def save(tensors: dict[str, torch.Tensor], folder: Path, task: int) -> Path:
    """Write a state dict as the release does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ckpt_task{task}_iter_newest.pth.tar"
    state = {f"module.{key}": tensor for key, tensor in tensors.items()}
    torch.save({"step": 60000, "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]}}, path)
    return path


def vocabulary(path: Path, size: int = 30522) -> Path:
    """A vocabulary with the special words where the released one has them."""
    words = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    path.write_text("\n".join([*words, *(f"word{i}" for i in range(size - len(words)))]) + "\n", encoding="utf-8")
    return path


def load_classes(folder: Path) -> None:
    """Load every class that the checkpoint is for; together they hold all that is stored, and nothing else."""
    config, stored, loaded = HulkConfig.from_pretrained(folder), load_file(folder / "model.safetensors"), {}
    for cls in (HulkModel, HulkForHumanAnalysis, *(CLASSES[family] for family in config.default_tasks)):
        model, info = cls.from_pretrained(folder, output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), (cls, info)
        prefix = "hulk." if cls is HulkModel else ""
        loaded[cls] = {prefix + name: tensor for name, tensor in model.state_dict().items()}
        for name, tensor in loaded[cls].items():
            assert torch.equal(tensor, stored[name].to(tensor.dtype)), (cls, name)
    assert loaded.pop(HulkForHumanAnalysis).keys() == stored.keys()
    assert set().union(*loaded.values()) == stored.keys()


def digest(tensor: torch.Tensor) -> bytes:
    """A hash of the values, whatever their shape."""
    return hashlib.sha256(tensor.contiguous().view(-1).numpy().tobytes()).digest()


@pytest.fixture
def offline(monkeypatch) -> None:
    """No vocabulary can be fetched."""

    def download(repository, name):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


@pytest.fixture(scope="module")
def small_files(shared: Path) -> dict[int, dict[str, torch.Tensor]]:
    """A small state dict for every list."""
    return {task: make_file(shared, task, SMALL) for task in LISTS}


@pytest.fixture(scope="module")
def small_folder(small_files: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All small files, as they are released."""
    folder = tmp_path_factory.mktemp("official")
    for task, tensors in small_files.items():
        save(tensors, folder, task)
    return folder


@pytest.fixture(scope="module")
def converted(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint that all small files become."""
    folder = tmp_path_factory.mktemp("converted")
    vocab = vocabulary(folder / "vocab.txt")
    assert main([str(small_folder), "--output", str(folder / "hulk"), "--vocab", str(vocab)]) == 0
    return folder / "hulk"


def check_everything_landed(shared: Path, stored: dict[str, torch.Tensor], files: dict) -> None:
    """Compare by value: what an output depends on is there, what it does not depend on is not."""
    there = {digest(tensor) for tensor in stored.values()}
    for task, tensors in files.items():
        dead = unused(shared, task)
        for key, tensor in tensors.items():
            if ".smpl." in key or ".query_embed_" in key or key.endswith("pos_embed") or not tensor.numel():
                continue
            # Query, key and value are one in the files.
            pieces = tensor.chunk(3) if ".qkv." in key or ".in_proj_" in key else [tensor]
            landed = [digest(piece) in there for piece in pieces]
            assert landed == [key not in dead] * len(pieces), (task, key)


def test_all_files_become_one_checkpoint(shared, small_files, converted):
    stored = load_file(converted / "model.safetensors")
    check_everything_landed(shared, stored, small_files)
    assert not [name for name in stored if "position_tables" in name or "places" in name]  # they follow from formulas
    config = HulkConfig.from_pretrained(converted)
    assert set(config.tasks) == {OFFICIAL_TASK_IDS[task] for task in LISTS}
    assert config.default_tasks["detection"] == "detection-joint" and config.default_tasks["pose"] == "pose-coco"
    assert config.architectures == ["HulkForHumanAnalysis"] and config.dtype == torch.float32
    vision, decoder = config.vision_config, config.decoder_config
    assert (vision.hidden_size, vision.num_hidden_layers, vision.intermediate_size) == (64, 2, 96)
    assert (decoder.hidden_size, decoder.num_hidden_layers, decoder.intermediate_size) == (32, 2, 48)
    assert (vision.image_positions, decoder.grid_positions, config.skeleton_config.positions) == ("stretched",) * 3
    assert decoder.query_positions == "derived" and config.text_feature_size == 24


def test_every_class_loads_its_part(converted):
    load_classes(converted)


@pytest.mark.parametrize("task", LISTS)
def test_every_file_alone_is_enough(small_folder, offline, task, tmp_path):
    convert([small_folder / f"ckpt_task{task}_iter_newest.pth.tar"], tmp_path / "hulk")
    load_classes(tmp_path / "hulk")
    config = HulkConfig.from_pretrained(tmp_path / "hulk")
    assert config.architectures == [CLASSES[KNOWN_TASKS[OFFICIAL_TASK_IDS[task]].family].__name__]


def test_tables_of_no_formula_are_kept_and_loaded(small_files, offline, tmp_path):
    predictor, places = "decoder_module.predictor", "hulk.decoder.places"
    tables = {
        "adapter_sparse_labeling.pos_embed": "hulk.tokenizers.skeleton.position_tables.action-ntu-gym.weight",
        f"{predictor}.query_embed_patch": f"{places}.grids.action-ntu-gym.weight",
        f"{predictor}.query_embed_label": f"{places}.queries.action-ntu-gym.weight",
    }
    altered = {**small_files[0], **{key: torch.randn_like(small_files[0][key]) for key in tables}}
    convert(
        [
            save(altered, tmp_path / "official", 0),
            *(save(small_files[i], tmp_path / "official", i) for i in (3, 5, 7)),
        ],
        tmp_path / "hulk",
    )
    stored = load_file(tmp_path / "hulk" / "model.safetensors")
    for key, name in tables.items():
        assert torch.equal(stored[name], altered[key][0])
    # What follows from a formula is kept beside them, since tables of one kind are all kept or all computed.
    assert torch.equal(stored[f"{places}.queries.attributes-joint.weight"], sequence_sincos(SMALL.decoder, 168))
    assert torch.equal(
        stored[f"{places}.grids.detection-crowdhuman.weight"], stretched_sincos_2d(SMALL.decoder, 84, 84)
    )
    assert not [name for name in stored if "tokenizers.image.position_tables" in name]
    load_classes(tmp_path / "hulk")


def test_every_task_may_have_tables_of_its_own(small_files, offline, tmp_path):
    """Tables of random values, different for tasks of one grid: all of them are kept, loaded and used."""
    predictor = "decoder_module.predictor"
    kinds = {
        "adapter_rgb.pos_embed": "hulk.tokenizers.image.position_tables",
        "adapter_sparse_labeling.pos_embed": "hulk.tokenizers.skeleton.position_tables",
        f"{predictor}.query_embed_patch": "hulk.decoder.places.grids",
        f"{predictor}.query_embed_label": "hulk.decoder.places.queries",
        f"{predictor}.mask_token_buffer": "caption_head.token_features",
    }
    expected, files = {}, []
    for task, tensors in small_files.items():
        name = OFFICIAL_TASK_IDS[task]
        family = KNOWN_TASKS[name].family
        tensors = dict(tensors)
        for key, prefix in kinds.items():
            labels_of_images = key.startswith("adapter_sparse") and family != "action"
            unused = key.endswith("query_embed_label") and family in ("detection", "mesh")
            if key in tensors and not labels_of_images and not unused:
                tensors[key] = torch.randn_like(tensors[key])
                if key.endswith("token_buffer"):
                    expected[f"{prefix}.{name}"] = tensors[key][0]
                else:
                    expected[f"{prefix}.{name}.weight"] = tensors[key][0]
        files.append(save(tensors, tmp_path / "official", task))
    convert(files, tmp_path / "hulk")
    stored = load_file(tmp_path / "hulk" / "model.safetensors")
    for name, tensor in expected.items():
        assert torch.equal(stored[name], tensor), name
    assert len(expected) > 25
    load_classes(tmp_path / "hulk")


def test_provenance_is_written(converted, small_folder):
    report = json.loads((converted / "conversion.json").read_text(encoding="utf-8"))
    card = (converted / "README.md").read_text(encoding="utf-8")
    for source in report["sources"]:
        of_file = hashlib.sha256((small_folder / source["file"]).read_bytes()).hexdigest()
        assert source["sha256"] == of_file and of_file in card and f"`{source['task']}`" in card
    shared = report["shared"]["hulk.encoder.layers.1.attention.k_proj.weight"]
    assert len(shared["files"]) == len(LISTS) and shared["largest_difference"] == 0
    assert shared["official"] == "backbone_module.blocks.1.attn.qkv.weight"
    assert [len(value) for value in shared["sha256"].values()] == [64]
    scopes = {name: len(result["files"]) for name, result in report["shared"].items()}
    assert scopes["hulk.tokenizers.image.projection.weight"] == 10
    assert scopes["hulk.decoder.queries.parsing.weight"] == 3 and scopes["hulk.decoder.queries.pose.weight"] == 2
    assert scopes["text_head.query_proj.weight"] == 3 and scopes["dense_head.label_proj.weight"] == 5
    assert scopes["hulk.decoder.position_mlp_2d.fc1.weight"] == 8  # dead in the other three
    assert scopes["dense_head.upsamplers.parsing.deconv1.weight"] == 3 and scopes["box_head.mlp.2.bias"] == 2
    assert not [name for name in scopes if "norms." in name or "label_features." in name or "position_mlp_1d" in name]


def test_the_body_model_is_written_only_when_asked_for(converted, small_folder, small_files, tmp_path):
    assert not [path.name for path in converted.rglob("*") if "body" in path.name]
    mesh = small_folder / "ckpt_task2_iter_newest.pth.tar"
    convert([mesh], tmp_path / "with", include_body_model=True)
    assert not [name for name in load_file(tmp_path / "with" / "model.safetensors") if "smpl" in name.lower()]
    body = load_file(tmp_path / "with" / "body_model.safetensors")
    expected = {key: value for key, value in small_files[2].items() if ".loss_fn.smpl." in key}
    assert body.keys() == expected.keys() and all(torch.equal(body[name], expected[name]) for name in body)


def test_processors_are_written(converted):
    assert HulkPoseImageProcessor.from_pretrained(converted).task == "pose-coco"
    tokenizer = BertTokenizer.from_pretrained(converted)
    assert tokenizer("Word5 word7")["input_ids"] == [101, 109, 111, 102]


@pytest.mark.parametrize(
    ("task", "key", "others"),
    [
        (0, "backbone_module.blocks.1.attn.qkv.bias", (8,)),
        (7, "decoder_module.predictor.transformer_ffn_layers.0.linear1.weight", (5, 17)),
        (3, "proj_sparse_labeling.translate_weight", (4,)),
        (18, "proj_dense_labeling.upsample_network.3.weight", (17,)),
        (5, "proj_text.patch_proj.weight", (0,)),
        (9, "decoder_module.predictor.mask_token", (8,)),
    ],
)
def test_one_altered_copy_is_found_and_named(small_files, tmp_path, capsys, task, key, others):
    tensors = dict(small_files[task])
    tensors[key] = tensors[key].clone()
    tensors[key].view(-1)[-1] += 0.01
    paths = [save(small_files[other], tmp_path, other) for other in others] + [save(tensors, tmp_path, task)]
    assert main([*map(str, paths), "--output", str(tmp_path / "hulk")]) == 2
    error = capsys.readouterr().err
    assert key in error and f"ckpt_task{task}_iter" in error and "0.01" in error
    assert not (tmp_path / "hulk").exists() and len(list(tmp_path.iterdir())) == len(paths)


@pytest.mark.slow
def test_full_size_files_are_converted_and_merged(shared, offline, tmp_path):
    files = {}
    for task in TEN:
        files[task] = save(make_file(shared, task, FULL), tmp_path / "official", task)
    convert([tmp_path / "official"], tmp_path / "hulk")
    stored = load_file(tmp_path / "hulk" / "model.safetensors")
    for task in TEN:
        check_everything_landed(shared, stored, {task: make_file(shared, task, FULL)})
    del stored
    load_classes(tmp_path / "hulk")


@pytest.mark.slow
def test_a_large_file_is_recognised_by_its_shapes(shared, tmp_path, capsys):
    weights = make_file(shared, 9, LARGE)
    convert([save(weights, tmp_path, 9)], tmp_path / "hulk", dtype="float16")
    assert "ViT-L (width 1024, 24 layers)" in capsys.readouterr().out
    vision = HulkConfig.from_pretrained(tmp_path / "hulk").vision_config
    assert (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads) == (1024, 24, 16)
    assert (vision.intermediate_size, vision.drop_path_rate) == (4096, 0.5)
    load_classes(tmp_path / "hulk")
