/* Tiles of matrix products: a few rows by one panel, summed in registers.

   Every number is one chain of multiply-adds over the inner dimension, in order, so it has the same bits in
   whatever tile and on whatever thread it is made. */
#ifndef CIFAR_TUI_PRODUCTS_H
#define CIFAR_TUI_PRODUCTS_H

#include "lanes.h"

typedef vec Tile[TILE_ROWS][PARTS];

/* Rows of the right side that are asked for before they are needed: they lie so far apart that the processor
   does not see it coming. On a Zen 3 the whole step is 1.2 times as fast with it. */
#define AHEAD 8

/* tile += left * right, where left is (rows, inner) with any strides and right (inner, PANEL). */
INLINE void add_product(Tile tile, const int rows, const float *left, int64_t next_row, int64_t next_inner,
                        const float *right, int64_t right_stride, int64_t inner) {
    for (int64_t k = 0; k < inner; k++) {
        __builtin_prefetch(right + AHEAD * right_stride);
        vec of_right[PARTS];
        UNROLL for (int part = 0; part < PARTS; part++) of_right[part] = load(right + part * LANES);
        UNROLL for (int row = 0; row < rows; row++) {
            vec factor = splat(left[row * next_row]);
            UNROLL for (int part = 0; part < PARTS; part++) tile[row][part] += factor * of_right[part];
        }
        left += next_inner;
        right += right_stride;
    }
}

/* Runs `CALL(rows)` with the number of rows as a constant, so that the tile stays in registers. */
#if LANES == 16
#define WITH_ROWS_ABOVE_6(CALL) \
    case 7: CALL(7); break; \
    case 8: CALL(8); break; \
    case 9: CALL(9); break; \
    case 10: CALL(10); break; \
    case 11: CALL(11); break; \
    case 12: CALL(12); break;
#else
#define WITH_ROWS_ABOVE_6(CALL)
#endif
#define WITH_ROWS(count, CALL) \
    switch (count) { \
        case 1: CALL(1); break; \
        case 2: CALL(2); break; \
        case 3: CALL(3); break; \
        case 4: CALL(4); break; \
        case 5: CALL(5); break; \
        case 6: CALL(6); break; \
        WITH_ROWS_ABOVE_6(CALL) \
    }

/* How many rows the next tile takes, so that all tiles are about as high. */
INLINE int tile_height(int64_t left) {
    int64_t tiles = (left + TILE_ROWS - 1) / TILE_ROWS;
    return (int)((left + tiles - 1) / tiles);
}

#define INNER_BLOCK 256 /* a panel of so many rows stays in the first cache while the tiles go by */

INLINE void out_tile(const int rows, const float *left, int64_t left_stride, const float *right,
                     int64_t right_stride, int64_t inner, const float *start, int64_t start_stride,
                     float *out, int64_t out_stride) {
    Tile tile;
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            tile[row][part] = start ? load(start + row * start_stride + part * LANES) : splat(0.0f);
    add_product(tile, rows, left, left_stride, 1, right, right_stride, inner);
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            store(out + row * out_stride + part * LANES, tile[row][part]);
}

/* out = left * right + bias: left (rows, inner), right (inner, columns), bias (columns) or none.

   Columns are filled up to whole panels; right has zeros there, or what comes out is not read. */
static inline void product(int64_t rows, int64_t inner, int64_t columns, const float *left,
                           int64_t left_stride, const float *right, int64_t right_stride, const float *bias,
                           float *out, int64_t out_stride) {
    for (int64_t from = 0; from < inner; from += INNER_BLOCK) {
        int64_t depth = inner - from < INNER_BLOCK ? inner - from : INNER_BLOCK;
        for (int64_t column = 0; column < columns; column += PANEL) {
            int height;
            for (int64_t row = 0; row < rows; row += height) {
                height = tile_height(rows - row);
                float *place = out + row * out_stride + column;
                const float *start = from > 0 ? place : bias ? bias + column : 0;
                int64_t start_stride = from > 0 ? out_stride : 0;
#define CALL(count) \
    out_tile(count, left + row * left_stride + from, left_stride, right + from * right_stride + column, \
             right_stride, depth, start, start_stride, place, out_stride)
                WITH_ROWS(height, CALL)
#undef CALL
            }
        }
    }
}

/* Copies rows of a weight (inputs, outputs) to columns of the same one turned. */
static inline void turn(const float *weight, int64_t stride, int64_t rows, int64_t columns, float *out,
                        int64_t out_stride) {
    for (int64_t column = 0; column < columns; column++)
        for (int64_t row = 0; row < rows; row++)
            out[column * out_stride + row] = weight[row * stride + column];
}

#endif
