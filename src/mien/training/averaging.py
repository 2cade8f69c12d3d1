"""The moving average of a network's weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """An exponential moving average of parameters and buffers; the first update copies them.

    PyTorch's own `AveragedModel` sends its counter to the device in every step, and a GPU is waited
    for at that.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move towards a network of the same architecture by 1 − decay."""
        averages = [*self.module.parameters(), *self.module.buffers()]
        values = [*model.parameters(), *model.buffers()]
        if self.n_averaged == 0:
            torch._foreach_copy_(averages, values)
        else:
            pairs = list(zip(averages, values, strict=True))
            moving = [pair for pair in pairs if pair[0].is_floating_point()]
            torch._foreach_lerp_([a for a, _ in moving], [v for _, v in moving], 1 - self.decay)
            for average, count in pairs:
                if not average.is_floating_point():  # batch norm's number of batches
                    average.copy_(count)
        self.n_averaged += 1
