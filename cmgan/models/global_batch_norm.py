"""Batch norm over the crops of all processes, so that several train as one with the same global batch would."""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch norm of (N, C) whose training statistics are those of all processes, each with equally many N.

    Collective in training: every process must call it equally often. torch's SyncBatchNorm does the same on GPUs
    only.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        processes = distributed.get_world_size()
        mean = all_reduce(x.mean(0)) / processes
        centred = x - mean
        variance = all_reduce(centred.square().mean(0)) / processes
        count = processes * len(x)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def share_batch_norms(network: nn.Module) -> nn.Module:
    """Put a GlobalBatchNorm with the same parameters in the place of every batch norm; returns the network."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm1d):
            shared = GlobalBatchNorm(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(network, name, shared)
        else:
            share_batch_norms(child)
    return network
