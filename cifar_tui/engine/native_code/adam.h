/* Adam and AdamW, on gradients that never get into memory as a whole. */
#ifndef CIFAR_TUI_ADAM_H
#define CIFAR_TUI_ADAM_H

#include "products.h"

/* Numbers of one optimizer step, with t steps done when it is. */
typedef struct {
    float of_mean, of_square; /* 1 - beta1, 1 - beta2 */
    float beta2;
    float size;               /* rate / (1 - beta1^t) */
    float scale;              /* 1 / sqrt(1 - beta2^t) */
    float epsilon;
    float keep;               /* 1 - rate * weight decay, where that is decoupled as in AdamW; else 1 */
    float pull;               /* of a parameter to its own gradient: Adam's weight decay; else 0 */
    float penalty_pull;       /* the same for weights that the penalty is on, 2 * l2_reg more */
} Update;

/* Parameters and their moments, which lie at the same places of three tensors. */
typedef struct {
    float *values, *means, *squares;
} Flat;

INLINE void update(Update rule, Flat flat, int64_t at, vec grad, float pull) {
    vec value = load(flat.values + at);
    grad += value * pull;
    vec mean = load(flat.means + at);
    mean += (grad - mean) * rule.of_mean;
    vec square = load(flat.squares + at) * rule.beta2 + grad * grad * rule.of_square;
    store(flat.means + at, mean);
    store(flat.squares + at, square);
    store(flat.values + at,
          value * rule.keep - mean * rule.size / (root(square) * rule.scale + rule.epsilon));
}

INLINE void grad_tile(const int rows, const float *inputs, int64_t input_stride, const float *grads,
                      int64_t grad_stride, int64_t batch, float *out) {
    Tile tile;
    UNROLL for (int row = 0; row < rows; row++)
        for (int part = 0; part < PARTS; part++) tile[row][part] = splat(0.0f);
    add_product(tile, rows, inputs, 1, input_stride, grads, grad_stride, batch);
    UNROLL for (int row = 0; row < rows; row++)
        UNROLL for (int part = 0; part < PARTS; part++)
            store(out + row * PANEL + part * LANES, tile[row][part]);
}

/* One step for rows of a weight (inputs, outputs) whose gradient is inputs' * grads, summed over the batch.

   Returns the sum of the squares of the weights as they were. */
static float update_weight(const Update *given, Flat flat, int64_t at, int64_t stride, int64_t rows,
                           int64_t columns, const float *inputs, int64_t input_stride, const float *grads,
                           int64_t grad_stride, int64_t batch) {
    const Update rule = *given;
    float tile[TILE_ROWS * PANEL] __attribute__((aligned(64)));
    vec squares = splat(0.0f);
    int height;
    for (int64_t row = 0; row < rows; row += height) {
        height = tile_height(rows - row);
        for (int64_t column = 0; column < columns; column += PANEL) {
            /* Values come from afar: those of the next tile are on their way while this one is summed. */
            for (int line = 0; line < height; line++) {
                int64_t place = at + (row + line) * stride + column + PANEL;
                __builtin_prefetch(flat.values + place, 1);
                __builtin_prefetch(flat.means + place, 1);
                __builtin_prefetch(flat.squares + place, 1);
            }
#define CALL(count) \
    grad_tile(count, inputs + row, input_stride, grads + column, grad_stride, batch, tile)
            WITH_ROWS(height, CALL)
#undef CALL
            for (int line = 0; line < height; line++)
                for (int part = 0; part < PARTS; part++) {
                    int64_t place = at + (row + line) * stride + column + part * LANES;
                    vec value = load(flat.values + place);
                    squares += value * value;
                    update(rule, flat, place, load(tile + line * PANEL + part * LANES), rule.penalty_pull);
                }
        }
    }
    return total(squares);
}

#endif
