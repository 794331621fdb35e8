// The convolutions with their norms and pools, forward.

#pragma once

// Rows of a picture, as numbers from 0 to 1, into shared memory.
__device__ __forceinline__ void load_picture(const Work &w, int slot, int picture, int top, float *pixels) {
    const Byte *from = w.images + w.numbers[slot * BATCH + picture] * INPUTS + top * 96;
    for (int i = threadIdx.x; i < (ROWS_0 + 2) * 24; i += blockDim.x)
        *(float4 *)(pixels + 4 * i) = as_floats(((const uchar4 *)from)[i]);
}

// A thread has a column of ROWS_0 pixels in four channels.
extern "C" __global__ void __launch_bounds__(256) cnn_conv_0(Work w, int slot) {
    __shared__ __align__(16) float pixels[(ROWS_0 + 2) * 96 + 16];  // two columns too many are computed
    __shared__ __align__(16) float weights[27][36];
    if (blockIdx.x == TILES_0) {
        count_step(w.steps, (int)w.parameters, w.batches, (int)w.counters);
        __syncthreads();
        if (threadIdx.x == 0) *w.move = move_of(w.rates[slot], *w.steps[0]);
        return;
    }
    const int picture = blockIdx.x / PARTS_0, top = blockIdx.x % PARTS_0 * ROWS_0;
    const int channel = threadIdx.x % 8 * 4, x = threadIdx.x / 8;
    load_picture(w, slot, picture, top, pixels);
    for (int i = threadIdx.x; i < 32 * 27; i += 256) weights[i % 27][i / 27] = w.convs[0].weight.value[i];
    if (threadIdx.x < 16) pixels[(ROWS_0 + 2) * 96 + threadIdx.x] = 0.0f;
    const float4 bias = load4(w.convs[0].bias.value + channel);
    __syncthreads();
    float sums[ROWS_0][4];
#pragma unroll
    for (int row = 0; row < ROWS_0; row++)
        sums[row][0] = bias.x, sums[row][1] = bias.y, sums[row][2] = bias.z, sums[row][3] = bias.w;
#pragma unroll 3
    for (int k = 0; k < 9; k++) {
        float v[ROWS_0 + 2];
#pragma unroll
        for (int row = 0; row < ROWS_0 + 2; row++) v[row] = pixels[row * 96 + x * 3 + k];
#pragma unroll
        for (int dy = 0; dy < 3; dy++) {
            const float4 f = load4(&weights[dy * 9 + k][channel]);
#pragma unroll
            for (int row = 0; row < ROWS_0; row++) {
                sums[row][0] += v[row + dy] * f.x;
                sums[row][1] += v[row + dy] * f.y;
                sums[row][2] += v[row + dy] * f.z;
                sums[row][3] += v[row + dy] * f.w;
            }
        }
    }
    float mean[4] = {}, squares[4] = {};
    if (x < 30)
        for (int row = 0; row < ROWS_0; row++) {
            store4(w.y[0] + ((picture * 30 + top + row) * 30 + x) * 32 + channel, sums[row]);
            for (int j = 0; j < 4; j++) mean[j] += sums[row][j];
        }
    sum_channels<8, 8>(mean);
    for (int j = 0; j < 4; j++) mean[j] /= ROWS_0 * 30;
    if (x < 30)
        for (int row = 0; row < ROWS_0; row++)
            for (int j = 0; j < 4; j++) squares[j] += (sums[row][j] - mean[j]) * (sums[row][j] - mean[j]);
    sum_channels<8, 8>(squares);
    if (x == 0) {
        store4(w.moments[0] + 2 * blockIdx.x * 32 + channel, mean);
        store4(w.moments[0] + (2 * blockIdx.x + 1) * 32 + channel, squares);
    }
}

// Norm, pool and relu; of equal numbers the first is the maximum.
template <int CHANNELS, int SIZE>
__device__ void pool(const Work &w, int layer, int tiles, int each) {
    __shared__ float scales[2][CHANNELS];
    constexpr int QUADS = CHANNELS / 4, HALF = SIZE / 2;
    put_together<CHANNELS, 512>(
        w.moments[layer], tiles, each, BATCH * SIZE * SIZE, scales, w.conv_norms[layer], w.scales[layer]
    );
    const int channel = threadIdx.x % QUADS * 4;  // of all that this thread does
    const Scale how = scale_of(scales[0], scales[1], w.conv_norms[layer], channel);
#pragma unroll 2
    for (int i = blockIdx.x * 512 + threadIdx.x; i < BATCH * HALF * HALF * QUADS; i += WIDE * 512) {
        const int pixel = i / QUADS, x = pixel % HALF * 2, y = pixel / HALF % HALF * 2;
        const float *from = w.y[layer] + ((pixel / (HALF * HALF) * SIZE + y) * SIZE + x) * CHANNELS + channel;
        float v[4][4], most[4];
        int places[4];
#pragma unroll
        for (int place = 0; place < 4; place++) {
            const float4 found = __ldg((const float4 *)(from + (place / 2 * SIZE + place % 2) * CHANNELS));
            v[place][0] = found.x, v[place][1] = found.y, v[place][2] = found.z, v[place][3] = found.w;
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            most[j] = apply(how, j, v[0][j]);
            places[j] = 0;
#pragma unroll
            for (int place = 1; place < 4; place++) {
                const float other = apply(how, j, v[place][j]);
                if (other > most[j]) most[j] = other, places[j] = place;
            }
            most[j] = relu(most[j]);
        }
        store4(w.active[layer] + pixel * CHANNELS + channel, most);
        *(uchar4 *)(w.places[layer] + pixel * CHANNELS + channel) =
            uchar4{(Byte)places[0], (Byte)places[1], (Byte)places[2], (Byte)places[3]};
    }
}

extern "C" __global__ void __launch_bounds__(512) cnn_pool_0(Work w, int slot) {
    pool<32, 30>(w, 0, TILES_0, ROWS_0 * 30);
}

extern "C" __global__ void __launch_bounds__(512) cnn_pool_1(Work w, int slot) {
    pool<64, 13>(w, 1, TILES_1, TILE_1);
}

// 72 pixels, 64 outputs: a thread has 9 x 8 of them, and a quarter of the inputs of each tap.
extern "C" __global__ void __launch_bounds__(256, 1) cnn_conv_1(Work w, int slot) {
    constexpr int ROOM = 11 * 15 * 36, STRIDE = 72;  // 72 pixels see at most 11 rows, those of two pictures
    __shared__ __align__(16) float shared[ROOM + 2 * 64 * 36];
    const int first = blockIdx.x * TILE_1, last = min(first + TILE_1, PIXELS_1) - 1;
    const int slice = threadIdx.x / 64, output = threadIdx.x % 8, row = threadIdx.x % 64 / 8;
    const int top = first / 169 * 15 + first / 13 % 13, bottom = last / 169 * 15 + last / 13 % 13 + 2;
    const float *filters = w.convs[1].weight.value + threadIdx.x / 8 * 288 + threadIdx.x % 8 * 4;
    float *const mine = shared + ROOM + threadIdx.x / 8 * 36 + threadIdx.x % 8 * 4;
    float4 ahead[2] = {load4(filters), load4(filters + 32 * 288)};
#pragma unroll 6
    for (int i = threadIdx.x; i < (bottom - top + 1) * 15 * 8; i += 256)
        *(float4 *)(shared + i / 8 * 36 + i % 8 * 4) = load4(w.active[0] + top * 15 * 32 + 4 * i);
    int at[9];
#pragma unroll
    for (int i = 0; i < 9; i++) {
        const int pixel = min(first + row + 8 * i, last);
        at[i] = ((pixel / 169 * 15 + pixel / 13 % 13 - top) * 15 + pixel % 13) * 36 + 8 * slice;
    }
    float sums[9][8] = {};
    for (int tap = 0; tap < 9; tap++) {
        const int buffer = tap % 2 * 64 * 36;
        *(float4 *)(mine + buffer) = ahead[0];
        *(float4 *)(mine + buffer + 32 * 36) = ahead[1];
        __syncthreads();
        if (tap < 8) {
            ahead[0] = load4(filters + (tap + 1) * 32);
            ahead[1] = load4(filters + (tap + 1) * 32 + 32 * 288);
        }
        const float *x = shared + (tap / 3 * 15 + tap % 3) * 36;
        const float *f = shared + ROOM + buffer + output * 36 + 8 * slice;
#pragma unroll
        for (int k = 0; k < 8; k += 4) {
            float4 b[8];
#pragma unroll
            for (int j = 0; j < 8; j++) b[j] = load4(f + j * 8 * 36 + k);
#pragma unroll
            for (int i = 0; i < 9; i++) {
                const float4 a = load4(x + at[i] + k);
#pragma unroll
                for (int j = 0; j < 8; j++) add_product(sums[i][j], a, b[j]);
            }
        }
    }
    float *const parts = shared + slice % 2 * TILE_1 * STRIDE + row * STRIDE + output;
    for (int round = 0; round < 2; round++) {  // slices 2 and 3 to 0 and 1, then these to all
        __syncthreads();
        if (slice / 2 == 1 - round)
#pragma unroll
            for (int i = 0; i < 9; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) parts[8 * i * STRIDE + 8 * j] = sums[i][j];
        __syncthreads();
        if (round == 0 && slice < 2)
#pragma unroll
            for (int i = 0; i < 9; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sums[i][j] += parts[8 * i * STRIDE + 8 * j];
    }
    const int channel = threadIdx.x % 16 * 4;
    const float4 bias = load4(w.convs[1].bias.value + channel);
    float found[5][4], mean[4] = {}, squares[4] = {};
#pragma unroll
    for (int i = 0; i < 5; i++) {
        const int pixel = threadIdx.x / 16 + 16 * i;
        if (first + pixel > last || pixel >= TILE_1) continue;
        const float4 a = load4(shared + pixel * STRIDE + channel);
        const float4 b = load4(shared + (TILE_1 + pixel) * STRIDE + channel);
        found[i][0] = a.x + b.x + bias.x;
        found[i][1] = a.y + b.y + bias.y;
        found[i][2] = a.z + b.z + bias.z;
        found[i][3] = a.w + b.w + bias.w;
        store4(w.y[1] + (first + pixel) * 64 + channel, found[i]);
        for (int j = 0; j < 4; j++) mean[j] += found[i][j];
    }
    sum_channels<16, 8>(mean);
    for (int j = 0; j < 4; j++) mean[j] /= last - first + 1;
#pragma unroll
    for (int i = 0; i < 5; i++) {
        const int pixel = threadIdx.x / 16 + 16 * i;
        if (first + pixel > last || pixel >= TILE_1) continue;
        for (int j = 0; j < 4; j++) squares[j] += (found[i][j] - mean[j]) * (found[i][j] - mean[j]);
    }
    sum_channels<16, 8>(squares);
    if (threadIdx.x < 16) {
        store4(w.moments[1] + 2 * blockIdx.x * 64 + channel, mean);
        store4(w.moments[1] + (2 * blockIdx.x + 1) * 64 + channel, squares);
    }
}

// A picture and 16 outputs: a thread has a row of 4 pixels, 4 outputs, and 4 of the 64 inputs of each tap.
extern "C" __global__ void __launch_bounds__(256) cnn_conv_2(Work w, int slot) {
    constexpr int STRIDE = 584, PIXEL = 68;
    __shared__ __align__(16) float shared[16 * STRIDE + 36 * PIXEL];
    float *const pixels = shared + 16 * STRIDE;
    const int picture = blockIdx.x / 4, outputs = blockIdx.x % 4 * 16;
    const int slice = threadIdx.x / 16, y = threadIdx.x / 4 % 4, output = threadIdx.x % 4;
#pragma unroll
    for (int n = 0; n < 9; n++) {
        const int i = threadIdx.x + 256 * n;
        *(float4 *)(shared + i / 144 * STRIDE + i % 144 * 4) =
            load4(w.convs[2].weight.value + outputs * 576 + 4 * i);
    }
    for (int i = threadIdx.x; i < 36 * 16; i += 256)
        *(float4 *)(pixels + i / 16 * PIXEL + i % 16 * 4) = load4(w.active[1] + picture * 36 * 64 + 4 * i);
    __syncthreads();
    float sums[4][4] = {};
#pragma unroll
    for (int dy = 0; dy < 3; dy++) {
        float4 a[6];
#pragma unroll
        for (int x = 0; x < 6; x++) a[x] = load4(pixels + ((y + dy) * 6 + x) * PIXEL + 4 * slice);
#pragma unroll
        for (int dx = 0; dx < 3; dx++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const float4 b = load4(shared + (output + 4 * j) * STRIDE + (dy * 3 + dx) * 64 + 4 * slice);
#pragma unroll
                for (int x = 0; x < 4; x++) add_product(sums[x][j], a[x + dx], b);
            }
    }
    __syncthreads();
#pragma unroll
    for (int x = 0; x < 4; x++)
#pragma unroll
        for (int j = 0; j < 4; j++) shared[slice * 256 + (y * 4 + x) * 16 + output + 4 * j] = sums[x][j];
    __syncthreads();
    const int channel = outputs + threadIdx.x % 16;
    float sum = w.convs[2].bias.value[channel], mean = 0.0f, squares = 0.0f;
#pragma unroll
    for (int i = 0; i < 16; i++) sum += shared[i * 256 + threadIdx.x];
    w.y[2][(picture * 16 + threadIdx.x / 16) * 64 + channel] = sum;
    __syncthreads();
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x >= 16) return;
    for (int i = 0; i < 16; i++) mean += shared[i * 16 + threadIdx.x];
    mean /= 16;
    for (int i = 0; i < 16; i++) {
        const float far = shared[i * 16 + threadIdx.x] - mean;
        squares += far * far;
    }
    w.moments[2][2 * picture * 64 + channel] = mean;
    w.moments[2][(2 * picture + 1) * 64 + channel] = squares;
}
