# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForMeshRecovery: 3-D joints and the surface of the body of one person per crop."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput, can_return_tuple

from .body_hulk import HulkBody, set_body
from .configuration_hulk import HulkConfig
from .head_mesh_hulk import HulkMeshHead
from .loss_mesh_hulk import mesh_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask


@dataclass
class HulkMeshOutput(ModelOutput):
    """Output of `HulkForMeshRecovery`: metres, x to the right of the picture, y down, z away from the camera.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        vertices: For each level of the body, coarse to fine, shape (B, V, 3), measured from the pelvis of the mesh.
        mesh_joints_3d: Shape (B, J, 3), joints of the finest mesh, measured from its pelvis. These are the joints
            that are evaluated.
        joints_3d: Shape (B, J, 3), joints from queries of their own, measured from the middle of their hips.
        camera: Shape (B, 3), scale s and translation (tx, ty): a point is seen at s * (x + tx, y + ty).
        mesh_joints_2d: Shape (B, J, 2), `mesh_joints_3d` as the camera sees them: (x, y) of the crop from -1 to 1;
            the pixel is (u + 1) / 2 times the side of the crop.
        joints_2d: Shape (B, J, 2), `joints_3d` as the camera sees them.
        encoder_last_hidden_state: Memory, shape (B, P, C).
        hidden_states: Encoder: input of the first layer and output of every layer, each (B, P, C); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (B, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B, P + Q, d), the last one (B, Q, d); only with
            `output_decoder_hidden_states=True`. Queries are camera, joints and coarse vertices: Q = 1 + J + V.
        decoder_attentions: Decoder attention weights, each (B, heads, rows that attend, P + Q); only with
            `output_decoder_attentions=True` (eager attention only).
    """

    loss: torch.FloatTensor | None = None
    loss_dict: dict[str, torch.FloatTensor] | None = None
    vertices: tuple[torch.FloatTensor, ...] | None = None
    mesh_joints_3d: torch.FloatTensor | None = None
    joints_3d: torch.FloatTensor | None = None
    camera: torch.FloatTensor | None = None
    mesh_joints_2d: torch.FloatTensor | None = None
    joints_2d: torch.FloatTensor | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


def read_mesh(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs,
    labels: Mapping[str, torch.Tensor] | None = None,
) -> HulkMeshOutput:
    """From query states to bodies.

    Args:
        heads: Any module with a `mesh_head` that serves the task.
        outputs: What the trunk gave for the task.
        task: A task of family `mesh`.
        inputs: What the trunk read. Not needed here, but the readers of all families are called alike.
        labels: See `HulkForMeshRecovery.forward`.

    Raises:
        ValueError: Labels that do not fit.
    """
    prediction = heads.mesh_head(outputs.last_hidden_state, task)
    loss = loss_dict = None
    if labels is not None:
        loss_dict = mesh_loss(prediction, labels, heads.mesh_head.bodies[task.name], task)
        loss = torch.stack(list(loss_dict.values())).sum()
    return HulkMeshOutput(
        loss=loss,
        loss_dict=loss_dict,
        vertices=prediction.vertices,
        mesh_joints_3d=prediction.mesh_joints_3d,
        joints_3d=prediction.joints_3d,
        camera=prediction.camera,
        mesh_joints_2d=prediction.mesh_joints_2d,
        joints_2d=prediction.joints_2d,
        **outputs.handed_on(),
    )


class HulkForMeshRecovery(HulkPreTrainedModel):
    """Hulk with the mesh head.

    A body model has to be put in by `set_body` before the first call. Tables of an open body are stored in checkpoints
    and are there again after loading; those of a restricted one (`mesh-smpl`) have to be set each time.

    Args:
        config: Must hold at least one task of family `mesh`; other tasks are ignored.

    Example:
        >>> from hulk_hf.synthetic.open_body import open_body
        >>> model = HulkForMeshRecovery(HulkConfig.preset("hulk-tiny", tasks=["mesh-open"]))
        >>> model.set_body("mesh-open", open_body())
        >>> model(torch.zeros(1, 3, 224, 224)).mesh_joints_3d.shape
        torch.Size([1, 14, 3])
    """

    _keys_to_ignore_on_load_unexpected = keys_of_other_families("mesh")
    lora_modules_to_save = ("mesh_head",)

    def __init__(self, config: HulkConfig):
        config = config.of_family("mesh")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["mesh"])
        self.mesh_head = HulkMeshHead(config, list(self.hulk.tasks.values()))
        self.post_init()

    def set_body(self, task_name: str, body: HulkBody, store: bool = False) -> None:
        """Put the tables of a body model into the network, in place of those that are there.

        Args:
            task_name: Name of a mesh task of this checkpoint.
            body: A body of the sizes of that task: `hulk_hf.synthetic.open_body.open_body()`, or one built from your
                own files by `hulk_hf.conversion.body_tables`.
            store: Make the tables of a restricted body part of checkpoints and of the configuration. They fall under
                the licence of the body model: such a checkpoint may not be passed on unless that licence says so.
                Tables of a body that is not restricted are always stored.

        Raises:
            ValueError: There is no such mesh task, or the body has other sizes.
        """
        set_body(self, task_name, body, store)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: Mapping[str, torch.Tensor] | None = None,
        task: str | None = None,
        **kwargs,
    ) -> HulkMeshOutput:
        """Recover bodies.

        Args:
            pixel_values: Shape (B, 3, H, W), one person per crop, normalised RGB. No person at all (B = 0) is fine.
            labels: Targets by name, as `mesh_loss` takes them: `joints_3d` (B, J, 4) and `joints_2d` (B, J, 3) with
                confidences, `vertices` (a tensor per level), `has_3d_joints` and `has_smpl` (B,). Without a kind of
                target its terms are left out of the loss.
            task: Name of a mesh task of this checkpoint; None means the default.
            kwargs: Options of transformers; those that say what to return are named in `HulkMeshOutput`.

        Raises:
            ValueError: Unknown task, no body model (see `set_body`), or inputs of the wrong shape or dtype.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="mesh")
        outputs = self.hulk(pixel_values, task=resolved.name, **kwargs)
        return read_mesh(self, outputs, resolved, self.hulk.prepare(resolved, pixel_values), labels)


__all__ = ["HulkForMeshRecovery", "HulkMeshOutput", "read_mesh"]
