// A training step of `fnn` in three kernels.
//
// 1. fnn_first: the first dense layer, whose 3072 inputs are cut into pieces, a block each; beside it the
//    hidden weights are turned for the next kernel, and the step is counted.
// 2. fnn_rows: a block for each picture takes it through all other layers, forward and back. No picture needs
//    another's numbers there, so nothing waits for anything: each of its warps multiplies a part of the rows of
//    a weight, then every warp has the whole picture, WIDTH / 32 numbers a lane, and norms it by itself.
// 3. fnn_weights: a block for each 32 inputs of a dense layer makes their gradients and moves their weights, so
//    that no gradient is ever stored.

#include "common.cuh"

#define THREADS (2 * WIDTH)
#define WARPS (THREADS / 32)
#define PER (WIDTH / 32)  // columns of a lane: lane * PER and those after it
#define CHUNK 32          // inputs of a block
#define PIECES (INPUTS / CHUNK)
#define HIDDEN_CHUNKS (WIDTH / CHUNK)
#define ROUNDS (WIDTH / WARPS)  // rows of a weight that one warp multiplies
#define CLASS_ROUNDS ((CLASSES + WARPS - 1) / WARPS)
#define ROW_GROUPS 8
#define ROWS_EACH ((BATCH + ROW_GROUPS - 1) / ROW_GROUPS < 8 ? (BATCH + ROW_GROUPS - 1) / ROW_GROUPS : 8)
#define TILE_ROWS (ROW_GROUPS * ROWS_EACH)
#define EVERYONE 0xffffffffu

struct Dense {
    Parameter weight, bias;  // weight: (outputs, inputs)
};

struct Norm {
    Parameter gain, offset;  // one number each
};

struct Work {
    const Byte *images;
    const Integer *labels, *numbers;
    const float *rates;
    float *losses;
    Integer *hits;
    float *const *steps;  // Adam's count of each parameter
    Integer parameters;
    Dense dense[LAYERS + 1];
    Norm norms[LAYERS];
    Move *move;
    float *pieces;       // (PIECES, BATCH, WIDTH)
    float *turned;       // (LAYERS - 1, WIDTH, WIDTH): hidden weights as (inputs, outputs)
    float *inputs;       // (LAYERS, BATCH, WIDTH), of all dense layers but the first
    float *slopes;       // (LAYERS, BATCH, WIDTH), gradients at the outputs of all dense layers but the last
    float *last_slopes;  // (BATCH, CLASSES)
    float *norm_slopes;  // (LAYERS, 2, BATCH), of gains and offsets
    float *row_losses;   // (BATCH,)
    int *row_hits;       // (BATCH,)
    float *penalties;    // of each block
    int *counter;
};

// ---- 1 ----

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
            const float scale = 1.0f / 255.0f;
            *(float4 *)&pictures[row][4 * quad] = make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
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

// ---- 2 ----

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

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int by = 16; by; by /= 2) value += __shfl_xor_sync(EVERYONE, value, by);
    return value;
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
    float most = logits[0], sum = 0.0f;
    int best = 0;
    for (int i = 1; i < CLASSES; i++)
        if (logits[i] > most) most = logits[i], best = i;
    for (int i = lane; i < CLASSES; i += 32) sum += expf(logits[i] - most);
    sum = warp_sum(sum);
    if (threadIdx.x == 0) {
        w.row_losses[row] = logf(sum) + most - logits[label];
        w.row_hits[row] = best == label;
    }
    Row back = {};
    for (int i = 0; i < CLASS_ROUNDS; i++) {
        const int class_ = warp * CLASS_ROUNDS + i;
        if (class_ < CLASSES) {
            const float slope = (expf(logits[class_] - most) / sum - (class_ == label ? 1.0f : 0.0f)) / BATCH;
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

// ---- 3 ----

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
                const uchar4 v = *(const uchar4 *)(w.images + number * INPUTS + start + 4 * quad);
                const float scale = 1.0f / 255.0f;
                x = make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
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
