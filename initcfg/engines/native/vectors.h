/* Vectors of W lanes of 32 bits (W / 2 of 64): what the kernels need and C has no operator for.
 *
 * GCC's and Clang's vector extensions give + - * / & | ^ << >> and comparisons on whole vectors. What is left
 * is chosen here by instruction set: a 32-by-32-bit product, square root, least and greatest, shuffles.
 */
#ifndef INITCFG_VECTORS_H
#define INITCFG_VECTORS_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(INITCFG_AVX512) || defined(INITCFG_AVX2) || defined(INITCFG_SSE2)
#include <immintrin.h>
#elif defined(INITCFG_NEON)
#include <arm_neon.h>
#endif

#if defined(INITCFG_AVX512)
#define W 16
#elif defined(INITCFG_AVX2)
#define W 8
#else
#define W 4
#endif

typedef uint32_t u32 __attribute__((vector_size(4 * W)));
typedef int32_t i32 __attribute__((vector_size(4 * W)));
typedef float f32 __attribute__((vector_size(4 * W)));
typedef uint64_t u64 __attribute__((vector_size(4 * W)));
typedef int64_t i64 __attribute__((vector_size(4 * W)));
typedef double f64 __attribute__((vector_size(4 * W)));

#if defined(INITCFG_AVX512)
#define BY_WIDTH(name) _mm512_##name
#elif defined(INITCFG_AVX2)
#define BY_WIDTH(name) _mm256_##name
#elif defined(INITCFG_SSE2)
#define BY_WIDTH(name) _mm_##name
#endif

/* product32: of the low halves of two 64-bit lanes, in full. */
#if defined(BY_WIDTH)
#if defined(INITCFG_AVX512)
typedef __m512i whole;
#elif defined(INITCFG_AVX2)
typedef __m256i whole;
#else
typedef __m128i whole;
#endif
INLINE u64 product32(u64 a, u64 b) { return (u64)BY_WIDTH(mul_epu32)((whole)a, (whole)b); }
INLINE f32 root32(f32 x) { return (f32)BY_WIDTH(sqrt_ps)(x); }
INLINE f64 root64(f64 x) { return (f64)BY_WIDTH(sqrt_pd)(x); }
INLINE f32 greater32(f32 a, f32 b) { return (f32)BY_WIDTH(max_ps)(a, b); }
INLINE f32 less32(f32 a, f32 b) { return (f32)BY_WIDTH(min_ps)(a, b); }
INLINE f64 greater64(f64 a, f64 b) { return (f64)BY_WIDTH(max_pd)(a, b); }
INLINE f64 less64(f64 a, f64 b) { return (f64)BY_WIDTH(min_pd)(a, b); }
INLINE f32 single(i32 x) { return (f32)BY_WIDTH(cvtepi32_ps)((whole)x); }
#elif defined(INITCFG_NEON)
INLINE u64 product32(u64 a, u64 b) {
    return (u64)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}
INLINE f32 root32(f32 x) { return (f32)vsqrtq_f32((float32x4_t)x); }
INLINE f64 root64(f64 x) { return (f64)vsqrtq_f64((float64x2_t)x); }
INLINE f32 greater32(f32 a, f32 b) { return (f32)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
INLINE f32 less32(f32 a, f32 b) { return (f32)vminq_f32((float32x4_t)a, (float32x4_t)b); }
INLINE f64 greater64(f64 a, f64 b) { return (f64)vmaxq_f64((float64x2_t)a, (float64x2_t)b); }
INLINE f64 less64(f64 a, f64 b) { return (f64)vminq_f64((float64x2_t)a, (float64x2_t)b); }
INLINE f32 single(i32 x) { return (f32)vcvtq_f32_s32((int32x4_t)x); }
#else
#define LANES(n) for (int lane = 0; lane < (n); lane++)
INLINE u64 product32(u64 a, u64 b) {
    LANES(W / 2) a[lane] = (uint64_t)(uint32_t)a[lane] * (uint32_t)b[lane];
    return a;
}
INLINE f32 root32(f32 x) {
    LANES(W) x[lane] = __builtin_sqrtf(x[lane]);
    return x;
}
INLINE f64 root64(f64 x) {
    LANES(W / 2) x[lane] = __builtin_sqrt(x[lane]);
    return x;
}
INLINE f32 greater32(f32 a, f32 b) {
    LANES(W) a[lane] = a[lane] > b[lane] ? a[lane] : b[lane];
    return a;
}
INLINE f32 less32(f32 a, f32 b) {
    LANES(W) a[lane] = a[lane] < b[lane] ? a[lane] : b[lane];
    return a;
}
INLINE f64 greater64(f64 a, f64 b) {
    LANES(W / 2) a[lane] = a[lane] > b[lane] ? a[lane] : b[lane];
    return a;
}
INLINE f64 less64(f64 a, f64 b) {
    LANES(W / 2) a[lane] = a[lane] < b[lane] ? a[lane] : b[lane];
    return a;
}
INLINE f32 single(i32 x) {
    f32 out;
    LANES(W) out[lane] = (float)x[lane];
    return out;
}
#endif

/* Shuffles of two vectors. On AVX they stay within 128 bits, where they take one instruction; see `lane_of`. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(mask, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef SHUFFLE
#define SHUFFLE(mask, a, b, ...) __builtin_shuffle(a, b, (mask){__VA_ARGS__})
#endif

#if W == 16
#define EVENS 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define LOW32 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH32 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW64 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH64 1, 9, 3, 11, 5, 13, 7, 15
#define BLOCK_OF_LANE 0, 4, 1, 5, 2, 6, 3, 7
#elif W == 8
#define EVENS 0, 8, 2, 10, 4, 12, 6, 14
#define LOW32 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH32 2, 10, 3, 11, 6, 14, 7, 15
#define LOW64 0, 4, 2, 6
#define HIGH64 1, 5, 3, 7
#define BLOCK_OF_LANE 0, 2, 1, 3
#else
#define EVENS 0, 4, 2, 6
#define LOW32 0, 4, 1, 5
#define HIGH32 2, 6, 3, 7
#define LOW64 0, 2
#define HIGH64 1, 3
#define BLOCK_OF_LANE 0, 1
#endif

/* The low halves of the 64-bit lanes of `a`, each with that of `b` above it. */
INLINE u32 paired(u64 a, u64 b) { return SHUFFLE(u32, (u32)a, (u32)b, EVENS); }

INLINE f32 interleaved32_low(f32 a, f32 b) { return SHUFFLE(u32, a, b, LOW32); }
INLINE f32 interleaved32_high(f32 a, f32 b) { return SHUFFLE(u32, a, b, HIGH32); }
INLINE f64 interleaved64_low(f64 a, f64 b) { return SHUFFLE(u64, a, b, LOW64); }
INLINE f64 interleaved64_high(f64 a, f64 b) { return SHUFFLE(u64, a, b, HIGH64); }

/* Where the mask is all ones `a`, where it is all zeros `b`. */
INLINE f64 chosen64(i64 mask, f64 a, f64 b) { return (f64)(((i64)a & mask) | ((i64)b & ~mask)); }

/* Where bit 30 is set `a`, elsewhere `b`. */
INLINE f32 by_bit30(u32 bits, f32 a, f32 b) {
#if defined(INITCFG_AVX512)
    return (f32)_mm512_mask_blend_ps(_mm512_test_epi32_mask((whole)bits, _mm512_set1_epi32(1 << 30)), b, a);
#elif defined(INITCFG_AVX2)
    return (f32)_mm256_blendv_ps(b, a, (f32)(bits << 1));
#else
    i32 mask = (i32)(bits << 1) >> 31;
    return (f32)(((i32)a & mask) | ((i32)b & ~mask));
#endif
}

INLINE int any64(i64 mask) {
    int64_t all = 0;
    for (int lane = 0; lane < W / 2; lane++) all |= mask[lane];
    return all != 0;
}

/* A whole number as a double, rounded once: its halves are put into the mantissas of 2**84 and 2**52. */
INLINE f64 whole_double(i64 x) {
    u64 low = ((u64)x & 0xFFFFFFFFu) | 0x4330000000000000u;
    u64 high = ((u64)x >> 32) ^ 0x4530000080000000u;
    return ((f64)high - 0x1.00000801p84) + (f64)low;
}

/* At any alignment, by one instruction: GCC takes a memcpy of two vectors apart. */
typedef uint32_t unaligned __attribute__((vector_size(4 * W), aligned(1), may_alias));
INLINE void store(char *out, u32 vector) { *(unaligned *)out = vector; }

#endif
