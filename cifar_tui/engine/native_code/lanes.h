/* Vectors of as many floats as one register of this processor holds, and what is done to them. */
#ifndef CIFAR_TUI_LANES_H
#define CIFAR_TUI_LANES_H

#include <stdint.h>

#if defined(__SSE__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef LANES
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#endif
#define TILE_ROWS (LANES == 16 ? 12 : 6) /* as many as the registers hold */

#define PANEL 16 /* floats: one line of the cache, and the width of every tile */
#define PARTS (PANEL / LANES)
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_4 _Pragma("clang loop unroll_count(4)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_4 _Pragma("GCC unroll 4")
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec load(const float *at) { return *(const loose *)at; }
INLINE void store(float *at, vec value) { *(loose *)at = value; }
INLINE vec splat(float value) { return value - (vec){0}; }

INLINE vec pick(ints which, vec yes, vec no) {
    return (vec)(((ints)yes & which) | ((ints)no & ~which));
}

INLINE float total(vec value) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += value[lane];
    return sum;
}

INLINE vec root(vec value) {
#if defined(__AVX512F__) && LANES == 16
    return (vec)_mm512_sqrt_ps((__m512)value);
#elif defined(__AVX__) && LANES == 8
    return (vec)_mm256_sqrt_ps((__m256)value);
#elif defined(__SSE__) && LANES == 4
    return (vec)_mm_sqrt_ps((__m128)value);
#elif defined(__aarch64__) && LANES == 4
    return (vec)vsqrtq_f32((float32x4_t)value);
#else
    vec found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = __builtin_sqrtf(value[lane]);
    return found;
#endif
}

/* e to the power of x, within 2 units of the last place where x is in [-87, 88]; beyond it is held.

   Method: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial of r (coefficients of Cephes), n as exponent. */
INLINE vec exponential(vec x) {
    vec low = splat(-87.0f), high = splat(88.0f);
    vec held = pick(x < low, low, pick(x > high, high, x));
    vec count = held * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    ints power = (ints)count << 23;
    count -= 12582912.0f;
    vec rest = held - count * 0.693359375f + count * 2.12194440e-4f;
    vec sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * (rest * rest) + rest + 1.0f;
    vec found = (vec)((ints)sum + power);
    return pick(x == x, found, x); /* what is not a number stays so */
}

#endif
