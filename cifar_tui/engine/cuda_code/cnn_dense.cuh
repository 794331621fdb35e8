// The dense layers, forward and back: a block owns a column of a layer, for all pictures.

#pragma once

#define DENSE_THREADS 512
#define DENSE_WARPS (DENSE_THREADS / 32)

// Products of all rows of x (BATCH, inputs) with one column of a weight, whose numbers are `stride` apart.
__device__ void column_products(
    const float *x, int inputs, const float *weight, int stride, float bias, float *found
) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int first = warp; first < BATCH; first += 4 * DENSE_WARPS) {
        float sums[4] = {};
#pragma unroll 4
        for (int k = lane; k < inputs; k += 32) {
            const float v = weight[k * stride];
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums[i] += v * x[min(first + i * DENSE_WARPS, BATCH - 1) * inputs + k];
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float sum = warp_sum(sums[i]);
            if (lane == 0 && first + i * DENSE_WARPS < BATCH) found[first + i * DENSE_WARPS] = sum + bias;
        }
    }
    __syncthreads();
}

// Batch norm, residual connection, relu and dropout of the column of this block; its products lie in w.z.
__device__ void norm_column(const Work &w, int slot, int layer) {
    const int column = blockIdx.x, at = (layer * WIDTH + column) * BATCH;
    const Norm &norm = w.norms[layer];
    float sum = 0.0f, squares = 0.0f;
    for (int row = threadIdx.x; row < BATCH; row += DENSE_THREADS) sum += w.z[at + row];
    const float mean = block_sum(sum) / BATCH;
    for (int row = threadIdx.x; row < BATCH; row += DENSE_THREADS)
        squares += (w.z[at + row] - mean) * (w.z[at + row] - mean);
    squares = block_sum(squares);
    const float scale = 1.0f / sqrtf(squares / BATCH + NORM_EPSILON);
    const float gain = norm.gain.value[column], offset = norm.offset.value[column];
    for (int row = threadIdx.x; row < BATCH; row += DENSE_THREADS) {
        const float x = (w.z[at + row] - mean) * scale;
        float z = x * gain + offset;
        if (layer) z += w.z[at - WIDTH * BATCH + row];
        w.normed[at + row] = x;
        w.z[at + row] = z;
        z = relu(z);
        if (DROPOUT && layer < LAYERS - 1)
            z *= w.noise[slot * w.noise_numbers + (layer * BATCH + row) * WIDTH + column];
        w.inputs[(layer * BATCH + row) * WIDTH + column] = z;
    }
    if (threadIdx.x == 0) {
        w.deviations[layer * WIDTH + column] = scale;
        norm.mean[column] += NORM_MOMENTUM * (mean - norm.mean[column]);
        norm.variance[column] += NORM_MOMENTUM * (squares / (BATCH - 1) - norm.variance[column]);
    }
}

// Norms the last convolution too: a lane sees four of its channels only.
extern "C" __global__ void __launch_bounds__(DENSE_THREADS) cnn_dense_0(Work w, int slot) {
    __shared__ float scales[2][64];
    const int column = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float4 weights[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        weights[i] = load4(w.dense[0].weight.value + column * FEATURES + 128 * i + 4 * lane);
    put_together<64, DENSE_THREADS>(
        w.moments[2], BATCH, 16, BATCH * 16, scales, w.conv_norms[2], w.scales[2]
    );
    const Scale how = scale_of(scales[0], scales[1], w.conv_norms[2], lane % 16 * 4);
    const float bias = w.dense[0].bias.value[column];
    for (int row = warp; row < BATCH; row += DENSE_WARPS) {
        float4 y[8];
#pragma unroll
        for (int i = 0; i < 8; i++) y[i] = load4(w.y[2] + row * FEATURES + 128 * i + 4 * lane);
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const float4 a = make_float4(
                relu(apply(how, 0, y[i].x)), relu(apply(how, 1, y[i].y)), relu(apply(how, 2, y[i].z)),
                relu(apply(how, 3, y[i].w))
            );
            add_product(sum, a, weights[i]);
            if (row % WIDTH == column) *(float4 *)(w.active[2] + row * FEATURES + 128 * i + 4 * lane) = a;
        }
        sum = warp_sum(sum);
        if (lane == 0) w.z[column * BATCH + row] = sum + bias;
    }
    __syncthreads();
    norm_column(w, slot, 0);
}

extern "C" __global__ void __launch_bounds__(DENSE_THREADS) cnn_dense(Work w, int slot) {
    const int column = blockIdx.x, layer = (int)w.layer;
    column_products(
        w.inputs + (layer - 1) * BATCH * WIDTH, WIDTH, w.dense[layer].weight.value + column * WIDTH, 1,
        w.dense[layer].bias.value[column], w.z + (layer * WIDTH + column) * BATCH
    );
    norm_column(w, slot, layer);
}

// The last layer and the loss of a picture.
extern "C" __global__ void __launch_bounds__(256) cnn_rows(Work w, int slot) {
    __shared__ float logits[CLASSES];
    const int row = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int label = (int)w.labels[w.numbers[slot * BATCH + row]];
    const float *x = w.inputs + ((LAYERS - 1) * BATCH + row) * WIDTH;
    for (int class_ = warp; class_ < CLASSES; class_ += 8) {
        float sum = 0.0f;
#pragma unroll 4
        for (int k = lane; k < WIDTH; k += 32) sum += x[k] * w.dense[LAYERS].weight.value[class_ * WIDTH + k];
        sum = warp_sum(sum);
        if (lane == 0) logits[class_] = sum + w.dense[LAYERS].bias.value[class_];
    }
    __syncthreads();
    const Softmax shares = judge(logits, label, w.row_losses + row, w.row_hits + row);
    for (int i = threadIdx.x; i < CLASSES; i += 256) {
        const float share = expf(logits[i] - shares.most) / shares.sum;
        w.last_slopes[row * CLASSES + i] = (share - (i == label ? 1.0f : 0.0f)) / BATCH;
    }
}

// From the slopes at the outputs of the layer above to those at the outputs of this one.
extern "C" __global__ void __launch_bounds__(DENSE_THREADS) cnn_dense_back(Work w, int slot) {
    const int column = blockIdx.x, layer = (int)w.layer, at = (layer * WIDTH + column) * BATCH;
    const bool last = layer == LAYERS - 1;
    float *const products = w.products + column * BATCH, *const carried = w.carried + column * BATCH;
    float all = 0.0f, along = 0.0f, bias = 0.0f;
    column_products(
        last ? w.last_slopes : w.dense_slopes + (layer + 1) * BATCH * WIDTH, last ? CLASSES : WIDTH,
        w.dense[layer + 1].weight.value + column, WIDTH, 0.0f, products
    );
    for (int row = threadIdx.x; row < BATCH; row += DENSE_THREADS) {
        float d = products[row];
        if (DROPOUT && !last) d *= w.noise[slot * w.noise_numbers + (layer * BATCH + row) * WIDTH + column];
        if (w.z[at + row] <= 0.0f) d = 0.0f;
        if (!last) d += carried[row];
        carried[row] = d;
        all += d;
        along += d * w.normed[at + row];
    }
    all = block_sum(all);
    along = block_sum(along);
    const float scale = w.norms[layer].gain.value[column] * w.deviations[layer * WIDTH + column];
    for (int row = threadIdx.x; row < BATCH; row += DENSE_THREADS) {
        const float d = scale * (carried[row] - all / BATCH - w.normed[at + row] * (along / BATCH));
        w.dense_slopes[(layer * BATCH + row) * WIDTH + column] = d;
        bias += d;
    }
    bias = block_sum(bias);
    if (threadIdx.x == 0) {
        float *const slopes = w.vector_slopes + 3 * layer * WIDTH + column;
        slopes[0] = bias;
        slopes[WIDTH] = along;
        slopes[2 * WIDTH] = all;
    }
}
