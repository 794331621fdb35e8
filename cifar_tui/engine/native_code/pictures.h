/* Pictures as numbers in [0, 1]. */
#ifndef CIFAR_TUI_PICTURES_H
#define CIFAR_TUI_PICTURES_H

#include "crew.h"

/* Turns a picture of `size` bytes into numbers, and asks for the one after it, which lies anywhere. */
INLINE void to_numbers(const uint8_t *image, const uint8_t *next, int64_t size, float *out) {
    if (next)
        for (int64_t at = 0; at < size; at += LINE_BYTES) __builtin_prefetch(next + at);
    for (int64_t at = 0; at < size; at++) out[at] = (float)image[at] * (1.0f / 255.0f);
}

#endif
