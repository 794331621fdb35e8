// The first dense layer; see fnn.cu.

#pragma once

#include "fnn_work.cuh"

__device__ void first_piece(const Work &w, int slot, int piece) {
    __shared__ float weights[CHUNK][WIDTH + 4];
    __shared__ float pictures[TILE_ROWS][CHUNK + 4];
    const int start = piece * CHUNK;
    for (int i = threadIdx.x; i < WIDTH * CHUNK / 4; i += THREADS) {
        const int output = i / (CHUNK / 4), quad = i % (CHUNK / 4);
        const float4 v = *(const float4 *)(w.dense[0].weight.value + output * INPUTS + start + 4 * quad);
        weights[4 * quad][output] = v.x;
        weights[4 * quad + 1][output] = v.y;
        weights[4 * quad + 2][output] = v.z;
        weights[4 * quad + 3][output] = v.w;
    }
    const int outputs = threadIdx.x % (WIDTH / 4) * 4, group = threadIdx.x / (WIDTH / 4);
    for (int first = 0; first < BATCH; first += TILE_ROWS) {
        __syncthreads();  // of the last tile
        for (int i = threadIdx.x; i < TILE_ROWS * CHUNK / 4; i += THREADS) {
            const int row = i / (CHUNK / 4), quad = i % (CHUNK / 4), picture = first + row;
            uchar4 v = {0, 0, 0, 0};
            if (picture < BATCH)
                v = *(const uchar4 *)(w.images + w.numbers[slot * BATCH + picture] * INPUTS + start + 4 * quad);
            *(float4 *)&pictures[row][4 * quad] = as_floats(v);
        }
        __syncthreads();
        float sums[ROWS_EACH][4] = {};
#pragma unroll
        for (int k = 0; k < CHUNK; k += 4) {
            float4 v[4];
#pragma unroll
            for (int j = 0; j < 4; j++) v[j] = *(const float4 *)&weights[k + j][outputs];
#pragma unroll
            for (int row = 0; row < ROWS_EACH; row++) {
                const float4 x = *(const float4 *)&pictures[group * ROWS_EACH + row][k];
                const float numbers[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    sums[row][0] += numbers[j] * v[j].x;
                    sums[row][1] += numbers[j] * v[j].y;
                    sums[row][2] += numbers[j] * v[j].z;
                    sums[row][3] += numbers[j] * v[j].w;
                }
            }
        }
#pragma unroll
        for (int row = 0; row < ROWS_EACH; row++) {
            const int picture = first + group * ROWS_EACH + row;
            if (picture < BATCH)
                *(float4 *)(w.pieces + (piece * BATCH + picture) * WIDTH + outputs) =
                    make_float4(sums[row][0], sums[row][1], sums[row][2], sums[row][3]);
        }
    }
}

__device__ void turn(const Work &w, int block) {
    __shared__ float tile[CHUNK][CHUNK + 1];
    const int layer = block / HIDDEN_CHUNKS, start = block % HIDDEN_CHUNKS * CHUNK;
    const float *from = w.dense[layer + 1].weight.value + start * WIDTH;
    float *to = w.turned + layer * WIDTH * WIDTH + start;
    for (int input = 0; input < WIDTH; input += CHUNK) {
        __syncthreads();  // of the last tile
        for (int i = threadIdx.x; i < CHUNK * CHUNK; i += THREADS)
            tile[i / CHUNK][i % CHUNK] = from[i / CHUNK * WIDTH + input + i % CHUNK];
        __syncthreads();
        for (int i = threadIdx.x; i < CHUNK * CHUNK; i += THREADS)
            to[(input + i / CHUNK) * WIDTH + i % CHUNK] = tile[i % CHUNK][i / CHUNK];
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) fnn_first(Work w, int slot) {
    const int block = blockIdx.x, turns = (LAYERS - 1) * HIDDEN_CHUNKS;
    if (block < PIECES) {
        first_piece(w, slot, block);
    } else if (block < PIECES + turns) {
        turn(w, block - PIECES);
    } else {
        count_step(w.steps, (int)w.parameters, nullptr, 0);
        __syncthreads();
        if (threadIdx.x == 0) *w.move = move_of(w.rates[slot], *w.steps[0]);
    }
}
