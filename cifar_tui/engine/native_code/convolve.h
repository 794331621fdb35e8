/* Convolutions by 3x3 filters without a border, as products whose left side is read in place.

   Pictures lie as (height, width, channels), so that the 3 pixels of one row under a filter are one stretch
   of numbers; weights lie as (3, 3, inputs, outputs). Every sum goes over the same numbers in the same order
   whichever tile or thread it is made in. */
#ifndef CIFAR_TUI_CONVOLVE_H
#define CIFAR_TUI_CONVOLVE_H

#include "products.h"

#define SIDE 3 /* of a filter */

/* What is convolved with what, for one picture. */
typedef struct {
    const float *in;     /* (height, in_width, channels) */
    int64_t in_width, channels;
    const float *weight; /* (3, 3, channels, columns), rows `stride` apart */
    int64_t stride;
    float *out;          /* of pixel 0 and column 0; panels apart from each other */
    int64_t out_width;
    int64_t next_pixel, next_panel; /* distances in `out` */
} Convolution;

/* Adds rows of the filters to a tile of pixels, which begins as `start`. */
INLINE void convolve_tile(const int rows, const Convolution *given, const float *const *left, int64_t first_y,
                          int64_t last_y, const float *weight, const float *start, int64_t next_start,
                          float *out) {
    int64_t inner = SIDE * given->channels, stride = given->stride;
    Tile tile;
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            tile[row][part] = load(start + row * next_start + part * LANES);
    for (int64_t y = first_y; y < last_y; y++) {
        const float *at[TILE_ROWS];
        UNROLL for (int row = 0; row < rows; row++)
            at[row] = left[row] + y * given->in_width * given->channels;
        const float *right = weight + y * inner * stride;
        for (int64_t k = 0; k < inner; k++) {
            vec of_right[PARTS];
            UNROLL for (int part = 0; part < PARTS; part++) of_right[part] = load(right + part * LANES);
            UNROLL for (int row = 0; row < rows; row++) {
                vec factor = splat(at[row][k]);
                UNROLL for (int part = 0; part < PARTS; part++) tile[row][part] += factor * of_right[part];
            }
            right += stride;
        }
    }
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            store(out + row * given->next_pixel + part * LANES, tile[row][part]);
}

/* Makes a panel of the output rows from `from` to `to`, of the rows of the filters from `first_y` to `last_y`.

   It is added to `bias` (PANEL,), or where there is none to what the output has. */
static inline void convolve(const Convolution *given, int64_t column, int64_t from, int64_t to,
                            int64_t first_y, int64_t last_y, const float *bias) {
    int64_t last = to * given->out_width, beside = (given->in_width - given->out_width) * given->channels;
    const float *at = given->in + from * given->in_width * given->channels;
    int height;
    for (int64_t pixel = from * given->out_width, x = 0; pixel < last; pixel += height) {
        const float *left[TILE_ROWS];
        height = tile_height(last - pixel);
        for (int row = 0; row < height; row++) {
            left[row] = at;
            at += given->channels;
            if (++x == given->out_width) {
                x = 0;
                at += beside;
            }
        }
        float *out = given->out + column / PANEL * given->next_panel + pixel * given->next_pixel;
#define CALL(count) \
    convolve_tile(count, given, left, first_y, last_y, given->weight + column, bias ? bias : out, \
                  bias ? 0 : given->next_pixel, out)
        WITH_ROWS(height, CALL)
#undef CALL
    }
}

/* What the gradient of a panel of a weight is summed of. */
typedef struct {
    const float *in;       /* (pictures, numbers): of each picture, from the first pixel of a filter row on */
    int64_t next_in;       /* from picture to picture */
    const int32_t *places; /* (pixels,): where in it each pixel is */
    const float *grads;    /* (pictures, pixels, PANEL) */
    int64_t next_grads;    /* from picture to picture */
    int64_t pixels;
} Summands;

INLINE void filter_tile(const int rows, const Summands *given, int64_t from, int64_t to, int64_t first,
                        float *sums) {
    Tile tile;
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            tile[row][part] = load(sums + row * PANEL + part * LANES);
    for (int64_t picture = from; picture < to; picture++) {
        const float *in = given->in + picture * given->next_in + first;
        const float *right = given->grads + picture * given->next_grads;
        for (int64_t pixel = 0; pixel < given->pixels; pixel++) {
            const float *left = in + given->places[pixel];
            vec of_right[PARTS];
            UNROLL for (int part = 0; part < PARTS; part++)
                of_right[part] = load(right + pixel * PANEL + part * LANES);
            UNROLL for (int row = 0; row < rows; row++) {
                vec factor = splat(left[row]);
                UNROLL for (int part = 0; part < PARTS; part++) tile[row][part] += factor * of_right[part];
            }
        }
    }
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            store(sums + row * PANEL + part * LANES, tile[row][part]);
}

/* sums (rows, PANEL) += the gradient of a row of filters, whose `rows` are 3 pixels of all channels. */
static inline void add_filter_grads(const Summands *given, int64_t from, int64_t to, int64_t rows,
                                    float *sums) {
    int height;
    for (int64_t row = 0; row < rows; row += height) {
        height = tile_height(rows - row);
#define CALL(count) filter_tile(count, given, from, to, row, sums + row * PANEL)
        WITH_ROWS(height, CALL)
#undef CALL
    }
}

#endif
