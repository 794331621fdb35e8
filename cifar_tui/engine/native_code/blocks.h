/* Norm, pool and ReLU of a block, forward and backward, a panel of channels of a picture at a time. */
#ifndef CIFAR_TUI_BLOCKS_H
#define CIFAR_TUI_BLOCKS_H

#include "cnn.h"
#include "rows.h"

INLINE vec relu(vec value) { return pick(value <= 0.0f, splat(0.0f), value); /* NaN stays */ }

/* Sums of a panel of a picture, or of the squares of what is apart from `mean`, in two chains each, so that
   additions need not wait for each other. */
INLINE void sum_pixels(const float *x, int64_t pixels, const vec *mean, vec *sums) {
    vec odd[PARTS];
    UNROLL for (int part = 0; part < PARTS; part++) sums[part] = odd[part] = splat(0.0f);
    for (int64_t pixel = 0; pixel < pixels; pixel++)
        UNROLL for (int part = 0; part < PARTS; part++) {
            vec value = load(x + pixel * PANEL + part * LANES);
            if (mean) value = (value - mean[part]) * (value - mean[part]);
            vec next = odd[part]; /* the chains change places */
            odd[part] = sums[part] + value;
            sums[part] = next;
        }
    UNROLL for (int part = 0; part < PARTS; part++) sums[part] += odd[part];
}

/* Mean of each channel of a picture, and for batch norm the sum of squares around it. */
static inline void measure(const Run *run, const Stage *stage, int64_t picture) {
    int64_t filters = stage->block->filters;
    for (int64_t column = 0; column < filters; column += PANEL) {
        const float *x = stage->sums + picture * stage->next_sums + column * stage->pixels;
        vec mean[PARTS], squares[PARTS];
        sum_pixels(x, stage->pixels, 0, mean);
        UNROLL for (int part = 0; part < PARTS; part++) {
            mean[part] /= (float)stage->pixels;
            store(stage->centres + picture * filters + column + part * LANES, mean[part]);
        }
        if (run->work->front_norm != BATCH_NORM) continue;
        sum_pixels(x, stage->pixels, mean, squares);
        UNROLL for (int part = 0; part < PARTS; part++)
            store(stage->scatters + picture * filters + column + part * LANES, squares[part]);
    }
}

/* Makes the vectors of a norm; those of a batch norm of what was measured in each picture, and one thread
   keeps the running averages. */
static inline void settle_block(Run *run, Mine *mine, int64_t index) {
    const Stage *stage = &run->stages[index];
    const Block *block = stage->block;
    Norm norm = mine->norms[index];
    int64_t batch = run->work->batch;
    float count = (float)(batch * stage->pixels);
    if (run->work->front_norm == NO_NORM) return; /* they stay as they were laid out */
    for (int64_t column = 0; column < block->filters; column += LANES) {
        store(norm.factor + column, load(at(run, block->gain) + column));
        store(norm.offset + column, load(at(run, block->offset) + column));
        if (run->work->front_norm == LAYER_NORM) continue;
        vec mean = splat(0.0f), squares = splat(0.0f);
        for (int64_t row = 0; row < batch; row++)
            mean += load(stage->centres + row * block->filters + column);
        mean /= (float)batch;
        for (int64_t row = 0; row < batch; row++) {
            vec apart = load(stage->centres + row * block->filters + column) - mean;
            squares += load(stage->scatters + row * block->filters + column) +
                       apart * apart * (float)stage->pixels;
        }
        vec spread = 1.0f / root(squares / count + NORM_EPSILON);
        store(norm.centre + column, mean);
        store(norm.spread + column, spread);
        store(norm.factor + column, spread * load(norm.factor + column));
        if (mine->number > 0) continue;
        float *means = block->running_mean + column, *variances = block->running_variance + column;
        store(means, load(means) * (1.0f - MOMENTUM) + mean * MOMENTUM);
        store(variances, load(variances) * (1.0f - MOMENTUM) + squares / (count - 1.0f) * MOMENTUM);
    }
}

/* The mean of a picture, where the norm is of each for itself. */
static inline void settle_picture(const Run *run, Mine *mine, int64_t index, int64_t picture) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters;
    if (run->work->front_norm != LAYER_NORM) return;
    for (int64_t column = 0; column < filters; column += LANES)
        store(mine->norms[index].centre + column, load(stage->centres + picture * filters + column));
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

/* Max pool of 2x2 before the norm, whose gain says whether the highest or the lowest will be the highest.

   What is kept is the output itself; the first of equals, as in PyTorch. */
static inline void pool(const Run *run, const Mine *mine, int64_t index, int64_t picture) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters, side = stage->out_side;
    const float *gains = at(run, stage->block->gain);
    if (run->work->front_norm == NO_NORM) gains = mine->norms[index].factor; /* which is 1 */
    for (int64_t column = 0; column < filters; column += PANEL) {
        const float *x = stage->sums + picture * stage->next_sums + column * stage->pixels;
        float *peaks = stage->peaks + picture * stage->windows * filters + column;
        for (int64_t y = 0; y < stage->pool_side; y++)
            for (int64_t pixel = 0; pixel < stage->pool_side; pixel++)
                UNROLL for (int part = 0; part < PARTS; part++) {
                    const float *corner = x + 2 * (y * side + pixel) * PANEL + part * LANES;
                    vec gain = load(gains + column + part * LANES), peak = load(corner), best = peak * gain;
                    UNROLL for (int other = 1; other < 4; other++) {
                        vec value = load(corner + (other / 2 * side + other % 2) * PANEL);
                        vec rank = value * gain;
                        ints higher = (rank > best) | (rank != rank);
                        peak = pick(higher, value, peak);
                        best = pick(higher, rank, best);
                    }
                    store(peaks + (y * stage->pool_side + pixel) * filters + part * LANES, peak);
                }
    }
}

/* Norm and ReLU of what the pool took of a picture, or of all. */
static inline void finish_block(const Run *run, Mine *mine, int64_t index, int64_t picture) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters;
    Peaks peaks = peaks_of(stage, picture);
    settle_picture(run, mine, index, picture);
    Norm norm = mine->norms[index];
    for (int64_t column = 0; column < filters; column += PANEL) {
        const float *x = peaks.at + column / PANEL * peaks.next_panel;
        float *out = outputs(run, index, picture) + column;
        for (int64_t window = 0; window < stage->windows; window++)
            UNROLL for (int part = 0; part < PARTS; part++) {
                int64_t own = column + part * LANES;
                vec value = load(x + window * peaks.next_window + part * LANES) - load(norm.centre + own);
                store(out + window * filters + part * LANES,
                      relu(value * load(norm.factor + own) + load(norm.offset + own)));
            }
    }
}

/* ReLU backward of a picture, in place, and its part of the sums that the norm's gradient is made of. */
static inline void begin_backward(const Run *run, Mine *mine, int64_t index, int64_t picture) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters;
    Peaks peaks = peaks_of(stage, picture);
    settle_picture(run, mine, index, picture);
    for (int64_t column = 0; column < filters; column += PANEL) {
        const float *x = peaks.at + column / PANEL * peaks.next_panel;
        const float *out = outputs(run, index, picture) + column;
        float *grads = of_outputs(run, index, picture) + column;
        vec centre[PARTS], slope[PARTS], tilt[PARTS];
        UNROLL for (int part = 0; part < PARTS; part++) {
            centre[part] = load(mine->norms[index].centre + column + part * LANES);
            slope[part] = tilt[part] = splat(0.0f);
        }
        for (int64_t window = 0; window < stage->windows; window++)
            UNROLL for (int part = 0; part < PARTS; part++) {
                int64_t place = window * filters + part * LANES;
                vec grad = pick(load(out + place) <= 0.0f, splat(0.0f), load(grads + place));
                store(grads + place, grad);
                slope[part] += grad;
                tilt[part] += grad * (load(x + window * peaks.next_window + part * LANES) - centre[part]);
            }
        UNROLL for (int part = 0; part < PARTS; part++) {
            store(stage->slopes + picture * filters + column + part * LANES, slope[part]);
            store(stage->tilts + picture * filters + column + part * LANES, tilt[part]);
        }
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

/* Where the outputs of a panel of a picture are, where their gradients go, and by which vectors these are
   made. */
typedef struct {
    const float *sums;
    float *out;
    int64_t side;
    vec centre[PARTS], slope[PARTS], tilt[PARTS], level[PARTS];
} Way;

/* The gradient of an output, of its value and of what comes from the ReLU. */
INLINE void put(const Way *way, int part, int64_t y, int64_t x, vec value, vec grad) {
    vec found = grad * way->slope[part] + (value - way->centre[part]) * way->tilt[part] + way->level[part];
    store(way->out + (y * way->side + x) * PANEL + part * LANES, found);
}

/* Of a window that was pooled. */
INLINE void put_window(const Way *way, int64_t y, int64_t x, const float *peaks, const float *grads) {
    for (int64_t inner = 0; inner < 4; inner++) /* outputs come from afar: those of the window below */
        __builtin_prefetch(way->sums + ((2 * y + 2 + inner / 2) * way->side + 2 * x + inner % 2) * PANEL);
    UNROLL for (int part = 0; part < PARTS; part++) {
        vec peak = load(peaks + part * LANES), grad = load(grads + part * LANES);
        UNROLL for (int inner = 0; inner < 4; inner++) { /* the first with the value that the pool took */
            int64_t down = 2 * y + inner / 2, right = 2 * x + inner % 2;
            vec value = load(way->sums + (down * way->side + right) * PANEL + part * LANES);
            ints hit = value == peak;
            put(way, part, down, right, value, pick(hit, grad, splat(0.0f)));
            grad = pick(hit, splat(0.0f), grad);
        }
    }
}

/* Of an output that no window took. */
INLINE void put_rest(const Way *way, int64_t y, int64_t x) {
    UNROLL for (int part = 0; part < PARTS; part++)
        put(way, part, y, x, load(way->sums + (y * way->side + x) * PANEL + part * LANES), splat(0.0f));
}

/* Pool and norm backward of a panel of a picture: to gradients (pixels, PANEL) of the convolution's outputs,
   which may take the place of these. */
static inline void finish_backward(const Run *run, Mine *mine, int64_t index, int64_t picture, int64_t panel,
                                   float *out) {
    const Stage *stage = &run->stages[index];
    int64_t filters = stage->block->filters, side = stage->out_side;
    const float *grads = of_outputs(run, index, picture) + panel;
    const float *peaks = stage->peaks + picture * stage->windows * filters + panel;
    settle_picture(run, mine, index, picture);
    Norm norm = mine->norms[index];
    Way way = {.sums = stage->sums + picture * stage->next_sums + panel * stage->pixels,
               .out = out,
               .side = side};
    UNROLL for (int part = 0; part < PARTS; part++) {
        int64_t column = panel + part * LANES;
        way.centre[part] = load(norm.centre + column);
        way.slope[part] = load(norm.slope + column);
        way.tilt[part] = load(norm.tilt + column);
        way.level[part] = load(norm.level + column);
        if (run->work->front_norm == LAYER_NORM) {
            way.slope[part] = load(norm.factor + column);
            way.level[part] = -way.slope[part] * load(stage->slopes + picture * filters + column) /
                              (float)stage->pixels;
        }
    }
    if (!stage->block->pooled) {
        for (int64_t y = 0; y < side; y++)
            for (int64_t x = 0; x < side; x++)
                UNROLL for (int part = 0; part < PARTS; part++)
                    put(&way, part, y, x, load(way.sums + (y * side + x) * PANEL + part * LANES),
                        load(grads + (y * side + x) * filters + part * LANES));
        return;
    }
    for (int64_t y = 0; y < stage->pool_side; y++) {
        for (int64_t x = 0; x < stage->pool_side; x++) {
            put_window(&way, y, x, peaks, grads);
            peaks += filters;
            grads += filters;
        }
        for (int64_t x = 2 * stage->pool_side; x < side; x++) {
            put_rest(&way, 2 * y, x);
            put_rest(&way, 2 * y + 1, x);
        }
    }
    for (int64_t y = 2 * stage->pool_side; y < side; y++)
        for (int64_t x = 0; x < side; x++) put_rest(&way, y, x);
}

#endif
