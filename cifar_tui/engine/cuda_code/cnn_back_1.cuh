// From the output of the second convolution back to the pictures; the filters of the first and the second.

#pragma once

// 88 pixels, 32 inputs: a thread has 11 x 8 of them and 4 outputs at a time, its warp's eighth of 32; they
// are done in two halves. In shared memory a picture has a border of two pixels on all sides.
__device__ __forceinline__ void slopes_of_active(const Work &w, int block, float *shared) {
    constexpr int WINDOW = 11 * 17 * 36;  // 88 pixels see at most 11 rows, those of two pictures
    const int first = block * TILE_BACK, last = min(first + TILE_BACK, PIXELS_BACK) - 1;
    const int slice = threadIdx.x / 32, input = threadIdx.x % 4 * 4, row = threadIdx.x % 32 / 4;
    const int top = first / 225 * 17 + first / 15 % 15, bottom = last / 225 * 17 + last / 15 % 15 + 2;
    const float *filters = w.convs[1].weight.value + threadIdx.x / 8 * 288 + threadIdx.x % 8 * 4;
    float *const weights = shared + WINDOW;
    int at[11];
#pragma unroll
    for (int i = 0; i < 11; i++) {
        const int pixel = min(first + row + 8 * i, last);
        at[i] = ((pixel / 225 * 17 + pixel / 15 % 15 - top) * 17 + pixel % 15) * 36 + 4 * slice;
    }
    float sums[11][8] = {};
    float4 ahead[3], window[6];
    const auto fetch_window = [&](int outputs) {
#pragma unroll
        for (int n = 0; n < 6; n++) {
            const int i = threadIdx.x + 256 * n, row = top + i / 8 / 17;
            const int x = i / 8 % 17 - 2, y = row % 17 - 2;
            window[n] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (row <= bottom && x >= 0 && x < 13 && y >= 0 && y < 13)
                window[n] = load4(w.slopes[1] + ((row / 17 * 13 + y) * 13 + x) * 64 + outputs + i % 8 * 4);
        }
    };
    const auto fetch_filters = [&](int step) {
#pragma unroll
        for (int n = 0; n < 3; n++) ahead[n] = load4(filters + step / 3 * 32 * 288 + (step % 3 * 3 + n) * 32);
    };
    fetch_window(0);
    fetch_filters(0);
    for (int step = 0; step < 6; step++) {
        const int dy = step % 3;
        __syncthreads();  // of the last step
        if (dy == 0)
#pragma unroll
            for (int n = 0; n < 6; n++) {
                const int i = threadIdx.x + 256 * n;
                if (i < 11 * 17 * 8) *(float4 *)(shared + i / 8 * 36 + i % 8 * 4) = window[n];
            }
#pragma unroll
        for (int n = 0; n < 3; n++) *(float4 *)(weights + n * 1024 + 4 * threadIdx.x) = ahead[n];
        __syncthreads();
        if (step < 5) fetch_filters(step + 1);
        if (step == 2) fetch_window(32);
#pragma unroll
        for (int dx = 0; dx < 3; dx++) {
            const float *x = shared + ((2 - dy) * 17 + 2 - dx) * 36;
            const float *f = weights + dx * 1024 + slice * 128 + input;
            float b[4][8];
#pragma unroll
            for (int k = 0; k < 4; k++)
#pragma unroll
                for (int half = 0; half < 2; half++) load4(f + k * 32 + 16 * half, b[k] + 4 * half);
#pragma unroll
            for (int i = 0; i < 11; i++) {
                float a[4];
                load4(x + at[i], a);
#pragma unroll
                for (int k = 0; k < 4; k++)
#pragma unroll
                    for (int j = 0; j < 8; j++) sums[i][j] += a[k] * b[k][j];
            }
        }
    }
    const int channel = threadIdx.x % 8 * 4;
    float means[4], scales[4], actives[3][4], maxima[3][4], all[4] = {}, along[4] = {};
    load4(w.scales[0] + channel, means);
    load4(w.scales[0] + 32 + channel, scales);
#pragma unroll
    for (int n = 0; n < 3; n++) {  // read before it is needed
        const int pixel = min(first + (int)threadIdx.x / 8 + 32 * n, last);
        const uchar4 p = *(const uchar4 *)(w.places[0] + pixel * 32 + channel);
        const int places[4] = {p.x, p.y, p.z, p.w};
        const int corner = (pixel / 225 * 30 + pixel / 15 % 15 * 2) * 30 + pixel % 15 * 2;
        load4(w.active[0] + pixel * 32 + channel, actives[n]);
#pragma unroll
        for (int j = 0; j < 4; j++)
            maxima[n][j] = w.y[0][(corner + places[j] / 2 * 30 + places[j] % 2) * 32 + channel + j];
    }
    for (int round = 0; round < 2; round++) {  // slices 4 to 7 to 0 to 3, then these to all
        float *const parts = shared + slice % 4 * TILE_BACK * 32 + row * 32 + input;
        __syncthreads();
        if (slice / 4 == 1 - round)
#pragma unroll
            for (int i = 0; i < 11; i++)
#pragma unroll
                for (int j = 0; j < 8; j += 4) store4(parts + 8 * i * 32 + 4 * j, &sums[i][j]);
        __syncthreads();
        if (round == 0 && slice < 4)
#pragma unroll
            for (int i = 0; i < 11; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sums[i][j] += parts[8 * i * 32 + j / 4 * 16 + j % 4];
    }
#pragma unroll
    for (int n = 0; n < 3; n++) {
        const int i = threadIdx.x / 8 + 32 * n;
        float d[4];
        if (first + i > last || i >= TILE_BACK) continue;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float *part = shared + i * 32 + channel + j;
            d[j] = part[0] + part[TILE_BACK * 32] + part[2 * TILE_BACK * 32] + part[3 * TILE_BACK * 32];
            if (actives[n][j] <= 0.0f) d[j] = 0.0f;
            all[j] += d[j];
            along[j] += d[j] * (maxima[n][j] - means[j]) * scales[j];
        }
        store4(w.pooled_slopes[0] + (first + i) * 32 + channel, d);
    }
    sum_channels<8, 8>(all);
    sum_channels<8, 8>(along);
    if (threadIdx.x < 8) {
        store4(w.sums[0] + 2 * block * 32 + channel, all);
        store4(w.sums[0] + (2 * block + 1) * 32 + channel, along);
    }
}

// A row of taps of the filters by SPLIT_1 rows of pixels, 4 at a time: a thread has 8 outputs x 3 taps x 4
// inputs and one of the rows, along which an input serves its three taps in turn.
__device__ __forceinline__ void filters_1(const Work &w, int block, float *shared) {
    constexpr int SLOPES = 13 * 64, INPUT = 15 * 32;
    const int dy = block % 3, split = block / 3;
    const int start = split * SPLIT_1, end = min(start + SPLIT_1, 13 * BATCH);
    const int slice = threadIdx.x / 64, output = threadIdx.x % 64 / 8 * 4, input = threadIdx.x % 8 * 4;
    float *const inputs = shared + 4 * SLOPES;
    float sums[8][3][4] = {};
    float4 ahead[6];
    const auto fetch = [&](int first) {
#pragma unroll
        for (int n = 0; n < 6; n++) {
            const int i = threadIdx.x + 256 * (n < 4 ? n : n - 4);
            const int row = first + i / (n < 4 ? SLOPES / 4 : INPUT / 4);
            ahead[n] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (row >= end) continue;
            if (n < 4) ahead[n] = load4(w.slopes[1] + first * SLOPES + 4 * i);
            else ahead[n] = load4(w.active[0] + (row / 13 * 15 + row % 13 + dy) * INPUT + 4 * i % INPUT);
        }
    };
    fetch(start);
    for (int first = start; first < end; first += 4) {
        __syncthreads();  // of the last rows
#pragma unroll
        for (int n = 0; n < 6; n++) {
            const int i = threadIdx.x + 256 * (n < 4 ? n : n - 4);
            if (i < (n < 4 ? SLOPES : INPUT)) *(float4 *)((n < 4 ? shared : inputs) + 4 * i) = ahead[n];
        }
        __syncthreads();
        if (first + 4 < end) fetch(first + 4);
        float b[3][4];
#pragma unroll
        for (int n = 1; n < 3; n++) load4(inputs + slice * INPUT + (n - 1) * 32 + input, b[n]);
#pragma unroll
        for (int x = 0; x < 13; x++) {
            float a[8];
            load4(shared + slice * SLOPES + x * 64 + output, a);
            load4(shared + slice * SLOPES + x * 64 + output + 32, a + 4);
#pragma unroll
            for (int m = 0; m < 4; m++) b[0][m] = b[1][m], b[1][m] = b[2][m];
            load4(inputs + slice * INPUT + (x + 2) * 32 + input, b[2]);
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int n = 0; n < 3; n++)
#pragma unroll
                    for (int m = 0; m < 4; m++) sums[i][n][m] += a[i] * b[n][m];
        }
    }
#pragma unroll
    for (int n = 0; n < 3; n++) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 8; i++)
            store4(shared + slice * 2048 + (output + i % 4 + i / 4 * 32) * 32 + input, sums[i][n]);
        __syncthreads();
        for (int i = threadIdx.x; i < 512; i += 256) {
            float sum[4] = {};
#pragma unroll
            for (int part = 0; part < 4; part++) {
                const float4 v = load4(shared + part * 2048 + 4 * i);
                sum[0] += v.x, sum[1] += v.y, sum[2] += v.z, sum[3] += v.w;
            }
            store4(w.filter_parts[1] + split * FILTERS_1 + i / 8 * 288 + (dy * 3 + n) * 32 + i % 8 * 4, sum);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 1) cnn_back_conv_1(Work w, int slot) {
    __shared__ __align__(16) float shared[ROOM];
    if (blockIdx.x < TILES_BACK) slopes_of_active(w, blockIdx.x, shared);
    else filters_1(w, blockIdx.x - TILES_BACK, shared);
}

// ---- the first ----

// ROWS_0 rows of a picture: a thread has 4 outputs x a row of 9 taps' numbers, and half a row of pixels.
extern "C" __global__ void __launch_bounds__(288) cnn_back_conv_0(Work w, int slot) {
    __shared__ __align__(16) float shared[12 * FILTERS_0];
    __shared__ float sums[2 * 32];
    float *const pixels = shared + ROWS_0 * 30 * 32;
    const int picture = blockIdx.x / PARTS_0, top = blockIdx.x % PARTS_0 * ROWS_0;
    load_picture(w, slot, picture, top, pixels);
    sum_rows<2 * 32, 4>(w.sums[0], TILES_BACK, sums, w.norm_slopes[0]);
    {
        const int channel = threadIdx.x % 8 * 4;
        const Scale how = scale_of(w.scales[0], w.scales[0] + 32, w.conv_norms[0], channel);
        float all[4], along[4];
        for (int j = 0; j < 4; j++) {
            all[j] = sums[channel + j] / (900 * BATCH);
            along[j] = sums[32 + channel + j] / (900 * BATCH);
        }
#pragma unroll
        for (int n = 0; n < 5; n++) {
            const int i = threadIdx.x + 288 * n, x = i / 8 % 30, y = top + i / 8 / 30;
            const int place = y % 2 * 2 + x % 2;
            const int at = ((picture * 15 + y / 2) * 15 + x / 2) * 32 + channel;
            const float *from = w.y[0] + (picture * 30 + top) * 30 * 32 + 4 * i;
            float d[4];
            norm_slopes(how, from, w.pooled_slopes[0] + at, w.places[0] + at, place, all, along, d);
            store4(shared + 4 * i, d);
        }
    }
    __syncthreads();
    const int slice = threadIdx.x / 24, output = threadIdx.x % 8 * 4, dy = threadIdx.x % 24 / 8;
    const int row = slice / 2, left = slice % 2 * 15;
    float found[4][9] = {}, bias[4] = {}, b[9];
    const float *from = pixels + (row + dy) * 96 + left * 3;
#pragma unroll
    for (int n = 3; n < 9; n++) b[n] = from[n - 3];
#pragma unroll 3
    for (int x = 0; x < 15; x++) {
        float a[4];
        load4(shared + (row * 30 + left + x) * 32 + output, a);
#pragma unroll
        for (int n = 0; n < 9; n++) b[n] = n < 6 ? b[n + 3] : from[x * 3 + n];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            bias[j] += a[j];
#pragma unroll
            for (int n = 0; n < 9; n++) found[j][n] += a[j] * b[n];
        }
    }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < 4; j++) {
        for (int n = 0; n < 9; n++)
            shared[slice * FILTERS_0 + (output + j) * 27 + dy * 9 + n] = found[j][n];
        if (dy == 0) shared[slice * FILTERS_0 + 32 * 27 + output + j] = bias[j];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < FILTERS_0; i += 288) {
        float sum = 0.0f;
#pragma unroll
        for (int part = 0; part < 12; part++) sum += shared[part * FILTERS_0 + i];
        w.filter_parts[0][blockIdx.x * FILTERS_0 + i] = sum;
    }
}
