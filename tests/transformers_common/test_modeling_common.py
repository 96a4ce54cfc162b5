# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""transformers' own `ModelTesterMixin` on every class of Hulk.

What is changed, and why. All classes:

- `test_init_weights_can_init_buffers` runs with random numbers replaced by ones, here and on the meta device: label
  features are drawn at random until weights are loaded, and the mixin takes no buffer to be random.
- `test_model_get_set_embeddings` is left out: what goes in are pictures and skeletons, cut by a convolution.

Some classes:

- Attributes are registered as image classification, so the mixin sets `num_labels` and `problem_type` at will. Both
  follow from the tasks here: `test_can_load_ignoring_mismatched_shapes` and `test_problem_types` are left out.
- The mesh class gets its body when it is built, or it could not run. Initialising weights again empties it, since a
  body is set and not initialised, so three tests that do are left out: `test_can_init_all_missing_weights`,
  `test_init_weights_can_init_buffers` and `test_all_tensors_are_parameter_or_buffer`. So are
  `test_retain_grad_hidden_states_attentions`, which wants a tensor as the first output (here it is the meshes), and
  `test_torch_save_load`, which has a mistake where weights are booleans, as neighbours of vertices are.
- Captions: `test_model_main_input_name`, as words are the main input of generation and pictures that of `forward`;
  `test_causal_lm_loss_honors_shift_labels`, as labels are whole captions; and
  `test_generation_tester_mixin_inheritance`, as the mixin for generation is not part of the source archive. Our own
  tests compare generation with and without cache, with beams and with a cache of fixed size.
- The trunk has no loss, so nothing of training is run.
- The model of all heads returns the outputs of its tasks in a dict. What looks for `hidden_states`, `attentions` or
  tensors among its own outputs is left out (`has_attentions = False`, which takes the comparison of attention
  implementations along): `tests/modeling/test_modeling_analysis.py` has all of it. Not all its parameters get a
  gradient from one call, so that is not asked for.

What the mixin itself skips needs accelerators, other attention libraries, DeepSpeed, or text embeddings, rotary
positions, experts and tensor-parallel plans, which Hulk has none of.
"""

from __future__ import annotations

import unittest
from unittest import mock

import pytest
import torch
from transformers import initialization
from transformers_tests.test_modeling_common import ModelTesterMixin

import hulk_hf
from hulk_hf.synthetic.open_body import open_body

BATCH = 2
BODY = open_body()


def left_out(reason: str):
    """Takes the place of a test of the mixin; the reasons are told above."""
    return unittest.skip(reason)(lambda self: None)


class HulkForMeshRecovery(hulk_hf.HulkForMeshRecovery):
    """With a body from the beginning: the mixin only knows how to call a class with a configuration."""

    def __init__(self, config):
        super().__init__(config)
        self.set_body("mesh-open", BODY)


class HulkTester:
    """What the mixin asks of a model: a small configuration, inputs for it, and sizes to expect."""

    batch_size = BATCH
    num_hidden_layers = 2
    num_attention_heads = 4
    hidden_size = 32

    def __init__(self, test: HulkTests):
        self.test = test
        self.is_training = test.is_training
        self.seq_length = test.num_tokens

    def prepare_config_and_inputs_for_common(self):
        """A configuration and inputs, alike each time."""
        return self.test.config(), dict(self.test.inputs())


class HulkTests(ModelTesterMixin):
    """The mixin, told what our models take."""

    family = ""
    num_tokens = 12
    is_training = True
    test_resize_embeddings = False

    @pytest.fixture(autouse=True)
    def _materials(self, every_family, family_inputs, family_labels):
        self.every_family, self.family_inputs, self.family_labels = every_family, family_inputs, family_labels

    def setUp(self):
        self.model_tester = HulkTester(self)

    def config(self):
        """A configuration with the default task of the family."""
        everything = self.every_family()
        name = everything.default_tasks[self.family]
        return self.every_family(tasks={name: everything.tasks[name]})

    def inputs(self):
        """What `forward` takes."""
        return self.family_inputs[self.family]

    def labels(self):
        """What `forward` takes beside them to compute a loss."""
        return self.family_labels(self.family)

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=False)
        return inputs | self.labels() if return_labels else inputs

    test_model_get_set_embeddings = left_out("no embedding of tokens")

    def test_init_weights_can_init_buffers(self):
        ones = mock.patch.object(torch, "randn", torch.ones)
        with ones, mock.patch.object(initialization, "normal_", lambda tensor, *_, **__: initialization.ones_(tensor)):
            super().test_init_weights_can_init_buffers()


class PoseTest(HulkTests, unittest.TestCase):
    family = "pose"
    all_model_classes = (hulk_hf.HulkForPoseEstimation,)


class ParsingTest(HulkTests, unittest.TestCase):
    family, num_tokens = "parsing", 16
    all_model_classes = (hulk_hf.HulkForHumanParsing,)


class DetectionTest(HulkTests, unittest.TestCase):
    family, num_tokens = "detection", 30
    all_model_classes = (hulk_hf.HulkForPedestrianDetection,)


class AttributesTest(HulkTests, unittest.TestCase):
    family = "attributes"
    all_model_classes = (hulk_hf.HulkForAttributeRecognition,)
    test_can_load_ignoring_mismatched_shapes = left_out("labels follow from the tasks")
    test_problem_types = left_out("the kind of problem follows from the family")


class ActionTest(HulkTests, unittest.TestCase):
    family, num_tokens = "action", 4
    all_model_classes = (hulk_hf.HulkForActionRecognition,)


class MeshTest(HulkTests, unittest.TestCase):
    family, num_tokens = "mesh", 196
    all_model_classes = (HulkForMeshRecovery,)
    test_can_init_all_missing_weights = left_out("a body is not initialised but set")
    test_init_weights_can_init_buffers = left_out("a body is not initialised but set")
    test_all_tensors_are_parameter_or_buffer = left_out("a body is not initialised but set")
    test_torch_save_load = left_out("calls a dict where weights are booleans")
    test_retain_grad_hidden_states_attentions = left_out("the first output is no tensor")


class CaptionTest(HulkTests, unittest.TestCase):
    family = "caption"
    all_model_classes = (hulk_hf.HulkForCaptioning,)
    additional_model_inputs = ("pixel_values",)
    test_model_main_input_name = left_out("words in generation, pictures in `forward`")
    test_causal_lm_loss_honors_shift_labels = left_out("labels are whole captions")
    test_generation_tester_mixin_inheritance = left_out("that mixin is not in the archive")

    def inputs(self):
        return super().inputs() | {"input_ids": torch.tensor([[101, 7, 8], [101, 9, 10]])}

    def labels(self):
        return {"labels": super().labels()["labels"], "input_ids": None}


class TrunkTest(HulkTests, unittest.TestCase):
    family, is_training = "pose", False
    all_model_classes = (hulk_hf.HulkModel,)

    def labels(self):
        return {}


class AnalysisTest(HulkTests, unittest.TestCase):
    family = "pose"
    all_model_classes = (hulk_hf.HulkForHumanAnalysis,)
    has_attentions = False
    test_all_params_have_gradient = False
    test_determinism = left_out("outputs are in a dict")
    test_hidden_states_output = left_out("they are part of the outputs of each task")
    test_retain_grad_hidden_states_attentions = left_out("they are part of the outputs of each task")

    def config(self):
        tasks = self.every_family().tasks
        return self.every_family(tasks={name: tasks[name] for name in tasks if tasks[name]["family"] != "mesh"})

    def labels(self):
        families = ("pose", "attributes", "caption", "detection")
        return {"labels": {family: self.family_labels(family) for family in families}}
