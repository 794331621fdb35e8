// CUDA's words for a C++ compiler: a block runs as fibers on one core, switched where its threads wait.
//
// Included before the kernels; `after.h`, included after them, holds the launcher.

#include <cmath>
#include <csetjmp>
#include <cstring>
#include <ucontext.h>
#include <vector>

using std::fmaxf; using std::fminf;

struct Dim { unsigned x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __shared__ static
#define __restrict__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __CUDA_ON_CPU__ 1

static Dim threadIdx, blockIdx, blockDim, gridDim;

// ---- the fibers of one block ----

struct Barrier {
    int expected, arrived;
    long round;
};

struct Fiber {
    ucontext_t context;  // it begins there; from then on it is switched without calls of the kernel
    jmp_buf here;
    std::vector<char> stack;
    bool begun, done;
    float given;  // to the lanes of its warp
};

static std::vector<Fiber> fibers;
static Barrier block_barrier, warp_barriers[32];
static ucontext_t first_scheduler;
static jmp_buf scheduler;
static unsigned running;

static void give_way() {
    if (!_setjmp(fibers[running].here)) _longjmp(scheduler, 1);
}

static void open_if_all(Barrier &barrier) {
    if (barrier.arrived < barrier.expected) return;
    barrier.arrived = 0;
    barrier.round++;
}

static void meet(Barrier &barrier) {
    const long round = barrier.round;
    barrier.arrived++;
    open_if_all(barrier);
    while (barrier.round == round) give_way();
}

static inline void __syncthreads() { meet(block_barrier); }
static inline void __syncwarp(unsigned = 0xffffffffu) { meet(warp_barriers[running / 32]); }
static inline void __threadfence() {}

static float from_lane(float value, unsigned lane) {
    fibers[running].given = value;
    __syncwarp();
    const float found = fibers[running / 32 * 32 + lane].given;
    __syncwarp();
    return found;
}
static inline float __shfl_xor_sync(unsigned, float value, int mask) {
    return from_lane(value, (running % 32) ^ mask);
}
static inline float __shfl_down_sync(unsigned, float value, unsigned by) {
    const unsigned lane = running % 32;
    return from_lane(value, lane + by < 32 ? lane + by : lane);
}
static inline float __shfl_sync(unsigned, float value, int lane) { return from_lane(value, lane); }

static inline int atomicAdd(int *place, int value) { const int old = *place; *place += value; return old; }
static inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
static inline float __ldg(const float *place) { return *place; }
static inline float4 __ldg(const float4 *place) { return *place; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
