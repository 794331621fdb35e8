"""Keras 3 on the backend that KERAS_BACKEND names: `fit` over float pictures in memory."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, regularizers

from .world import (
    BATCH,
    BETAS,
    BLOCKS,
    CLASSES,
    DECAY,
    DROPOUT,
    EPSILON,
    FILTERS,
    L2,
    NORM_EPSILON,
    NORM_MOMENTUM,
    RATE,
    WIDTH,
    pictures,
)  # fmt: skip


def build(model: str) -> keras.Model:
    """The notebook's model; layer norm has Keras's own gain and offset, one a feature."""
    start = keras.initializers.RandomUniform(-0.1, 0.1)
    penalty = regularizers.L2(L2[model]) if L2[model] else None
    given = {"kernel_initializer": start, "bias_initializer": start, "kernel_regularizer": penalty}
    activation = "sigmoid" if model == "fnn" else "relu"

    def norm() -> layers.Layer:
        if model == "fnn":
            return layers.LayerNormalization(epsilon=NORM_EPSILON)
        return layers.BatchNormalization(
            epsilon=NORM_EPSILON, momentum=NORM_MOMENTUM, gamma_regularizer=penalty
        )

    pixels = x = keras.Input((32, 32, 3))
    if model == "cnn":
        for index, filters in enumerate(FILTERS):
            x = layers.Activation("relu")(norm()(layers.Conv2D(filters, 3, **given)(x)))
            if index < len(FILTERS) - 1:
                x = layers.MaxPooling2D(2)(x)
    x = norm()(layers.Dense(WIDTH, **given)(layers.Flatten()(x)))
    for _ in range(BLOCKS[model]):
        hidden = layers.Activation(activation)(x)
        if DROPOUT[model]:
            hidden = layers.Dropout(DROPOUT[model])(hidden)
        x = layers.Add()([x, norm()(layers.Dense(WIDTH, **given)(hidden))])
    x = layers.Activation(activation)(x)
    return keras.Model(pixels, layers.Dense(CLASSES, **given)(x))


class KerasPeer:
    """Trains with `fit`, one call a window."""

    def __init__(self, model: str) -> None:
        keras.utils.set_random_seed(0)
        images, labels = pictures()
        self._images = images.astype(np.float32) / 255
        self._labels = labels
        self._model = build(model)
        self._model.compile(
            keras.optimizers.AdamW(
                RATE, weight_decay=DECAY, beta_1=BETAS[0], beta_2=BETAS[1], epsilon=EPSILON
            ),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.parameters = sum(int(np.prod(weight.shape)) for weight in self._model.trainable_weights)
        self.remark = "model.fit" + (", a gain for each feature" if model == "fnn" else "")

    def run(self, steps: int) -> float:
        """Fit on the pictures of `steps` batches."""
        left, value = steps, float("nan")
        while left > 0:
            count = min(left * BATCH, len(self._labels))
            history = self._model.fit(
                self._images[:count], self._labels[:count], batch_size=BATCH, epochs=1, verbose=0
            )
            value = float(history.history["loss"][-1])
            left -= count // BATCH
        return value
