// The step of the optimizer, with the sums over the batch that are left, the penalty, and the loss.

#pragma once

#define MOVES_0 (FILTERS_0 / 32)       // blocks of each role
#define MOVES_1 (FILTERS_1 / 256)
#define MOVES_2 (FILTERS_2 / 256)
#define MOVES_FIRST (WIDTH / 32 * (FEATURES / 32))
#define MOVES_HIDDEN (WIDTH / 32 * (WIDTH / 32))
#define MOVES_LAST ((CLASSES * WIDTH + 255) / 256)

__device__ __forceinline__ float square_of(float4 v) { return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; }

// Each of these returns the sum of the squares of the weights that this thread moved.

__device__ float move_filters_0(const Work &w, int block, Move how) {
    __shared__ float parts[8][32];
    const int i = block * 32 + threadIdx.x % 32, group = threadIdx.x / 32;
    float sum = 0.0f;
#pragma unroll 8
    for (int tile = group; tile < TILES_0; tile += 8) sum += w.filter_parts[0][tile * FILTERS_0 + i];
    parts[group][threadIdx.x % 32] = sum;
    __syncthreads();
    if (group) return 0.0f;
    sum = 0.0f;
    for (int j = 0; j < 8; j++) sum += parts[j][threadIdx.x];
    if (i >= 32 * 27) {
        move(w.convs[0].bias, i - 32 * 27, sum, false, how);
        return 0.0f;
    }
    const float before = move(w.convs[0].weight, i, sum, true, how);
    return before * before;
}

__device__ float move_filters(
    const Parameter &filters, const float *parts, int splits, int size, int block, Move how
) {
    __shared__ __align__(16) float some[4][64][4];
    const int i = block * 64 + threadIdx.x % 64, group = threadIdx.x / 64;
    float sum[4] = {};
#pragma unroll 6
    for (int split = group; split < splits; split += 4) {
        const float4 v = load4(parts + split * size + 4 * i);
        sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
    }
    store4(some[group][threadIdx.x % 64], sum);
    __syncthreads();
    if (group) return 0.0f;
    for (int i = 1; i < 4; i++)
        for (int j = 0; j < 4; j++) sum[j] += some[i][threadIdx.x][j];
    return square_of(move4(filters, 4 * i, sum, true, how));
}

// 32 outputs and 32 inputs of a dense layer.
__device__ float move_dense(
    const Parameter &weight, const float *slopes, const float *inputs, int width, int block, Move how
) {
    __shared__ __align__(16) float a[64][32], b[64][32];
    const int outputs = block / (width / 32) * 32, start = block % (width / 32) * 32;
    const int output = threadIdx.x / 8, input = threadIdx.x % 8 * 4;
    float sums[4] = {};
    for (int first = 0; first < BATCH; first += 64) {
        const int rows = min(64, BATCH - first);
        __syncthreads();  // of the last rows
        for (int i = threadIdx.x; i < rows * 8; i += 256) {
            const int row = first + i / 8, quad = i % 8 * 4;
            *(float4 *)&a[i / 8][quad] = load4(slopes + row * WIDTH + outputs + quad);
            *(float4 *)&b[i / 8][quad] = load4(inputs + row * width + start + quad);
        }
        __syncthreads();
#pragma unroll 5
        for (int row = 0; row < rows; row++) {
            const float slope = a[row][output];
            const float4 x = load4(&b[row][input]);
            sums[0] += slope * x.x, sums[1] += slope * x.y, sums[2] += slope * x.z, sums[3] += slope * x.w;
        }
    }
    return square_of(move4(weight, (outputs + output) * width + start + input, sums, true, how));
}

__device__ float move_last(const Work &w, int block, Move how) {
    const int i = block * 256 + threadIdx.x, class_ = i / WIDTH;
    if (class_ >= CLASSES) return 0.0f;
    const float *inputs = w.inputs + (LAYERS - 1) * BATCH * WIDTH + i % WIDTH;
    float sum = 0.0f;
#pragma unroll 10
    for (int row = 0; row < BATCH; row++) sum += w.last_slopes[row * CLASSES + class_] * inputs[row * WIDTH];
    const float before = move(w.dense[LAYERS].weight, i, sum, true, how);
    return before * before;
}

__device__ float move_gain(Parameter gain, int at, float slope, Move how) {
    const float before = move(gain, at, slope, true, how);
    return before * before;
}

// Biases, gains and offsets: the first block has those of convolutions, the next each a dense layer.
__device__ float move_vectors(const Work &w, int block, Move how) {
    __shared__ float parts[4][64];
    float squares = 0.0f;
    if (block == 0) {
        float sum = 0.0f;
#pragma unroll 8
        for (int i = threadIdx.x / 64; i < WIDE; i += 4) sum += w.bias_parts[i * 64 + threadIdx.x % 64];
        parts[threadIdx.x / 64][threadIdx.x % 64] = sum;
        __syncthreads();
        const int layer = threadIdx.x / 64, i = threadIdx.x % 64, channels = layer ? 64 : 32;
        if (layer == 3) {
            move(w.convs[1].bias, i, parts[0][i] + parts[1][i] + parts[2][i] + parts[3][i], false, how);
        } else if (i < channels) {
            squares = move_gain(w.conv_norms[layer].gain, i, w.norm_slopes[layer][channels + i], how);
            move(w.conv_norms[layer].offset, i, w.norm_slopes[layer][i], false, how);
            if (layer == 2) move(w.convs[2].bias, i, w.bias_slopes[i], false, how);
        }
    } else if (block <= LAYERS) {
        const int layer = block - 1;
        const float *slopes = w.vector_slopes + 3 * layer * WIDTH;
        for (int i = threadIdx.x; i < WIDTH; i += 256) {
            move(w.dense[layer].bias, i, slopes[i], false, how);
            squares += move_gain(w.norms[layer].gain, i, slopes[WIDTH + i], how);
            move(w.norms[layer].offset, i, slopes[2 * WIDTH + i], false, how);
        }
    } else {
        for (int i = threadIdx.x; i < CLASSES; i += 256) {
            float sum = 0.0f;
#pragma unroll 10
            for (int row = 0; row < BATCH; row++) sum += w.last_slopes[row * CLASSES + i];
            move(w.dense[LAYERS].bias, i, sum, false, how);
        }
    }
    return squares;
}

__device__ float move_some(const Work &w, int block, Move how) {
    if (block < MOVES_FIRST)
        return move_dense(w.dense[0].weight, w.dense_slopes, w.active[2], FEATURES, block, how);
    block -= MOVES_FIRST;
    if (block < (LAYERS - 1) * MOVES_HIDDEN) {
        const int layer = 1 + block / MOVES_HIDDEN, before = (layer - 1) * BATCH * WIDTH;
        return move_dense(
            w.dense[layer].weight, w.dense_slopes + layer * BATCH * WIDTH, w.inputs + before, WIDTH,
            block % MOVES_HIDDEN, how
        );
    }
    block -= (LAYERS - 1) * MOVES_HIDDEN;
    if (block < MOVES_1)
        return move_filters(w.convs[1].weight, w.filter_parts[1], SPLITS_1, FILTERS_1, block, how);
    block -= MOVES_1;
    if (block < MOVES_0) return move_filters_0(w, block, how);
    block -= MOVES_0;
    if (block < MOVES_LAST) return move_last(w, block, how);
    block -= MOVES_LAST;
    if (block < LAYERS + 2) return move_vectors(w, block, how);
    block -= LAYERS + 2;
    return move_filters(w.convs[2].weight, w.filter_parts[2], SPLITS_2, FILTERS_2, block, how);
}

extern "C" __global__ void __launch_bounds__(256) cnn_moves(Work w, int slot) {
    float squares = move_some(w, blockIdx.x, *w.move), all = 0.0f, loss = 0.0f, hits = 0.0f;
    if (L2 != 0.0) {
        squares = block_sum(squares);
        if (threadIdx.x == 0) w.penalties[blockIdx.x] = squares;
        if (!is_last_block(w.counter)) return;
        for (int i = threadIdx.x; i < (int)gridDim.x; i += 256) all += w.penalties[i];
        all = block_sum(all);
    } else if (blockIdx.x) {
        return;
    }
    for (int i = threadIdx.x; i < BATCH; i += 256) loss += w.row_losses[i], hits += w.row_hits[i];
    loss = block_sum(loss);
    hits = block_sum(hits);
    if (threadIdx.x) return;
    w.hits[slot] = (Integer)hits;
    w.losses[slot] = loss / BATCH + (float)L2 * all;
}
