/* What is done to a row of activations: normalisation, sigmoid and the loss, forward and backward.

   Rows lie `stride` floats apart, a multiple of PANEL; what is beyond their width is read and written, and is
   zero among gradients. */
#ifndef CIFAR_TUI_ROWS_H
#define CIFAR_TUI_ROWS_H

#include <math.h>

#include "lanes.h"

#define NORM_EPSILON 1e-3f

/* All lanes that are within a width, from `at` on. */
INLINE ints within(int64_t width, int64_t at) {
    ints lanes;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = at + lane < width ? -1 : 0;
    return lanes;
}

INLINE vec load_within(const float *row, int64_t at, int64_t width) {
    vec value = load(row + at);
    return at + LANES <= width ? value : pick(within(width, at), value, splat(0.0f));
}

/* Turns a row into what it is at mean 0 and deviation 1; returns 1 / deviation. */
INLINE float normalise(float *row, int64_t width) {
    vec sums = splat(0.0f), squares = splat(0.0f);
    for (int64_t at = 0; at < width; at += LANES) sums += load_within(row, at, width);
    float mean = total(sums) / (float)width;
    for (int64_t at = 0; at < width; at += LANES) {
        vec apart = load(row + at) - mean;
        if (at + LANES > width) apart = pick(within(width, at), apart, splat(0.0f));
        squares += apart * apart;
        store(row + at, apart);
    }
    float spread = 1.0f / sqrtf(total(squares) / (float)width + NORM_EPSILON);
    for (int64_t at = 0; at < width; at += LANES) store(row + at, load(row + at) * spread);
    return spread;
}

/* grad becomes the gradient of what `normalise` was given; `normal` is what it gave.

   Adds the gradients of gain and offset, which are one number each, to `of_gain` and `of_offset`. */
INLINE void normalise_backward(float *grad, const float *normal, int64_t width, float spread, float gain,
                               float *of_gain, float *of_offset) {
    vec sums = splat(0.0f), products = splat(0.0f);
    for (int64_t at = 0; at < width; at += LANES) {
        vec value = load(grad + at); /* zero beyond the width */
        sums += value;
        products += value * load(normal + at);
    }
    float sum = total(sums), product = total(products);
    *of_gain = product;
    *of_offset = sum;
    float mean = sum / (float)width, slope = product / (float)width, factor = spread * gain;
    for (int64_t at = 0; at < width; at += LANES) {
        vec value = (load(grad + at) - mean - load(normal + at) * slope) * factor;
        if (at + LANES > width) value = pick(within(width, at), value, splat(0.0f));
        store(grad + at, value);
    }
}

INLINE void sigmoid(const float *row, int64_t width, float *out) {
    for (int64_t at = 0; at < width; at += LANES)
        store(out + at, 1.0f / (1.0f + exponential(-load(row + at))));
}

/* Cross entropy of logits whose label is `truth`; `grad` is filled with its gradient times `share`. */
INLINE float cross_entropy(const float *logits, int64_t classes, int64_t truth, float share, float *grad,
                           int64_t *hit) {
    int64_t best = 0;
    for (int64_t at = 1; at < classes; at++)
        if (logits[at] > logits[best] || logits[at] != logits[at]) best = at;
    float high = logits[best];
    vec sums = splat(0.0f);
    for (int64_t at = 0; at < classes; at += LANES) {
        vec value = exponential(load(logits + at) - high);
        if (at + LANES > classes) value = pick(within(classes, at), value, splat(0.0f));
        sums += value;
        store(grad + at, value);
    }
    float sum = total(sums), factor = share / sum;
    for (int64_t at = 0; at < classes; at += LANES) store(grad + at, load(grad + at) * factor);
    grad[truth] -= share;
    *hit = best == truth;
    return logf(sum) - (logits[truth] - high);
}

#endif
