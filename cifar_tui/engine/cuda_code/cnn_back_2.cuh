// From the first dense layer back to the output of the second convolution; the filters of the third.

#pragma once

#define ROOM (88 * 32 * 4)  // numbers in shared memory, for kernels whose blocks have one of two roles

// ---- the third ----

// A block owns a channel, so 16 of the features that the first dense layer sees, and norms it alone.
extern "C" __global__ void __launch_bounds__(256) cnn_back_2(Work w, int slot) {
    __shared__ __align__(16) float weights[128][16];
    __shared__ float parts[4][64][17];
    const int channel = blockIdx.x, slice = threadIdx.x / 64, rows = threadIdx.x % 64 / 4 * 4;
    const int place = threadIdx.x % 4 * 4, feature = threadIdx.x % 16 * 64 + channel;
    const float mean = w.scales[2][channel], scale = w.scales[2][64 + channel];
    float all = 0.0f, along = 0.0f, bias = 0.0f;
    for (int first = 0; first < BATCH; first += 64) {
        float sums[4][4] = {};
        for (int start = 0; start < WIDTH; start += 128) {
            const int count = min(128, WIDTH - start);
            __syncthreads();  // of the last numbers
            for (int i = threadIdx.x; i < count * 16; i += 256)  // i % 16 is that of the thread
                weights[i / 16][i % 16] = w.dense[0].weight.value[(start + i / 16) * FEATURES + feature];
            __syncthreads();
#pragma unroll 4
            for (int k = 4 * slice; k < count; k += 16) {
                float4 b[4];
#pragma unroll
                for (int j = 0; j < 4; j++) b[j] = load4(&weights[k + j][place]);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int row = min(first + rows + i, BATCH - 1);
                    float some[4];
                    load4(w.dense_slopes + row * WIDTH + start + k, some);
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        sums[i][0] += some[j] * b[j].x;
                        sums[i][1] += some[j] * b[j].y;
                        sums[i][2] += some[j] * b[j].z;
                        sums[i][3] += some[j] * b[j].w;
                    }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) parts[slice][rows + i][place + j] = sums[i][j];
        __syncthreads();
#pragma unroll 4
        for (int row = threadIdx.x / 16; row < min(64, BATCH - first); row += 16) {
            const int at = (first + row) * FEATURES + feature;
            float d = 0.0f;
#pragma unroll
            for (int i = 0; i < 4; i++) d += parts[i][row][threadIdx.x % 16];
            if (__ldg(w.active[2] + at) <= 0.0f) d = 0.0f;
            w.slopes[2][at] = d;
            all += d;
            along += d * (__ldg(w.y[2] + at) - mean) * scale;
        }
    }
    all = block_sum(all);
    along = block_sum(along);
    const float multiple = scale * w.conv_norms[2].gain.value[channel];
#pragma unroll 4
    for (int row = threadIdx.x / 16; row < BATCH; row += 16) {
        const int at = row * FEATURES + feature;
        const float normed = (__ldg(w.y[2] + at) - mean) * scale;
        const float d = multiple * (w.slopes[2][at] - all / (16 * BATCH) - normed * (along / (16 * BATCH)));
        w.slopes[2][at] = d;
        bias += d;
    }
    bias = block_sum(bias);
    if (threadIdx.x == 0) {
        w.bias_slopes[channel] = bias;
        w.norm_slopes[2][channel] = all;
        w.norm_slopes[2][64 + channel] = along;
    }
}

// A picture and 16 inputs: a thread has a row of 4 outputs' pixels, 4 inputs, all taps, 4 of the 64 outputs.
__device__ __forceinline__ void slopes_of_pooled(const Work &w, int block, float *shared) {
    __shared__ float halves[2][8][16];
    const int picture = block / 4, inputs = block % 4 * 16;
    const int slice = threadIdx.x / 16, y = threadIdx.x / 4 % 4, input = threadIdx.x % 4 * 4;
    const float *slopes = w.slopes[2] + (picture * 16 + y * 4) * 64 + 4 * slice;
    const float *filters = w.convs[2].weight.value + 4 * slice * 576 + inputs + input;
    float a[4][4], sums[3][6][4] = {};
#pragma unroll
    for (int x = 0; x < 4; x++) load4(slopes + x * 64, a[x]);
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int dy = 0; dy < 3; dy++)
#pragma unroll
            for (int dx = 0; dx < 3; dx++) {
                const float4 f = load4(filters + j * 576 + (dy * 3 + dx) * 64);
#pragma unroll
                for (int x = 0; x < 4; x++) {
                    sums[dy][x + dx][0] += a[x][j] * f.x;
                    sums[dy][x + dx][1] += a[x][j] * f.y;
                    sums[dy][x + dx][2] += a[x][j] * f.z;
                    sums[dy][x + dx][3] += a[x][j] * f.w;
                }
            }
#pragma unroll
    for (int dy = 0; dy < 3; dy++)
#pragma unroll
        for (int x = 0; x < 6; x++) {
#pragma unroll
            for (int j = 0; j < 4; j++) sums[dy][x][j] += __shfl_xor_sync(EVERYONE, sums[dy][x][j], 16);
            if (slice % 2) continue;
            store4(shared + slice / 2 * 1152 + ((y * 3 + dy) * 6 + x) * 16 + input, sums[dy][x]);
        }
    const int channel = inputs + threadIdx.x % 16;
    const float mean = w.scales[1][channel], scale = w.scales[1][64 + channel];
    float all = 0.0f, along = 0.0f, active[3], maximum[3];
#pragma unroll
    for (int i = 0; i < 3; i++) {  // read before the wait
        const int pixel = min(threadIdx.x / 16 + 16 * i, 35), at = (picture * 36 + pixel) * 64 + channel;
        const int place = w.places[1][at], y = pixel / 6 * 2 + place / 2, x = pixel % 6 * 2 + place % 2;
        active[i] = w.active[1][at];
        maximum[i] = w.y[1][((picture * 13 + y) * 13 + x) * 64 + channel];
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < 3; n++) {
        const int pixel = threadIdx.x / 16 + 16 * n, top = pixel / 6, left = pixel % 6;
        float d = 0.0f;
        if (pixel >= 36) continue;
#pragma unroll
        for (int dy = 0; dy < 3; dy++)
            if (top - dy >= 0 && top - dy < 4)
#pragma unroll
                for (int i = 0; i < 8; i++)
                    d += shared[i * 1152 + (((top - dy) * 3 + dy) * 6 + left) * 16 + threadIdx.x % 16];
        if (active[n] <= 0.0f) d = 0.0f;
        w.pooled_slopes[1][(picture * 36 + pixel) * 64 + channel] = d;
        all += d;
        along += d * (maximum[n] - mean) * scale;
    }
    all += __shfl_xor_sync(EVERYONE, all, 16);
    along += __shfl_xor_sync(EVERYONE, along, 16);
    if (threadIdx.x % 32 < 16) {
        halves[0][threadIdx.x / 32][threadIdx.x % 32] = all;
        halves[1][threadIdx.x / 32][threadIdx.x % 32] = along;
    }
    __syncthreads();
    if (threadIdx.x >= 32) return;
    float sum = 0.0f;
    for (int i = 0; i < 8; i++) sum += halves[threadIdx.x / 16][i][threadIdx.x % 16];
    w.sums[1][(2 * picture + threadIdx.x / 16) * 64 + channel] = sum;
}

// One tap of the filters by SPLIT_2 pictures, 5 at a time: a thread has 8 x 8 filters and 4 pixels of each.
__device__ __forceinline__ void filters_2(const Work &w, int block, float *shared) {
    const int tap = block % 9, split = block / 9, end = min((split + 1) * SPLIT_2, BATCH);
    const int slice = threadIdx.x / 64, output = threadIdx.x % 64 / 8 * 4, input = threadIdx.x % 8 * 4;
    float *const inputs = shared + 5 * 1024;
    float sums[8][8] = {};
    for (int first = split * SPLIT_2; first < end; first += 5) {
        const int count = min(5, end - first);
        if (first > split * SPLIT_2) __syncthreads();  // of the last pictures
        const int pixel = threadIdx.x / 16, seen = (pixel / 4 + tap / 3) * 6 + pixel % 4 + tap % 3;
#pragma unroll
        for (int i = 0; i < 5; i++)
            if (i < count) {
                *(float4 *)(shared + i * 1024 + 4 * threadIdx.x) =
                    load4(w.slopes[2] + (first + i) * 1024 + 4 * threadIdx.x);
                *(float4 *)(inputs + i * 1024 + 4 * threadIdx.x) =
                    load4(w.active[1] + ((first + i) * 36 + seen) * 64 + threadIdx.x % 16 * 4);
            }
        __syncthreads();
        for (int i = 0; i < count; i++)
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int at = i * 1024 + (4 * slice + k) * 64;
                float a[8], b[8];
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    load4(shared + at + output + 32 * half, a + 4 * half);
                    load4(inputs + at + input + 32 * half, b + 4 * half);
                }
#pragma unroll
                for (int n = 0; n < 8; n++)
#pragma unroll
                    for (int m = 0; m < 8; m++) sums[n][m] += a[n] * b[m];
            }
    }
    for (int round = 0; round < 2; round++) {  // slices 2 and 3 to 0 and 1, then these to all
        float *const parts = shared + slice % 2 * 4096 + input;
        __syncthreads();
        if (slice / 2 == 1 - round)
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int m = 0; m < 8; m += 4)
                    store4(parts + (output + n % 4 + n / 4 * 32) * 64 + m / 4 * 32, &sums[n][m]);
        __syncthreads();
        if (round == 0 && slice < 2)
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int m = 0; m < 8; m++)
                    sums[n][m] += parts[(output + n % 4 + n / 4 * 32) * 64 + m / 4 * 32 + m % 4];
    }
    for (int i = threadIdx.x; i < 1024; i += 256) {
        const float4 a = load4(shared + 4 * i), b = load4(shared + 4096 + 4 * i);
        *(float4 *)(w.filter_parts[2] + split * FILTERS_2 + i / 16 * 576 + tap * 64 + i % 16 * 4) =
            make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) cnn_back_conv_2(Work w, int slot) {
    __shared__ __align__(16) float shared[ROOM];
    if (blockIdx.x < 4 * BATCH) slopes_of_pooled(w, blockIdx.x, shared);
    else filters_2(w, blockIdx.x - 4 * BATCH, shared);
}

// ---- the second ----

// What a batch norm makes of slopes at a place of a picture: those of the pool above if this place had its
// maximum, else none. `all` and `along` are sums of slopes, divided by the count.
__device__ __forceinline__ void norm_slopes(
    const Scale &how, const float *y, const float *pooled, const Byte *places, int place, const float *all,
    const float *along, float found[4]
) {
    float v[4], d[4] = {};
    load4(y, v);
    if (pooled) {
        const uchar4 p = *(const uchar4 *)places;
        load4(pooled, d);
        if (p.x != place) d[0] = 0.0f;
        if (p.y != place) d[1] = 0.0f;
        if (p.z != place) d[2] = 0.0f;
        if (p.w != place) d[3] = 0.0f;
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
        found[j] = how.gain[j] * how.scale[j] * (d[j] - all[j] - normed(how, j, v[j]) * along[j]);
}

extern "C" __global__ void __launch_bounds__(512) cnn_back_norm_1(Work w, int slot) {
    __shared__ float sums[2 * 64];
    const int channel = threadIdx.x % 16 * 4;
    sum_rows<2 * 64, 4>(w.sums[1], BATCH, sums, w.norm_slopes[1]);
    const Scale how = scale_of(w.scales[1], w.scales[1] + 64, w.conv_norms[1], channel);
    float all[4], along[4], bias[4] = {};
    for (int j = 0; j < 4; j++) {
        all[j] = sums[channel + j] / PIXELS_1;
        along[j] = sums[64 + channel + j] / PIXELS_1;
    }
    for (int i = blockIdx.x * 512 + threadIdx.x; i < PIXELS_1 * 16; i += WIDE * 512) {
        const int pixel = i / 16, x = pixel % 13, y = pixel / 13 % 13, place = y % 2 * 2 + x % 2;
        const int at = ((pixel / 169 * 6 + y / 2) * 6 + x / 2) * 64 + channel;
        float d[4];
        const float *pooled = x < 12 && y < 12 ? w.pooled_slopes[1] + at : nullptr;
        norm_slopes(how, w.y[1] + 4 * i, pooled, w.places[1] + at, place, all, along, d);
        store4(w.slopes[1] + 4 * i, d);
        for (int j = 0; j < 4; j++) bias[j] += d[j];
    }
    sum_channels<16, 16>(bias);
    if (threadIdx.x < 16) store4(w.bias_parts + blockIdx.x * 64 + channel, bias);
}
