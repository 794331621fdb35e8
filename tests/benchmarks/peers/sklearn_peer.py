"""scikit-learn's MLPClassifier: one `partial_fit` a batch."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

from .world import BATCH, BETAS, BLOCKS, CLASSES, EPSILON, RATE, WIDTH, pictures


class SklearnPeer:
    """Trains with Adam; the library has no norms, no residual connections and no AdamW."""

    def __init__(self, model: str) -> None:
        assert model == "fnn"
        images, labels = pictures()
        self._images = (images.astype(np.float32) / 255).reshape(len(labels), -1)
        self._labels = labels
        self._net = MLPClassifier(
            (WIDTH,) * (BLOCKS[model] + 1), activation="logistic", solver="adam", alpha=0.0, batch_size=BATCH,
            learning_rate_init=RATE, beta_1=BETAS[0], beta_2=BETAS[1], epsilon=EPSILON, random_state=0,
        )  # fmt: skip
        self._rng = np.random.default_rng(0)
        self.run(1)
        self.parameters = sum(array.size for array in (*self._net.coefs_, *self._net.intercepts_))
        self.remark = "Adam; no norm, no residual"

    def run(self, steps: int) -> float:
        """Run `steps` batches."""
        classes = np.arange(CLASSES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(steps):
                rows = self._rng.integers(0, len(self._labels), BATCH)
                self._net.partial_fit(self._images[rows], self._labels[rows], classes=classes)
        return float(self._net.loss_)
