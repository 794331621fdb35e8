/* Norm, pool and ReLU of a block, forward and backward, a panel of channels of a picture at a time. */
#ifndef CIFAR_TUI_BLOCKS_H
#define CIFAR_TUI_BLOCKS_H

#include "cnn.h"
#include "rows.h"

INLINE vec relu(vec value) { return pick(value <= 0.0f, splat(0.0f), value); /* what is no number stays so */ }

/* Mean of each channel of a picture, and for batch norm the sum of squares around it. */
static inline void measure(const Run *run, const Stage *stage, int64_t picture) {
    int64_t filters = stage->block->filters;
    for (int64_t column = 0; column < filters; column += LANES) {
        const float *x = stage->sums + picture * stage->next_sums + column / PANEL * stage->pixels * PANEL +
                         column % PANEL;
        vec sum[4], squares[4]; /* several chains, so that additions need not wait for each other */
        UNROLL for (int chain = 0; chain < 4; chain++) sum[chain] = squares[chain] = splat(0.0f);
        for (int64_t pixel = 0; pixel < stage->pixels; pixel += 4)
            UNROLL for (int chain = 0; chain < 4; chain++)
                if (pixel + chain < stage->pixels) sum[chain] += load(x + (pixel + chain) * PANEL);
        vec mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)stage->pixels;
        store(stage->centres + picture * filters + column, mean);
        if (run->work->front_norm != BATCH_NORM) continue;
        for (int64_t pixel = 0; pixel < stage->pixels; pixel += 4)
            UNROLL for (int chain = 0; chain < 4; chain++)
                if (pixel + chain < stage->pixels) {
                    vec apart = load(x + (pixel + chain) * PANEL) - mean;
                    squares[chain] += apart * apart;
                }
        store(stage->scatters + picture * filters + column,
              (squares[0] + squares[1]) + (squares[2] + squares[3]));
    }
}

/* Makes the vectors of a batch norm of what was measured in each picture; one thread keeps the running averages. */
static inline void settle_block(Run *run, Mine *mine, int64_t index) {
    const Stage *stage = &run->stages[index];
    const Block *block = stage->block;
    Norm norm = mine->norms[index];
    int64_t batch = run->work->batch;
    float count = (float)(batch * stage->pixels);
    for (int64_t column = 0; column < block->filters; column += LANES) {
        vec mean = splat(0.0f), squares = splat(0.0f);
        for (int64_t row = 0; row < batch; row++) mean += load(stage->centres + row * block->filters + column);
        mean /= (float)batch;
        for (int64_t row = 0; row < batch; row++) {
            vec apart = load(stage->centres + row * block->filters + column) - mean;
            squares += load(stage->scatters + row * block->filters + column) +
                       apart * apart * (float)stage->pixels;
        }
        vec spread = 1.0f / root(squares / count + NORM_EPSILON);
        store(norm.centre + column, mean);
        store(norm.spread + column, spread);
        store(norm.factor + column, spread * load(at(run, block->gain) + column));
        store(norm.offset + column, load(at(run, block->offset) + column));
        if (mine->number > 0) continue;
        float *means = block->running_mean + column, *variances = block->running_variance + column;
        store(means, load(means) * (1.0f - MOMENTUM) + mean * MOMENTUM);
        store(variances, load(variances) * (1.0f - MOMENTUM) + squares / (count - 1.0f) * MOMENTUM);
    }
}

/* The vectors of a norm that is not of the whole batch, for a picture. */
static inline void settle_picture(const Run *run, Mine *mine, int64_t index, int64_t picture) {
    if (run->work->front_norm != LAYER_NORM) return; /* without a norm they stay as they were laid out */
    const Stage *stage = &run->stages[index];
    const Block *block = stage->block;
    Norm norm = mine->norms[index];
    for (int64_t column = 0; column < block->filters; column += LANES) {
        vec gain = load(at(run, block->gain) + column);
        store(norm.centre + column, load(stage->centres + picture * block->filters + column));
        store(norm.factor + column, gain);
        store(norm.offset + column, load(at(run, block->offset) + column));
    }
}

/* Where the outputs of a block are: in the input of the next one, or in the rows after the last. */
INLINE float *outputs(const Run *run, int64_t index, int64_t picture) {
    if (index + 1 == BLOCKS) return run->rows + picture * run->work->feature_stride;
    return run->stages[index + 1].in + picture * run->stages[index + 1].next_in;
}

INLINE float *of_outputs(const Run *run, int64_t index, int64_t picture) {
    if (index + 1 == BLOCKS) return run->of_rows + picture * run->work->feature_stride;
    return run->stages[index + 1].of_in + picture * run->stages[index + 1].next_in;
}

/* Where what became of an output is found, by window and column. */
typedef struct {
    const float *at;
    int64_t next_window, next_panel;
} Peaks;

INLINE Peaks peaks_of(const Stage *stage, int64_t picture) {
    int64_t filters = stage->block->filters;
    if (stage->block->pooled)
        return (Peaks){stage->peaks + picture * stage->windows * filters, filters, PANEL};
    return (Peaks){stage->sums + picture * stage->next_sums, PANEL, stage->pixels * PANEL};
}

/* Norm, pool and ReLU of a picture. */
static inline void finish_block(const Run *run, Mine *mine, int64_t index, int64_t picture) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters, side = stage->out_side;
    float *out = outputs(run, index, picture), *peaks = stage->peaks + picture * stage->windows * filters;
    settle_picture(run, mine, index, picture);
    Norm norm = mine->norms[index];
    for (int64_t column = 0; column < filters; column += LANES) {
        const float *x = stage->sums + picture * stage->next_sums + column / PANEL * stage->pixels * PANEL +
                         column % PANEL;
        vec centre = load(norm.centre + column), factor = load(norm.factor + column);
        vec offset = load(norm.offset + column);
        if (!stage->block->pooled) {
            for (int64_t pixel = 0; pixel < stage->pixels; pixel++)
                store(out + pixel * filters + column,
                      relu((load(x + pixel * PANEL) - centre) * factor + offset));
            continue;
        }
        for (int64_t window = 0; window < stage->windows; window++) {
            int64_t down = window / stage->pool_side * 2, right = window % stage->pool_side * 2;
            const float *corner = x + (down * side + right) * PANEL;
            vec peak = load(corner), best = (peak - centre) * factor + offset;
            UNROLL for (int other = 1; other < 4; other++) { /* the first of equals, as in PyTorch */
                vec value = load(corner + (other / 2 * side + other % 2) * PANEL);
                vec normal = (value - centre) * factor + offset;
                ints higher = (normal > best) | (normal != normal);
                peak = pick(higher, value, peak);
                best = pick(higher, normal, best);
            }
            store(peaks + window * filters + column, peak);
            store(out + window * filters + column, relu(best));
        }
    }
}

/* ReLU backward of a picture, in place, and its part of the sums that the norm's gradient is made of. */
static inline void begin_backward(const Run *run, Mine *mine, int64_t index, int64_t picture) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters;
    const float *out = outputs(run, index, picture);
    float *grads = of_outputs(run, index, picture);
    Peaks peaks = peaks_of(stage, picture);
    settle_picture(run, mine, index, picture);
    for (int64_t column = 0; column < filters; column += LANES) {
        const float *x = peaks.at + column / PANEL * peaks.next_panel + column % PANEL;
        vec centre = load(mine->norms[index].centre + column), slope = splat(0.0f), tilt = splat(0.0f);
        for (int64_t window = 0; window < stage->windows; window++) {
            int64_t place = window * filters + column;
            vec grad = pick(load(out + place) <= 0.0f, splat(0.0f), load(grads + place));
            store(grads + place, grad);
            slope += grad;
            tilt += grad * (load(x + window * peaks.next_window) - centre);
        }
        store(stage->slopes + picture * filters + column, slope);
        store(stage->tilts + picture * filters + column, tilt);
    }
}

/* Makes the vectors of a batch norm's gradient of the sums of all pictures. */
static inline void settle_backward(const Run *run, Mine *mine, int64_t index) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters, batch = run->work->batch;
    Norm norm = mine->norms[index];
    float count = (float)(batch * stage->pixels);
    for (int64_t column = 0; column < filters; column += LANES) {
        vec slope = splat(0.0f), tilt = splat(0.0f);
        for (int64_t row = 0; row < batch; row++) {
            slope += load(stage->slopes + row * filters + column);
            tilt += load(stage->tilts + row * filters + column);
        }
        vec spread = load(norm.spread + column), factor = load(norm.factor + column);
        store(norm.slope + column, factor);
        store(norm.tilt + column, -factor * spread * spread * tilt / count);
        store(norm.level + column, -factor * slope / count);
    }
}

/* Where the gradients of a panel of a picture go, and by which vectors they are made. */
typedef struct {
    float *sums, *padded;
    int64_t side, filters;
    vec centre, slope, tilt, level;
} Way;

/* An output's own value becomes its gradient, where `grad` comes from the ReLU. */
INLINE void put(const Way *way, int64_t y, int64_t x, vec value, vec grad) {
    vec found = grad * way->slope + (value - way->centre) * way->tilt + way->level;
    store(way->sums + (y * way->side + x) * PANEL, found);
    if (way->padded)
        store(way->padded + ((y + SIDE - 1) * (way->side + 2 * (SIDE - 1)) + x + SIDE - 1) * way->filters, found);
}

/* Of a window, which may be cut off by the border, and then was not pooled. */
INLINE void put_window(const Way *way, int64_t y, int64_t x, int64_t pool_side, const float *peaks,
                       const float *grads) {
    int whole = y < pool_side && x < pool_side;
    vec peak = splat(0.0f), grad = splat(0.0f);
    if (whole) {
        peak = load(peaks + (y * pool_side + x) * way->filters);
        grad = load(grads + (y * pool_side + x) * way->filters);
    }
    for (int64_t inner = 0; inner < 4; inner++) { /* the first that has the value which the pool took */
        int64_t down = 2 * y + inner / 2, right = 2 * x + inner % 2;
        if (down >= way->side || right >= way->side) continue;
        vec value = load(way->sums + (down * way->side + right) * PANEL);
        ints hit = value == peak;
        put(way, down, right, value, pick(hit, grad, splat(0.0f)));
        grad = pick(hit, splat(0.0f), grad);
    }
}

/* Pool and norm backward of a panel of a picture: its `sums` become their gradients.

   With `padded` they are also written there. */
static inline void finish_backward(const Run *run, Mine *mine, int64_t index, int64_t picture, int64_t panel,
                                   float *padded) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters, side = stage->out_side;
    const float *grads = of_outputs(run, index, picture);
    const float *peaks = stage->peaks + picture * stage->windows * filters;
    settle_picture(run, mine, index, picture);
    Norm norm = mine->norms[index];
    for (int64_t column = panel; column < panel + PANEL; column += LANES) {
        Way way = {stage->sums + picture * stage->next_sums + panel * stage->pixels + column - panel,
                   padded ? padded + column : 0, side, filters, load(norm.centre + column),
                   load(norm.slope + column), load(norm.tilt + column), load(norm.level + column)};
        if (run->work->front_norm == LAYER_NORM) {
            way.slope = load(norm.factor + column);
            way.level = -way.slope * load(stage->slopes + picture * filters + column) / (float)stage->pixels;
        }
        if (stage->block->pooled) {
            for (int64_t y = 0; y < (side + 1) / 2; y++)
                for (int64_t x = 0; x < (side + 1) / 2; x++)
                    put_window(&way, y, x, stage->pool_side, peaks + column, grads + column);
        } else {
            for (int64_t pixel = 0; pixel < stage->pixels; pixel++)
                put(&way, pixel / side, pixel % side, load(way.sums + pixel * PANEL),
                    load(grads + pixel * filters + column));
        }
    }
}

#endif
