/* Adam and AdamW, on gradients that never get into memory as a whole. */
#ifndef CIFAR_TUI_ADAM_H
#define CIFAR_TUI_ADAM_H

#include <math.h>

#include "products.h"

#define WEIGHT_ROWS 48 /* of a weight that a thread takes at a time */

/* The optimizer's settings; the same as `Rule` of native_memory.py. */
typedef struct {
    int64_t decoupled; /* AdamW's weight decay, else Adam's */
    double beta1, beta2, epsilon, weight_decay, l2_reg;
} Rule;

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

static inline Update next_update(const Rule *rule, int64_t step, double rate) {
    float pull = rule->decoupled ? 0.0f : (float)rule->weight_decay;
    return (Update){
        .of_mean = (float)(1.0 - rule->beta1),
        .of_square = (float)(1.0 - rule->beta2),
        .beta2 = (float)rule->beta2,
        .size = (float)(rate / (1.0 - pow(rule->beta1, (double)step))),
        .scale = (float)(1.0 / sqrt(1.0 - pow(rule->beta2, (double)step))),
        .epsilon = (float)rule->epsilon,
        .keep = rule->decoupled ? (float)(1.0 - rate * rule->weight_decay) : 1.0f,
        .pull = pull,
        .penalty_pull = pull + (float)(2.0 * rule->l2_reg),
    };
}

/* Into how many tasks the rows of a weight are cut. */
INLINE int64_t pieces(int64_t rows) { return (rows + WEIGHT_ROWS - 1) / WEIGHT_ROWS; }

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

/* One step for some rows of a panel, whose gradients (rows, PANEL) are given.

   Returns sums of the squares of the parameters as they were. */
INLINE vec update_panel(Update rule, Flat flat, int64_t at, int64_t stride, int64_t rows, const float *grads,
                        float pull) {
    vec squares = splat(0.0f);
    for (int64_t row = 0; row < rows; row++)
        for (int part = 0; part < PARTS; part++) {
            int64_t place = at + row * stride + part * LANES;
            vec value = load(flat.values + place);
            squares += value * value;
            update(rule, flat, place, load(grads + row * PANEL + part * LANES), pull);
        }
    return squares;
}

/* One step for a vector (columns,), whose gradient is the sum of `count` rows, times `scale` if there is one.

   Returns the sum of the squares as they were. */
static inline float update_vector(const Update *rule, Flat flat, int64_t at, int64_t columns,
                                  const float *grads, int64_t stride, int64_t count, const float *scale,
                                  float pull) {
    vec squares = splat(0.0f);
    for (int64_t column = 0; column < columns; column += LANES) {
        vec sum = splat(0.0f), value = load(flat.values + at + column);
        squares += value * value;
        for (int64_t row = 0; row < count; row++) sum += load(grads + row * stride + column);
        if (scale) sum *= load(scale + column);
        update(*rule, flat, at + column, sum, pull);
    }
    return total(squares);
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
static inline float update_weight(const Update *given, Flat flat, int64_t at, int64_t stride, int64_t rows,
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
            squares += update_panel(rule, flat, at + row * stride + column, stride, height, tile,
                                    rule.penalty_pull);
        }
    }
    return total(squares);
}

#endif
