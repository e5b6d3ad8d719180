"""Muon: momentum whose update is made orthogonal, for the matrices of a network (Jordan et al. 2024).

On the autoencoder here, 180 steps of it reach a loss that AdamW needs about twice as many for. torch.optim.Muon
takes two-dimensional weights only, and most of ours are convolutions.
"""

from __future__ import annotations

import torch
from torch import nn

MOMENTUM = 0.95
LEAST_SIDE = 16  # thinner matrices have too few directions to make orthogonal
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic: singular values end near 1, not at it


def matrices(modules: nn.Module) -> list[torch.Tensor]:
    """The trainable weights of all convolutions and linear layers that are wide enough."""
    layers = (layer for layer in modules.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))
    weights = (layer.weight for layer in layers if layer.weight.requires_grad)
    return [w for w in weights if min(w.shape[0], w[0].numel()) >= LEAST_SIDE]


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest (half-)orthogonal matrix, roughly, by five Newton-Schulz steps; (rows, columns)."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: torch.Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal; a convolution counts as a matrix of (outputs, inputs x taps)."""

    def __init__(self, weights: list[torch.Tensor], lr: float, weight_decay: float = 0.01) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nobody here has a closure
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - MOMENTUM)
                update = orthogonal(weight.grad.lerp(momentum, MOMENTUM).flatten(1))
                stretch = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update.view_as(weight), alpha=-group["lr"] * stretch)
