// What the kernels of `cnn` work on, and sums that several of them need.

#pragma once

#include "common.cuh"

#define NORM_EPSILON 1e-3f
#define NORM_MOMENTUM 0.01f

// Grids; cuda_cnn.py computes the same.
#define PARTS_0 5                                           // blocks of a picture in the first convolution,
#define ROWS_0 (30 / PARTS_0)                               // rows of each
#define TILES_0 (PARTS_0 * BATCH)
#define PIXELS_1 (BATCH * 169)                              // of the second convolution's output
#define TILE_1 72
#define TILES_1 ((PIXELS_1 + TILE_1 - 1) / TILE_1)
#define PIXELS_BACK (BATCH * 225)                           // of its input
#define TILE_BACK 88
#define TILES_BACK ((PIXELS_BACK + TILE_BACK - 1) / TILE_BACK)
#define SPLIT_1 (4 * ((13 * BATCH + 175) / 176))            // rows of pixels for a part of a gradient
#define SPLITS_1 ((13 * BATCH + SPLIT_1 - 1) / SPLIT_1)
#define SPLIT_2 (5 * ((BATCH + 49) / 50))                   // pictures, likewise
#define SPLITS_2 ((BATCH + SPLIT_2 - 1) / SPLIT_2)
#define WIDE 132                                            // blocks of what is done to each number by itself
#define FEATURES 1024
#define FILTERS_0 (32 * 27 + 32)                            // numbers, with biases
#define FILTERS_1 (64 * 288)
#define FILTERS_2 (64 * 576)

struct Layer {
    Parameter weight, bias;
};

struct Norm {
    Parameter gain, offset;
    float *mean, *variance;  // running
};

struct Work {
    const Byte *images;
    const Integer *labels, *numbers;
    const float *rates, *noise;  // noise: null without dropout
    float *losses;
    Integer *hits;
    float *const *steps;      // Adam's count of each parameter
    Integer *const *batches;  // those of each batch norm
    Integer parameters, counters, noise_numbers;  // noise_numbers: of a slot
    Layer convs[3];
    Norm conv_norms[3];
    Layer dense[LAYERS + 1];
    Norm norms[LAYERS];
    Move *move;
    float *y[3];              // outputs of convolutions
    float *active[3];         // after norm, pool and relu
    Byte *places[2];          // which of the four was the maximum
    float *moments[3];        // (tiles, 2, channels): mean, and sum of squared deviations
    float *scales[3];         // (2, channels): mean and one over the deviation
    float *pooled_slopes[2];  // gradients at the maxima
    float *sums[2];           // (tiles, 2, channels): of these, and of these times the normed numbers
    float *slopes[3];         // gradients at outputs of convolutions; none of the first
    float *norm_slopes[3];    // (2, channels): of offsets and gains
    float *filter_parts[3];   // (parts, filters)
    float *bias_parts;        // (WIDE, 64): of the second convolution
    float *bias_slopes;       // (64,): of the third
    float *z;                 // (LAYERS, WIDTH, BATCH), before relu
    float *normed;            // (LAYERS, WIDTH, BATCH), before gain and offset
    float *deviations;        // (LAYERS, WIDTH): one over them
    float *inputs;            // (LAYERS, BATCH, WIDTH), of the dense layers after the first
    float *carried;           // (WIDTH, BATCH): gradient along the residual connections
    float *products;          // (WIDTH, BATCH)
    float *dense_slopes;      // (LAYERS, BATCH, WIDTH), at the outputs of dense layers
    float *last_slopes;       // (BATCH, CLASSES)
    float *vector_slopes;     // (LAYERS, 3, WIDTH): of biases, gains and offsets
    float *row_losses;        // (BATCH,)
    int *row_hits;            // (BATCH,)
    float *penalties;         // of each block
    int *counter;
    Integer layer;            // which dense layer a launch is for
};

__device__ __forceinline__ float relu(float x) { return x <= 0.0f ? 0.0f : x; }

__device__ __forceinline__ void add_product(float &sum, float4 a, float4 b) {
    sum += a.x * b.x;
    sum += a.y * b.y;
    sum += a.z * b.z;
    sum += a.w * b.w;
}

__device__ __forceinline__ float4 load4(const float *from) { return *(const float4 *)from; }
__device__ __forceinline__ void load4(const float *from, float v[4]) {
    const float4 found = load4(from);
    v[0] = found.x, v[1] = found.y, v[2] = found.z, v[3] = found.w;
}
__device__ __forceinline__ void store4(float *to, const float v[4]) {
    *(float4 *)to = make_float4(v[0], v[1], v[2], v[3]);
}

// The sums of four channels of each thread, over all threads with the same place modulo QUADS.
template <int QUADS, int WARPS>
__device__ void sum_channels(float v[4]) {
    __shared__ __align__(16) float parts[WARPS][4 * QUADS];
#pragma unroll
    for (int by = 16; by >= QUADS; by /= 2)
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] += __shfl_xor_sync(EVERYONE, v[j], by);
    __syncthreads();  // of the last call
    if (threadIdx.x % 32 < QUADS) store4(&parts[threadIdx.x / 32][4 * (threadIdx.x % 32)], v);
    __syncthreads();
    for (int j = 0; j < 4; j++) v[j] = 0.0f;
#pragma unroll
    for (int i = 0; i < WARPS; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] += parts[i][4 * (threadIdx.x % QUADS) + j];
}

// Mean and one over the deviation of each channel, into `found`, from the moments of tiles that have `each`
// numbers of a channel, or less in the last; the first block tells the norm, and whoever reads `scales`.
template <int CHANNELS, int THREADS>
__device__ void put_together(
    const float *moments, int tiles, int each, int total, float (*found)[CHANNELS], Norm norm, float *scales
) {
    constexpr int GROUPS = THREADS / CHANNELS;
    __shared__ float parts[2][GROUPS][CHANNELS];
    const int channel = threadIdx.x % CHANNELS, group = threadIdx.x / CHANNELS;
    float sum = 0.0f, mean = 0.0f, squares = 0.0f;
#pragma unroll 8
    for (int i = group; i < tiles; i += GROUPS) {
        sum += (float)min(each, total - i * each) * moments[2 * i * CHANNELS + channel];
        squares += moments[(2 * i + 1) * CHANNELS + channel];
    }
    parts[0][group][channel] = sum;
    __syncthreads();
    for (int i = 0; i < GROUPS; i++) mean += parts[0][i][channel];
    mean /= total;
#pragma unroll 8
    for (int i = group; i < tiles; i += GROUPS) {
        const float far = moments[2 * i * CHANNELS + channel] - mean;
        squares += (float)min(each, total - i * each) * far * far;
    }
    parts[1][group][channel] = squares;
    __syncthreads();
    if (group == 0) {
        squares = 0.0f;
        for (int i = 0; i < GROUPS; i++) squares += parts[1][i][channel];
        const float scale = 1.0f / sqrtf(squares / total + NORM_EPSILON);
        found[0][channel] = mean;
        found[1][channel] = scale;
        if (blockIdx.x == 0) {
            scales[channel] = mean;
            scales[CHANNELS + channel] = scale;
            norm.mean[channel] += NORM_MOMENTUM * (mean - norm.mean[channel]);
            norm.variance[channel] += NORM_MOMENTUM * (squares / (total - 1) - norm.variance[channel]);
        }
    }
    __syncthreads();
}

// Sums of the columns of (rows, COLUMNS), into `found`; the first block also stores them.
template <int COLUMNS, int GROUPS>
__device__ void sum_rows(const float *parts, int rows, float *found, float *stored) {
    __shared__ float some[GROUPS][COLUMNS];
    const int column = threadIdx.x % COLUMNS, group = threadIdx.x / COLUMNS;
    if (group < GROUPS) {
        float sum = 0.0f;
#pragma unroll 8
        for (int i = group; i < rows; i += GROUPS) sum += parts[i * COLUMNS + column];
        some[group][column] = sum;
    }
    __syncthreads();
    if (group == 0) {
        float sum = 0.0f;
        for (int i = 0; i < GROUPS; i++) sum += some[i][column];
        found[column] = sum;
        if (blockIdx.x == 0) stored[column] = sum;
    }
    __syncthreads();
}

// Four channels of a batch norm, for one thread.
struct Scale {
    float mean[4], scale[4], gain[4], offset[4];
};

__device__ __forceinline__ float normed(const Scale &how, int j, float y) {
    return (y - how.mean[j]) * how.scale[j];
}

__device__ __forceinline__ float apply(const Scale &how, int j, float y) {
    return normed(how, j, y) * how.gain[j] + how.offset[j];
}

__device__ __forceinline__ Scale scale_of(
    const float *means, const float *scales, const Norm &norm, int channel
) {
    Scale found;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        found.mean[j] = means[channel + j];
        found.scale[j] = scales[channel + j];
        found.gain[j] = norm.gain.value[channel + j];
        found.offset[j] = norm.offset.value[channel + j];
    }
    return found;
}
