/* Convolutions by 3x3 filters without a border, as products whose left side is read in place.

   Pictures lie as (height, width, channels), so that the 3 pixels of one row under a filter are one stretch
   of numbers; weights lie as (3, 3, inputs, outputs). Every sum goes over the same numbers in the same order
   whichever tile or thread it is made in. */
#ifndef CIFAR_TUI_CONVOLVE_H
#define CIFAR_TUI_CONVOLVE_H

#include "products.h"

#define SIDE 3 /* of a filter */

/* Where the first channel of some pixels of a picture is, of pixel after pixel of a smaller one. */
typedef struct {
    int64_t at, x;
} Walk;

INLINE int64_t next_place(Walk *walk, int64_t width, int64_t channels) {
    int64_t place = walk->at;
    walk->at += channels;
    if (++walk->x == width) {
        walk->x = 0;
        walk->at += (SIDE - 1) * channels;
    }
    return place;
}

/* What is convolved with what, for one picture. */
typedef struct {
    const float *in;     /* (height, in_width, channels) */
    int64_t in_width, channels;
    const float *weight; /* (3, 3, channels, columns), rows `stride` apart */
    int64_t stride;
    float *out;          /* (panels, pixels, PANEL) */
    int64_t pixels, out_width;
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
            store(out + row * PANEL + part * LANES, tile[row][part]);
}

/* Makes a panel of the output, of the rows of the filters from `first_y` to `last_y`.

   It is added to `bias` (PANEL,), or where there is none to what the output has. */
static inline void convolve(const Convolution *given, int64_t column, int64_t first_y, int64_t last_y,
                            const float *bias) {
    Walk walk = {0, 0};
    int height;
    for (int64_t pixel = 0; pixel < given->pixels; pixel += height) {
        const float *left[TILE_ROWS];
        height = tile_height(given->pixels - pixel);
        for (int row = 0; row < height; row++)
            left[row] = given->in + next_place(&walk, given->out_width, given->channels);
        float *out = given->out + column * given->pixels + pixel * PANEL;
#define CALL(count) \
    convolve_tile(count, given, left, first_y, last_y, given->weight + column, bias ? bias : out, \
                  bias ? 0 : PANEL, out)
        WITH_ROWS(height, CALL)
#undef CALL
    }
}

/* Gradients of a convolution's outputs, and the input whose gradient is made of them. */
typedef struct {
    const float *grads;  /* (panels, pixels, PANEL) */
    int64_t panels, pixels;
    int64_t out_width;   /* of `grads` as a picture */
    const float *turned; /* (3, 3, panels * PANEL, channels), rows `stride` apart */
    int64_t stride;
    float *in;           /* (height, in_width, channels) */
    int64_t in_width, channels;
} Spread;

INLINE void spread_tile(const int rows, const Spread *given, const float *grads, const float *weight,
                        float *const *in) {
    Tile tile;
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++) tile[row][part] = load(in[row] + part * LANES);
    for (int64_t panel = 0; panel < given->panels; panel++) {
        const float *left = grads + panel * given->pixels * PANEL;
        UNROLL_4 for (int k = 0; k < PANEL; k++) {
            vec of_right[PARTS];
            UNROLL for (int part = 0; part < PARTS; part++) of_right[part] = load(weight + part * LANES);
            UNROLL for (int row = 0; row < rows; row++) {
                vec factor = splat(left[row * PANEL + k]);
                UNROLL for (int part = 0; part < PARTS; part++) tile[row][part] += factor * of_right[part];
            }
            weight += given->stride;
        }
    }
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++) store(in[row] + part * LANES, tile[row][part]);
}

/* Adds to the input's gradient what comes through each of the 3x3 taps of the filters. */
static inline void spread(const Spread *given) {
    for (int64_t column = 0; column < given->channels; column += PANEL)
        for (int64_t tap = 0; tap < SIDE * SIDE; tap++) {
            const float *weight = given->turned + tap * given->panels * PANEL * given->stride + column;
            Walk walk = {(tap / SIDE * given->in_width + tap % SIDE) * given->channels + column, 0};
            int height;
            for (int64_t pixel = 0; pixel < given->pixels; pixel += height) {
                float *in[TILE_ROWS];
                height = tile_height(given->pixels - pixel);
                for (int row = 0; row < height; row++)
                    in[row] = given->in + next_place(&walk, given->out_width, given->channels);
#define CALL(count) spread_tile(count, given, given->grads + pixel * PANEL, weight, in)
                WITH_ROWS(height, CALL)
#undef CALL
            }
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

INLINE void filter_tile(const int rows, const Summands *given, int64_t pictures, int64_t first,
                        float *sums) {
    Tile tile;
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            tile[row][part] = load(sums + row * PANEL + part * LANES);
    for (int64_t picture = 0; picture < pictures; picture++) {
        const float *in = given->in + picture * given->next_in + first;
        const float *right = given->grads + picture * given->next_grads;
        UNROLL_4 for (int64_t pixel = 0; pixel < given->pixels; pixel++) {
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
static inline void add_filter_grads(const Summands *given, int64_t pictures, int64_t rows,
                                    float *sums) {
    int height;
    for (int64_t row = 0; row < rows; row += height) {
        height = tile_height(rows - row);
#define CALL(count) filter_tile(count, given, pictures, row, sums + row * PANEL)
        WITH_ROWS(height, CALL)
#undef CALL
    }
}

#endif
