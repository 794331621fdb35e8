/* The dense residual stack after the blocks, some rows of the batch at a time: dense layers, norms, ReLU and
   dropout, the loss, and all of it backward. */
#ifndef CIFAR_TUI_STACK_H
#define CIFAR_TUI_STACK_H

#include "blocks.h"

/* The rows of a group, of all that the groups share. */
INLINE int64_t first_row(const Run *run, const Mine *mine, int64_t group) {
    return run->work->batch * group / mine->groups;
}

/* Place of the turned weight of a dense layer; they lie one after the other. */
INLINE float *turned_dense(const Run *run, int64_t layer) {
    const Work *work = run->work;
    if (layer == 0) return run->turned;
    return run->turned + work->width * work->feature_stride + (layer - 1) * work->width * work->stride;
}

/* What dropout multiplies the input of a layer after the first with; null where nothing is dropped. */
INLINE const float *noise_of(const Run *run, const Mine *mine, int64_t layer, int64_t row) {
    const Work *work = run->work;
    if (!mine->noise || layer == work->layers) return 0;
    return mine->noise + ((layer - 1) * work->batch + row) * work->width;
}

/* Mean and spread of each column of a dense layer, for batch norm; one thread keeps the running averages. */
static inline void settle_dense(Run *run, Mine *mine, int64_t layer) {
    const Work *work = run->work;
    const float *rows = run->normals + layer * work->batch * work->stride;
    float count = (float)work->batch;
    for (int64_t column = 0; column < work->width; column += LANES) {
        vec mean = splat(0.0f), squares = splat(0.0f);
        for (int64_t row = 0; row < work->batch; row++) mean += load(rows + row * work->stride + column);
        mean /= count;
        for (int64_t row = 0; row < work->batch; row++) {
            vec apart = load(rows + row * work->stride + column) - mean;
            squares += apart * apart;
        }
        store(mine->centres + layer * work->stride + column, mean);
        store(mine->spreads + layer * work->stride + column, 1.0f / root(squares / count + NORM_EPSILON));
        if (mine->number > 0) continue;
        float *means = work->running_means[layer] + column;
        float *variances = work->running_variances[layer] + column;
        for (int64_t lane = 0; lane < LANES && column + lane < work->width; lane++) {
            means[lane] = means[lane] * (1.0f - MOMENTUM) + mean[lane] * MOMENTUM;
            variances[lane] =
                variances[lane] * (1.0f - MOMENTUM) + squares[lane] / (count - 1.0f) * MOMENTUM;
        }
    }
}

/* Norm of a row of a dense layer, its sum with what was before, and the input of the next layer. */
static inline void finish_dense(Run *run, const Mine *mine, int64_t layer, int64_t row) {
    const Work *work = run->work;
    int64_t stride = work->stride, place = layer * work->batch + row;
    float *normal = run->normals + place * stride, *hidden = run->hidden + row * stride;
    float *active = run->actives + place * stride;
    const float *noise = noise_of(run, mine, layer + 1, row);
    const float *centre = mine->centres + layer * stride, *spread = mine->spreads + layer * stride;
    if (work->norm == LAYER_NORM) run->spreads[place] = normalise(normal, work->width);
    for (int64_t column = 0; column < work->width; column += LANES) {
        vec value = load(normal + column);
        if (work->norm == BATCH_NORM)
            value = (value - load(centre + column)) * load(spread + column) *
                        load(at(run, work->gains[layer]) + column) +
                    load(at(run, work->offsets[layer]) + column);
        if (work->norm == LAYER_NORM)
            value = value * *at(run, work->gains[layer]) + *at(run, work->offsets[layer]);
        if (layer > 0) value += load(hidden + column);
        store(hidden + column, value);
        value = relu(value);
        store(active + column, noise ? value * load(noise + column) : value);
    }
}

static void forward_dense(Run *run, Mine *mine, int64_t group, int64_t layer) {
    const Work *work = run->work;
    int64_t first = first_row(run, mine, group), count = first_row(run, mine, group + 1) - first;
    const float *weight = at(run, work->weights[layer]), *bias = at(run, work->biases[layer]);
    float *out = run->normals + (layer * work->batch + first) * work->stride;
    for (int64_t row = first; row < first + count; row++)
        if (layer == 0)
            finish_block(run, mine, BLOCKS - 1, row);
        else
            finish_dense(run, mine, layer - 1, row);
    if (layer == 0)
        product(count, work->features, work->width, run->rows + first * work->feature_stride,
                work->feature_stride, weight, work->stride, bias, out, work->stride);
    else
        product(count, work->width, work->width,
                run->actives + ((layer - 1) * work->batch + first) * work->stride, work->stride, weight,
                work->stride, bias, out, work->stride);
}

/* Adds what came through a layer to the gradient of the sum before it, where the ReLU let it pass. */
static inline void through_relu(Run *run, const Mine *mine, int64_t layer, int64_t row) {
    const Work *work = run->work;
    int64_t stride = work->stride, place = layer * work->batch + row;
    const float *noise = noise_of(run, mine, layer + 1, row), *active = run->actives + place * stride;
    for (int64_t column = 0; column < work->width; column += LANES) {
        vec grad = load(run->through + row * stride + column);
        if (noise) grad *= load(noise + column);
        grad = pick(load(active + column) <= 0.0f, splat(0.0f), grad);
        if (layer < work->layers - 1)
            grad += load(run->of_hidden + (place + work->batch) * stride + column);
        if (column + LANES > work->width) grad = pick(within(work->width, column), grad, splat(0.0f));
        store(run->of_hidden + place * stride + column, grad);
    }
}

/* Logits, the loss, and its gradient down to the last sum. */
static void turn_back(Run *run, Mine *mine, int64_t group, int64_t layer) {
    const Work *work = run->work;
    int64_t first = first_row(run, mine, group), count = first_row(run, mine, group + 1) - first;
    int64_t stride = work->stride;
    for (int64_t row = first; row < first + count; row++) finish_dense(run, mine, layer - 1, row);
    product(count, work->width, work->classes, run->actives + ((layer - 1) * work->batch + first) * stride,
            stride, at(run, work->weights[layer]), work->class_stride, at(run, work->biases[layer]),
            run->logits + first * work->class_stride, work->class_stride);
    for (int64_t row = first; row < first + count; row++)
        run->row_losses[row] =
            cross_entropy(run->logits + row * work->class_stride, work->classes,
                          work->labels[mine->pictures[row]], 1.0f / (float)work->batch,
                          run->of_logits + row * work->class_stride, run->hits + row);
    product(count, work->classes, work->width, run->of_logits + first * work->class_stride,
            work->class_stride, turned_dense(run, layer), stride, 0, run->through + first * stride, stride);
    for (int64_t row = first; row < first + count; row++) through_relu(run, mine, layer - 1, row);
}

/* Sums of the gradients of a dense batch norm's output, and of them times what was normalised. */
static inline void settle_dense_backward(Run *run, Mine *mine, int64_t layer) {
    const Work *work = run->work;
    int64_t stride = work->stride;
    const float *normals = run->normals + layer * work->batch * stride;
    const float *grads = run->of_hidden + layer * work->batch * stride;
    for (int64_t column = 0; column < work->width; column += LANES) {
        vec centre = load(mine->centres + layer * stride + column), slope = splat(0.0f), tilt = splat(0.0f);
        for (int64_t row = 0; row < work->batch; row++) {
            vec grad = load(grads + row * stride + column);
            slope += grad;
            tilt += grad * (load(normals + row * stride + column) - centre);
        }
        store(mine->slopes + layer * stride + column, slope);
        store(mine->tilts + layer * stride + column, tilt * load(mine->spreads + layer * stride + column));
    }
}

/* Gradient of a row of a dense layer's output. */
static inline void norm_backward(Run *run, const Mine *mine, int64_t layer, int64_t row) {
    const Work *work = run->work;
    int64_t stride = work->stride, place = layer * work->batch + row;
    const float *given = run->of_hidden + place * stride, *normal = run->normals + place * stride;
    float *grads = run->grads + place * stride;
    float share = 1.0f / (float)work->batch;
    for (int64_t column = 0; column < work->width; column += LANES) {
        int64_t own = layer * stride + column;
        vec grad = load(given + column);
        if (work->norm == BATCH_NORM) {
            vec spread = load(mine->spreads + own);
            vec apart = (load(normal + column) - load(mine->centres + own)) * spread;
            grad -= (load(mine->slopes + own) + apart * load(mine->tilts + own)) * share;
            grad *= spread * load(at(run, work->gains[layer]) + column);
            if (column + LANES > work->width) grad = pick(within(work->width, column), grad, splat(0.0f));
        }
        store(grads + column, grad);
    }
    if (work->norm == LAYER_NORM)
        normalise_backward(grads, normal, work->width, run->spreads[place], *at(run, work->gains[layer]),
                           run->of_gains + place * PANEL, run->of_offsets + place * PANEL);
}

static void backward_dense(Run *run, Mine *mine, int64_t group, int64_t layer) {
    const Work *work = run->work;
    int64_t first = first_row(run, mine, group), count = first_row(run, mine, group + 1) - first;
    int64_t stride = work->stride, columns = layer == 0 ? work->features : work->width;
    int64_t out_stride = layer == 0 ? work->feature_stride : stride;
    for (int64_t row = first; row < first + count; row++) norm_backward(run, mine, layer, row);
    product(count, work->width, columns, run->grads + (layer * work->batch + first) * stride, stride,
            turned_dense(run, layer), out_stride, 0,
            (layer == 0 ? run->of_rows : run->through) + first * out_stride, out_stride);
    for (int64_t row = first; row < first + count; row++)
        if (layer == 0)
            begin_backward(run, mine, BLOCKS - 1, row);
        else
            through_relu(run, mine, layer - 1, row);
}

#endif
