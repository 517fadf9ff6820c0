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

    Source: Heusel et al. 2017; the trace of the root by eigenvalues, as torch-fidelity has it.
    """
    if min(len(one), len(two)) < 2:
        return math.nan
    one, two = one.astype(np.float64), two.astype(np.float64)
    difference = one.mean(0) - two.mean(0)
    first, second = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (one, two))
    root = np.real(np.sqrt(np.linalg.eigvals(first @ second).astype(np.complex128))).sum()
    return float(difference @ difference + np.trace(first) + np.trace(second) - 2 * root)


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
