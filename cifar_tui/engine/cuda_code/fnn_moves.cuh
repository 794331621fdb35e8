// Gradients of weights, and the step of the optimizer; see fnn.cu.

#pragma once

#include "fnn_rows.cuh"

// 32 inputs of a dense layer, all its outputs; returns the sum of the squares of this thread's weights.
__device__ float move_weights(const Work &w, int slot, int layer, int start, Move how) {
    __shared__ __align__(16) float slopes[CHUNK][WIDTH];
    __shared__ __align__(16) float inputs[CHUNK][CHUNK + 4];
    const int output = threadIdx.x / (CHUNK / 4) * 4, input = threadIdx.x % (CHUNK / 4) * 4;
    float sums[4][4] = {}, bias = 0.0f;
    for (int first = 0; first < BATCH; first += CHUNK) {
        const int rows = BATCH - first < CHUNK ? BATCH - first : CHUNK;
        __syncthreads();  // of the last rows
        for (int i = threadIdx.x; i < rows * WIDTH / 4; i += THREADS)
            ((float4 *)slopes)[i] = ((const float4 *)(w.slopes + (layer * BATCH + first) * WIDTH))[i];
        for (int i = threadIdx.x; i < rows * CHUNK / 4; i += THREADS) {
            const int row = i / (CHUNK / 4), quad = i % (CHUNK / 4), picture = first + row;
            float4 x;
            if (layer) {
                x = *(const float4 *)(w.inputs + ((layer - 1) * BATCH + picture) * WIDTH + start + 4 * quad);
            } else {
                const Integer number = w.numbers[slot * BATCH + picture];
                x = as_floats(*(const uchar4 *)(w.images + number * INPUTS + start + 4 * quad));
            }
            *(float4 *)&inputs[row][4 * quad] = x;
        }
        __syncthreads();
        for (int row = 0; row < rows; row++) {
            const float4 dy = *(const float4 *)&slopes[row][output], x = *(const float4 *)&inputs[row][input];
            const float a[4] = {dy.x, dy.y, dy.z, dy.w}, b[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sums[i][j] += a[i] * b[j];
        }
        if (start == 0 && threadIdx.x < WIDTH)
            for (int row = 0; row < rows; row++) bias += slopes[row][threadIdx.x];
    }
    const int row = layer ? WIDTH : INPUTS;
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int at = (output + i) * row + start + input;
        const float4 before = move4(w.dense[layer].weight, at, sums[i], true, how);
        squares += before.x * before.x + before.y * before.y + before.z * before.z + before.w * before.w;
    }
    if (start == 0 && threadIdx.x < WIDTH) move(w.dense[layer].bias, threadIdx.x, bias, false, how);
    return squares;
}

// One class of the last layer.
__device__ float move_class(const Work &w, int class_, Move how) {
    const float *inputs = w.inputs + (LAYERS - 1) * BATCH * WIDTH;
    const int input = threadIdx.x;
    float sum = 0.0f;
    if (input > WIDTH) return 0.0f;
#pragma unroll 10
    for (int row = 0; row < BATCH; row++) {
        const float slope = w.last_slopes[row * CLASSES + class_];
        sum += input < WIDTH ? slope * inputs[row * WIDTH + input] : slope;
    }
    if (input == WIDTH) {
        move(w.dense[LAYERS].bias, class_, sum, false, how);
        return 0.0f;
    }
    const float before = move(w.dense[LAYERS].weight, class_ * WIDTH + input, sum, true, how);
    return before * before;
}

__device__ float move_norms(const Work &w, Move how) {
    float squares = 0.0f;
    for (int i = threadIdx.x / 32; i < 2 * LAYERS; i += WARPS) {
        float sum = 0.0f;
        for (int row = threadIdx.x % 32; row < BATCH; row += 32) sum += w.norm_slopes[i * BATCH + row];
        sum = warp_sum(sum);
        if (threadIdx.x % 32) continue;
        const Norm &norm = w.norms[i / 2];
        const float before = move(i % 2 ? norm.offset : norm.gain, 0, sum, i % 2 == 0, how);
        if (i % 2 == 0) squares += before * before;
    }
    return squares;
}

extern "C" __global__ void __launch_bounds__(THREADS) fnn_weights(Work w, int slot) {
    const int block = blockIdx.x, hidden = (LAYERS - 1) * HIDDEN_CHUNKS;
    const Move how = *w.move;
    float squares;
    if (block < PIECES) {
        squares = move_weights(w, slot, 0, block * CHUNK, how);
    } else if (block < PIECES + hidden) {
        const int i = block - PIECES;
        squares = move_weights(w, slot, 1 + i / HIDDEN_CHUNKS, i % HIDDEN_CHUNKS * CHUNK, how);
    } else if (block < PIECES + hidden + CLASSES) {
        squares = move_class(w, block - PIECES - hidden, how);
    } else {
        squares = NORMED ? move_norms(w, how) : 0.0f;
        float loss = 0.0f, hits = 0.0f;
        for (int i = threadIdx.x; i < BATCH; i += THREADS) loss += w.row_losses[i], hits += w.row_hits[i];
        loss = block_sum(loss);
        hits = block_sum(hits);
        if (threadIdx.x == 0) {
            w.hits[slot] = (Integer)hits;
            w.losses[slot] = loss / BATCH;
        }
    }
    if (L2 == 0.0) return;
    squares = block_sum(squares);
    if (threadIdx.x == 0) w.penalties[block] = squares;
    if (!is_last_block(w.counter)) return;
    float all = 0.0f;
    for (int i = threadIdx.x; i < (int)gridDim.x; i += THREADS) all += w.penalties[i];
    all = block_sum(all);
    if (threadIdx.x == 0) w.losses[slot] += (float)L2 * all;
}
