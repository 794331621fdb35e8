// All layers but the first, forward and back, for one picture; see fnn.cu.

#pragma once

#include "fnn_work.cuh"

struct Row {
    float at[PER];  // the columns of this lane
};

__device__ __forceinline__ Row load(const float *row) {
    Row found;
    const float *from = row + threadIdx.x % 32 * PER;
    if (PER % 4 == 0) {
#pragma unroll
        for (int i = 0; i < PER; i += 4) *(float4 *)&found.at[i] = *(const float4 *)(from + i);
    } else {
#pragma unroll
        for (int i = 0; i < PER; i++) found.at[i] = from[i];
    }
    return found;
}

__device__ __forceinline__ void store(float *row, const Row &v) {
    float *to = row + threadIdx.x % 32 * PER;
    if (PER % 4 == 0) {
#pragma unroll
        for (int i = 0; i < PER; i += 4) *(float4 *)(to + i) = *(const float4 *)&v.at[i];
    } else {
#pragma unroll
        for (int i = 0; i < PER; i++) to[i] = v.at[i];
    }
}

// The sum over all warps of what each has, in every warp.
__device__ __forceinline__ Row gather(const Row &part, int turn) {
    __shared__ __align__(16) float parts[2][WARPS][WIDTH];  // two, so that one wait is enough
    store(parts[turn % 2][threadIdx.x / 32], part);
    __syncthreads();
    Row sum = load(parts[turn % 2][0]);
#pragma unroll
    for (int i = 1; i < WARPS; i++) {
        const Row other = load(parts[turn % 2][i]);
#pragma unroll
        for (int j = 0; j < PER; j++) sum.at[j] += other.at[j];
    }
    return sum;
}

// Rows of a square weight that this warp multiplies, loaded before they are needed.
struct Held {
    Row rows[ROUNDS];
};

__device__ __forceinline__ void fetch(Held &held, const float *weight) {
    const float *from = weight + threadIdx.x / 32 * ROUNDS * WIDTH;
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) held.rows[i] = load(from + i * WIDTH);
}

__device__ __forceinline__ Row multiply(const Row &x, const Held &held) {
    const int first = threadIdx.x / 32 * ROUNDS;
    Row sum = {};
#pragma unroll
    for (int i = 0; i < ROUNDS; i++) {
        float mine = 0.0f;  // x.at[(first + i) % PER], with a place that the compiler knows
#pragma unroll
        for (int j = 0; j < PER; j++) mine = (first + i) % PER == j ? x.at[j] : mine;
        const float number = __shfl_sync(EVERYONE, mine, (first + i) / PER);
#pragma unroll
        for (int j = 0; j < PER; j++) sum.at[j] += number * held.rows[i].at[j];
    }
    return sum;
}

// Normed numbers before gain and offset, and one over the deviation.
__device__ __forceinline__ float normalise(Row &v) {
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int j = 0; j < PER; j++) sum += v.at[j];
    const float mean = warp_sum(sum) / WIDTH;
#pragma unroll
    for (int j = 0; j < PER; j++) {
        v.at[j] -= mean;
        squares += v.at[j] * v.at[j];
    }
    const float scale = rsqrtf(warp_sum(squares) / WIDTH + 1e-3f);
#pragma unroll
    for (int j = 0; j < PER; j++) v.at[j] *= scale;
    return scale;
}

extern "C" __global__ void __launch_bounds__(THREADS) fnn_rows(Work w, int slot) {
    __shared__ __align__(16) float active[LAYERS][WIDTH];  // sigmoids
    __shared__ __align__(16) float normed[NORMED ? LAYERS : 1][WIDTH];
    __shared__ float scales[LAYERS], logits[CLASSES];
    const int row = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int label = (int)w.labels[w.numbers[slot * BATCH + row]];
    int turns = 0;
    Held held;
    Row h = {};

    if (LAYERS > 1) fetch(held, w.turned);
    Row y = {};
    for (int i = warp; i < PIECES; i += WARPS) {
        const Row piece = load(w.pieces + (i * BATCH + row) * WIDTH);
#pragma unroll
        for (int j = 0; j < PER; j++) y.at[j] += piece.at[j];
    }
    for (int layer = 0; layer < LAYERS; layer++) {
        const Row bias = load(w.dense[layer].bias.value);
        float gain = 1.0f, offset = 0.0f;
        if (NORMED) gain = *w.norms[layer].gain.value, offset = *w.norms[layer].offset.value;
        y = gather(y, turns++);
#pragma unroll
        for (int j = 0; j < PER; j++) y.at[j] += bias.at[j];
        if (NORMED) {
            const float scale = normalise(y);
            if (warp == 0) {
                store(normed[layer], y);
                if (lane == 0) scales[layer] = scale;
            }
        }
        Row s;
#pragma unroll
        for (int j = 0; j < PER; j++) {
            h.at[j] += y.at[j] * gain + offset;
            s.at[j] = 1.0f / (1.0f + expf(-h.at[j]));
        }
        if (warp == 0) {
            store(active[layer], s);
            store(w.inputs + (layer * BATCH + row) * WIDTH, s);
        }
        if (layer < LAYERS - 1) {
            y = multiply(s, held);
            if (layer < LAYERS - 2) fetch(held, w.turned + (layer + 1) * WIDTH * WIDTH);
            else fetch(held, w.dense[LAYERS - 1].weight.value);  // the first that the way back needs
        } else {
            y = s;
        }
    }

    for (int class_ = warp; class_ < CLASSES; class_ += WARPS) {
        const Row weight = load(w.dense[LAYERS].weight.value + class_ * WIDTH);
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < PER; j++) sum += y.at[j] * weight.at[j];
        sum = warp_sum(sum);
        if (lane == 0) logits[class_] = sum + w.dense[LAYERS].bias.value[class_];
    }
    __syncthreads();
    const Softmax shares = judge(logits, label, w.row_losses + row, w.row_hits + row);
    Row back = {};
    for (int i = 0; i < CLASS_ROUNDS; i++) {
        const int class_ = warp * CLASS_ROUNDS + i;
        if (class_ < CLASSES) {
            const float share = expf(logits[class_] - shares.most) / shares.sum;
            const float slope = (share - (class_ == label ? 1.0f : 0.0f)) / BATCH;
            const Row weight = load(w.dense[LAYERS].weight.value + class_ * WIDTH);
            if (lane == 0) w.last_slopes[row * CLASSES + class_] = slope;
#pragma unroll
            for (int j = 0; j < PER; j++) back.at[j] += slope * weight.at[j];
        }
    }
    Row slope = {};
    for (int layer = LAYERS - 1; layer >= 0; layer--) {
        const Row s = load(active[layer]);
        back = gather(back, turns++);
#pragma unroll
        for (int j = 0; j < PER; j++) slope.at[j] += back.at[j] * s.at[j] * (1.0f - s.at[j]);
        Row dy = slope;
        if (NORMED) {
            const Row x = load(normed[layer]);
            const float gain = *w.norms[layer].gain.value, scale = scales[layer];
            float all = 0.0f, along = 0.0f;
#pragma unroll
            for (int j = 0; j < PER; j++) {
                all += slope.at[j];
                along += slope.at[j] * x.at[j];
            }
            all = warp_sum(all);
            along = warp_sum(along);
            if (threadIdx.x == 0) {
                w.norm_slopes[(layer * 2) * BATCH + row] = along;
                w.norm_slopes[(layer * 2 + 1) * BATCH + row] = all;
            }
#pragma unroll
            for (int j = 0; j < PER; j++)
                dy.at[j] = scale * gain * (slope.at[j] - all / WIDTH - x.at[j] * (along / WIDTH));
        }
        if (warp == 0) store(w.slopes + (layer * BATCH + row) * WIDTH, dy);
        if (layer) {
            back = multiply(dy, held);
            if (layer > 1) fetch(held, w.dense[layer - 1].weight.value);
        }
    }
}
