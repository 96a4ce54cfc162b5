# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The experiments with few examples run from end to end, in miniature, and say what they measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("peft")
from hulk_hf.experiments import new_domain, new_labels  # noqa: E402 - needs peft
from hulk_hf.experiments.fitting import fit, mean_and_spread, render_people  # noqa: E402
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis  # noqa: E402
from hulk_hf.training.building import build_model, save_model  # noqa: E402
from hulk_hf.training.examples.pose import PoseExamples  # noqa: E402
from hulk_hf.training.recipe import Recipe, TaskRecipe  # noqa: E402

SIZE = (64, 48)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """A model of pose and attributes at its start."""
    torch.manual_seed(0)
    recipe = Recipe(
        "x", [TaskRecipe("pose-coco", image_size=SIZE), TaskRecipe("attributes-synthetic", image_size=SIZE)]
    )
    folder = tmp_path_factory.mktemp("start")
    save_model(build_model(recipe), folder)
    return str(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("people")


def test_people_are_kept_for_the_next_time(cache):
    first = render_people("test", 4, seed=1, cache=cache)
    assert first["images"].shape == (4, 256, 192, 3) and first["keypoints"].shape == (4, 17, 3)
    again = render_people("test", 4, seed=1, cache=cache)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(render_people("test", 4, seed=1, domain="night")["images"], first["images"])


def test_new_labels_have_the_truth_of_what_they_stand_for(cache):
    people = render_people("test", 4, seed=1, cache=cache)
    named = new_labels.relabel(people)
    assert named["keypoints"].shape == (4, len(new_labels.JOINTS), 3)
    assert named["attributes"].shape == (4, len(new_labels.ATTRIBUTES))
    hand, wrist = list(new_labels.JOINTS).index("left hand"), 9
    seen = (named["keypoints"][:, hand, 2] > 0) & (people["keypoints"][:, wrist, 2] > 0)
    apart = np.abs(named["keypoints"][seen, hand, :2] - people["keypoints"][seen, wrist, :2])
    assert seen.any() and apart.max() < 12, "COCO's wrist and that of the open body are neighbours"
    gloves = list(new_labels.ATTRIBUTES).index("wearing gloves")
    assert np.array_equal(named["attributes"][:, gloves], (people["parts"] == 3).mean(axis=(1, 2)) > 0.002)


def test_an_adapter_is_put_beside_training_everything(checkpoint, cache):
    setting = new_domain.Setting(people=4, tested=4, steps=2, batch_size=4, rank=2)
    figures = new_domain.run_seed(checkpoint, "night", 0, setting, cache)
    assert set(figures) == {"as it came", "adapter", "adapter off", "everything trained", "share"}
    assert figures["adapter off"] == figures["as it came"], "to the last bit"
    assert figures["adapter"] != figures["as it came"] != figures["everything trained"]
    assert 0 < figures["share"]["trained"] < 0.03
    report = new_domain.write_report({0: figures, 1: figures}, "night", setting)
    assert "| adapter off | " in report and f"trains {figures['share']['trained']:.2%} of the parameters" in report
    told = {0: {**figures, "as it came": {"new": 0.2, "old": 0.5}, "adapter": {"new": 0.39, "old": 0.3}}}
    told[0] |= {"everything trained": {"new": 0.4, "old": 0.3}, "adapter off": {"new": 0.2, "old": 0.5}}
    report = new_domain.write_report(told, "night", setting)
    assert "reaches 0.950 of the gain" in report and "off, 1.000 of the old figure" in report


def test_names_are_put_beside_random_features(checkpoint, cache, monkeypatch):
    monkeypatch.setattr(new_labels, "EXAMPLES", 4)

    def encoder(names):
        return torch.randn(len(names), 384, generator=torch.Generator().manual_seed(0))

    results = new_labels.run_experiment(checkpoint, encoder, [0], steps=2, tested=4, cache=cache)
    assert {family: list(arms) for family, arms in results.items()} == {
        "pose": ["named", "random"],
        "attributes": ["named", "random"],
    }
    pose = results["pose"]
    assert pose["named"][0]["no look"] == pose["random"][0]["no look"]
    assert pose["named"][0]["before"] != pose["random"][0]["before"]
    margin = pose["named"][0]["after"] - pose["random"][0]["after"]
    assert f"* pose: named minus random, after: {margin:.3f} (1 seeds)." in new_labels.write_report(results, 2)


def test_vectors_have_a_rate_of_their_own(checkpoint, cache):
    model = HulkForHumanAnalysis.from_pretrained(checkpoint)
    people = render_people("train", 4, 0, cache=cache)
    examples = PoseExamples(model.hulk.resolve_task(family="pose"), people, people)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    fit(model, list(model.parameters()), examples, 10, 4, 1e-3, vector_rate=0.0)
    moved = {
        parameter.ndim for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])
    }
    assert moved and 1 not in moved


def test_a_single_number_has_no_spread():
    assert (mean_and_spread([0.5]), mean_and_spread([0.4, 0.6])) == ("0.500", "0.500 ± 0.141")


def test_seeds_that_were_measured_are_not_measured_again(tmp_path, monkeypatch):
    done = []

    def run_seed(checkpoint, domain, seed, setting, cache):
        done.append(seed)
        told = {"new": 0.5 + 0.1 * seed, "old": 0.5}
        rest = {"adapter off": told, "everything trained": {"new": 0.9, "old": 0.1}, "share": {"trained": 0.02}}
        return {"as it came": {"new": 0.4, "old": 0.5}, "adapter": told, **rest}

    monkeypatch.setattr(new_domain, "run_seed", run_seed)
    new_domain.main(["--output", str(tmp_path), "--seeds", "0"])
    new_domain.main(["--output", str(tmp_path), "--seeds", "0", "2"])
    assert done == [0, 2]
    assert "| adapter | 0.600 ± 0.141 |" in (tmp_path / "new_domain.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="holds figures of another checkpoint, domain or setting"):
        new_domain.main(["--output", str(tmp_path), "--steps", "7"])
