// What the kernels of all models share: parameters with Adam's moments, and the step of the optimizer.
//
// Compiled for one config: BATCH pictures a step, WIDTH nodes, LAYERS dense layers before the last, CLASSES,
// and the optimizer's DECOUPLED, BETA1, BETA2, EPSILON, WEIGHT_DECAY, and the penalty L2 are macros. Sums have
// a fixed order and nothing is added by atomics, so that a run gives the same bits again.

#pragma once

typedef long long Integer;
typedef unsigned char Byte;

#define SIDE 32
#define INPUTS (SIDE * SIDE * 3)
#define EVERYONE 0xffffffffu  // lanes of a warp

struct Parameter {
    float *value, *mean, *square;  // Adam's moments lie as the values do
};

// A step of the optimizer, the same for all parameters.
struct Move {
    float decay, step_size, root;
};

// Adam counts steps for each parameter, and batch norms count batches: one more of each.
__device__ void count_step(float *const *steps, int parameters, Integer *const *batches, int norms) {
    for (int i = threadIdx.x; i < parameters; i += blockDim.x) *steps[i] += 1.0f;
    for (int i = threadIdx.x; i < norms; i += blockDim.x) *batches[i] += 1;
}

// `step` counts the one under way: 1 in the first.
__device__ Move move_of(float rate, float step) {
    const double first = 1.0 - pow(BETA1, (double)step), second = 1.0 - pow(BETA2, (double)step);
    return {rate * (float)WEIGHT_DECAY, rate / (float)first, (float)sqrt(second)};
}

// Four bytes of a picture, as numbers from 0 to 1.
__device__ __forceinline__ float4 as_floats(uchar4 v) {
    const float scale = 1.0f / 255.0f;
    return make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
}

// Moves one number of a parameter; returns what it was.
__device__ __forceinline__ float move(Parameter p, int at, float gradient, bool penalised, Move how) {
    const float before = p.value[at];
    float value = before;
    if (penalised) gradient += (float)(2.0 * L2) * before;
    if (DECOUPLED) value -= how.decay * value;
    else gradient += (float)WEIGHT_DECAY * value;
    const float mean = (float)BETA1 * p.mean[at] + (float)(1.0 - BETA1) * gradient;
    const float square = (float)BETA2 * p.square[at] + (float)(1.0 - BETA2) * gradient * gradient;
    p.mean[at] = mean;
    p.square[at] = square;
    p.value[at] = value - how.step_size * mean / (sqrtf(square) / how.root + (float)EPSILON);
    return before;
}

// The same for four numbers that lie together, from a place that four divides.
__device__ __forceinline__ float4 move4(Parameter p, int at, const float gradients[4], bool penalised, Move how) {
    float4 value = *(float4 *)(p.value + at), mean = *(float4 *)(p.mean + at), square = *(float4 *)(p.square + at);
    const float4 before = value;
    const Parameter one = {&value.x, &mean.x, &square.x};
#pragma unroll
    for (int i = 0; i < 4; i++) move(one, i, gradients[i], penalised, how);
    *(float4 *)(p.value + at) = value;
    *(float4 *)(p.mean + at) = mean;
    *(float4 *)(p.square + at) = square;
    return before;
}

// The sum of a number of each lane, in every lane.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int by = 16; by; by /= 2) value += __shfl_xor_sync(EVERYONE, value, by);
    return value;
}

// The sum of a number of each thread, in every thread; blocks of at most 1024 threads, whole warps.
__device__ float block_sum(float value) {
    __shared__ float warps[32];
    value = warp_sum(value);
    __syncthreads();  // of the last call
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0.0f;
    for (int i = 0; i < (int)blockDim.x / 32; i++) sum += warps[i];
    return sum;
}

// Whether this block is the last of its launch to come here; what the others wrote before is then seen by all
// its threads. `counter` is 0 between launches.
__device__ bool is_last_block(int *counter) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(counter, 1) == (int)gridDim.x - 1;
        if (last) *counter = 0;
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
}

// The largest logit of a picture, and the sum of their exponentials less it, in every thread of the block; its
// loss and whether it is a hit go where they are told.
struct Softmax {
    float most, sum;
};

__device__ Softmax judge(const float *logits, int label, float *loss, int *hit) {
    float most = logits[0], sum = 0.0f;
    int best = 0;
    for (int i = 1; i < CLASSES; i++)
        if (logits[i] > most) most = logits[i], best = i;
    for (int i = threadIdx.x % 32; i < CLASSES; i += 32) sum += expf(logits[i] - most);
    sum = warp_sum(sum);
    if (threadIdx.x == 0) {
        *loss = logf(sum) + most - logits[label];
        *hit = best == label;
    }
    return {most, sum};
}
