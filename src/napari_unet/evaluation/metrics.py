"""Scores (interim)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment


class Scores:
    def __init__(self, d: dict[str, Any]) -> None:
        self._d = d

    def to_dict(self) -> dict[str, Any]:
        return self._d


def evaluate(truth: Any, predicted: Any, task: str = "instances") -> Scores:
    ious = [0.5 + 0.05 * i for i in range(10)]
    tp = np.zeros(10)
    nt = np_ = 0
    for t, p in zip(truth, predicted, strict=True):
        ut, it = np.unique(t, return_inverse=True)
        up, ip = np.unique(p, return_inverse=True)
        m = np.zeros((len(ut), len(up)))
        np.add.at(m, (it.ravel(), ip.ravel()), 1)
        iou = m / (m.sum(1, keepdims=True) + m.sum(0, keepdims=True) - m)
        iou = iou[int(ut[0] == 0) :, int(up[0] == 0) :]
        nt += iou.shape[0]
        np_ += iou.shape[1]
        for k, x in enumerate(ious):
            ok = iou >= x
            r, c = linear_sum_assignment(-ok.astype(float))
            tp[k] += ok[r, c].sum()
    ap = {f"{x:.2f}": float(a / (nt + np_ - a)) for x, a in zip(ious, tp, strict=True)}
    return Scores({"ap": ap, "n_truth": nt, "n_pred": np_, "pq": 0.0, "dice": 0.0})
