"""Attention by xFormers, for CUDA devices."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

import torch
from diffusers.models.attention_processor import Attention, AttnAddedKVProcessor, AttnAddedKVProcessor2_0
from torch import Tensor, nn

from kandinsky_backends.base import BackendUnavailable, BatchShape, Network, Role
from kandinsky_backends.eager import EagerNetwork
from kandinsky_backends.options import BackendOptions
from kandinsky_backends.registry import INSTALL_COMMANDS
from kandinsky_backends.skeleton import share_weights


class AttentionFunction(Protocol):
    """The one call that leaves PyTorch: xFormers' ``memory_efficient_attention``, or a test's stand-in."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """softmax(scale q kᵀ) v, without a mask; all are (rows * heads, tokens, head width)."""
        ...


class XformersBackend:
    """Eager, with every attention of a UNet computed by xFormers; the other networks keep PyTorch's SDPA.

    The prior is left out since its attention has a mask, and MoVQ has a single attention layer.
    Source: ``XFormersAttnAddedKVProcessor`` in diffusers/models/attention_processor.py, and
    https://facebookresearch.github.io/xformers/components/ops.html
    """

    name = "xformers"

    def __init__(self, options: BackendOptions, attention: AttentionFunction | None = None) -> None:
        self._attention = attention or xformers_attention

    def probe(self, device: torch.device) -> None:
        """Returns when xFormers is installed and runs on ``device``; raises BackendUnavailable otherwise."""
        if device.type != "cuda" or not torch.cuda.is_available():
            raise BackendUnavailable(
                f"xFormers has attention kernels for CUDA only, not for '{device}' here.",
                "Choose --backend auto.",
            )
        if find_spec("xformers") is None:
            raise BackendUnavailable(
                "The package xformers is not installed.", f"Run {INSTALL_COMMANDS['xformers']}."
            )
        tokens = torch.zeros(1, 8, 32, device=device, dtype=torch.float16)
        try:
            self._attention(tokens, tokens, tokens, scale=1.0)
        except Exception as error:  # xFormers raises many kinds: no kernel, another torch, another CUDA
            raise BackendUnavailable(
                f"xFormers is installed but fails on '{device}': {error}",
                "Run python -m xformers.info; its build must match PyTorch's and the GPU.",
            ) from error

    def prepare(self, network: nn.Module, role: Role, shapes: Sequence[BatchShape]) -> Network:
        """Puts xFormers into a second module tree over the same weights."""
        if role is not Role.UNET:
            return EagerNetwork(network)
        network = share_weights(network)
        for module in network.modules():
            if isinstance(module, Attention) and isinstance(
                module.processor, AttnAddedKVProcessor | AttnAddedKVProcessor2_0
            ):
                module.set_processor(XformersProcessor(self._attention))
        return EagerNetwork(network)


class XformersProcessor:
    """diffusers' ``XFormersAttnAddedKVProcessor`` with the attention call handed in, and without a mask."""

    def __init__(self, attention: AttentionFunction) -> None:
        self._attention = attention

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attends from (rows, channels, height, width) to itself and to (rows, tokens, width) added keys."""
        if attention_mask is not None:
            raise ValueError("Kandinsky's UNets attend without a mask; this one passes one")
        residual = hidden_states
        hidden_states = attn.group_norm(hidden_states.flatten(2)).transpose(1, 2)
        added = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.add_k_proj(added))
        value = attn.head_to_batch_dim(attn.add_v_proj(added))
        if not attn.only_cross_attention:
            key = torch.cat([key, attn.head_to_batch_dim(attn.to_k(hidden_states))], dim=1)
            value = torch.cat([value, attn.head_to_batch_dim(attn.to_v(hidden_states))], dim=1)
        attended = self._attention(query, key, value, scale=attn.scale).to(query.dtype)
        attended = attn.to_out[0](attn.batch_to_head_dim(attended))
        output: Tensor = attended.transpose(1, 2).reshape(residual.shape) + residual
        return output


def xformers_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The real one; imports xFormers at the first call."""
    from xformers.ops import memory_efficient_attention

    attended: Tensor = memory_efficient_attention(
        query.contiguous(), key.contiguous(), value.contiguous(), scale=scale
    )
    return attended
