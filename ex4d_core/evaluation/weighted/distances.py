"""Distances between two sets of features: Frechet's, and the kernel one of polynomials."""

from __future__ import annotations

import math

import numpy as np

SUBSETS, SUBSET_SIZE, SEED = 100, 1000, 2020
"""Of the kernel distance, as torch-fidelity draws them."""
DEGREE = 3


def frechet_distance(one: np.ndarray, two: np.ndarray) -> float:
    """Between Gaussians of the means and covariances of two sets of features.

    Args:
        one: (N, D), N at least 2.
        two: (M, D).

    Returns:
        The squared distance, 0 for equal sets; NaN for fewer than two features a side.

    Source: Heusel et al. 2017. The trace of the root of the product of both covariances is the sum of the singular values of
    the product of both centred sets, which are small for the frames of a clip.
    """
    if min(len(one), len(two)) < 2:
        return math.nan
    one, two = one.astype(np.float64), two.astype(np.float64)
    difference = one.mean(0) - two.mean(0)
    first, second = (_centred(part) for part in (one, two))
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(difference @ difference + (first**2).sum() + (second**2).sum() - 2 * root)


def _centred(features: np.ndarray) -> np.ndarray:
    """(at most D, D) R, for which R^T R is the covariance of features (N, D)."""
    rows = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return rows if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(rows, mode="r"))


def polynomial_mmd(one: np.ndarray, two: np.ndarray) -> float:
    """Squared maximum mean discrepancy, unbiased, of the kernel (x y / D + 1)^3.

    Args:
        one: (N, D), N at least 2.
        two: (M, D).

    Source: Binkowski et al. 2018.
    """
    if min(len(one), len(two)) < 2:
        return math.nan

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** DEGREE

    one, two = one.astype(np.float64), two.astype(np.float64)
    own = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(one, one), kernel(two, two)))
    return float(own - 2 * kernel(one, two).mean())


def kernel_distance(one: np.ndarray, two: np.ndarray) -> float:
    """KID: the mean of `polynomial_mmd` over seeded subsets, of the smaller set's size where that has fewer than 1000."""
    size = min(SUBSET_SIZE, len(one), len(two))
    if size < 2:
        return math.nan
    draw = np.random.RandomState(SEED)  # torch-fidelity's, whose subsets these are
    found = []
    for _ in range(SUBSETS):
        first = one[draw.choice(len(one), size, replace=False)]
        found.append(polynomial_mmd(first, two[draw.choice(len(two), size, replace=False)]))
    return float(np.mean(found))
