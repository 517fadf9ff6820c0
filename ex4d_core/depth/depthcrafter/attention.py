"""Scaled dot-product attention by whichever way is quickest for the shape: the same sums, in another order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_BATCH = 32768
"""Torch's attention fails at a batch of 65,536 and more."""

CUDNN_TOKENS = 1024
"""Sequences from here on go to cuDNN's attention where it is there: it plans for each new shape, which must pay."""

WIDEST_HEAD = 256
"""Torch's quick kernels take no wider heads; the autoencoder has one head of 512."""

QUERIES = 2304
"""Queries whose scores are held at once, in float32: 85 MB at 72x128 tokens."""


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``softmax(query key^T / sqrt(D)) value``, not masked.

    Args:
        query: (n, heads, S, D), in any memory order with dense channels.
        key: the same.
        value: the same.

    Returns:
        (n, heads, S, D).
    """
    if query.dtype == torch.float16 and query.is_cuda:
        if query.shape[-1] > WIDEST_HEAD and _float32_products():
            return by_products(query, key, value)
        if query.shape[2] >= CUDNN_TOKENS and query.shape[-1] <= 128:
            return _by_cudnn(query, key, value)
    parts = [
        F.scaled_dot_product_attention(q, k, v) for q, k, v in zip(*(t.split(MAX_BATCH) for t in (query, key, value)))
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def by_products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention as two matrix products, some queries of one head at a time, with float32 scores.

    On CUDA, where a half-precision product can be stored in float32; arguments as in ``attend``.
    """
    out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    query = query * query.shape[-1] ** -0.5
    for q, k, v, result in zip(*(t.flatten(0, 1).unbind() for t in (query, key, value, out))):
        for rows, into in zip(q.split(QUERIES), result.split(QUERIES)):
            scores = _product(rows, k.T)
            torch.mm(scores.softmax(-1).to(v.dtype), v, out=into)
    return out


def _product(a: Tensor, b: Tensor) -> Tensor:
    """A matrix product stored in float32."""
    return torch.mm(a, b, out_dtype=torch.float32) if a.dtype == torch.float16 else a @ b


def _float32_products() -> bool:
    """Whether torch can store a half-precision product in float32: since 2.8, on CUDA."""
    return hasattr(torch.ops.aten.mm, "dtype")


def _by_cudnn(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Torch's attention with cuDNN asked first, where this torch can ask."""
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        order = [
            SDPBackend.CUDNN_ATTENTION,
            SDPBackend.FLASH_ATTENTION,
            SDPBackend.EFFICIENT_ATTENTION,
            SDPBackend.MATH,
        ]
        chosen = sdpa_kernel(order, set_priority=True)
    except (ImportError, AttributeError, TypeError):  # before 2.6
        return F.scaled_dot_product_attention(query, key, value)
    with chosen:
        return F.scaled_dot_product_attention(query, key, value)
