/* What Python asks for and how the kernels are called. __init__.py mirrors `struct job`, field by field. */
#ifndef INITCFG_FILL_H
#define INITCFG_FILL_H

#include <float.h>
#include <stdint.h>

/* Where these do not hold the bits would be others: nothing is compiled, and the numpy engine makes them. */
#if FLT_EVAL_METHOD != 0
#error "float and double must be calculated in their own precision"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lanes are taken to be little-endian"
#endif

/* The order of __init__.py's KERNELS. */
enum kernel { UNIFORM, NORMAL, TWO_SIGMA, CUT, INVERSE };

/* Elements [start, start + count) of one parameter: location + scale * variate, clamped to [low, high]. */
struct job {
    void *out;          /* may have any alignment */
    uint64_t count;     /* elements, start + count <= 2**63 */
    uint64_t start;
    uint32_t stream[4]; /* two words of the key, then counter words 2 and 3 */
    int32_t kernel;
    int32_t wide;       /* whether the arithmetic is float64, on 64-bit words */
    int32_t itemsize;   /* of an element: double, float, or a narrow type that these three describe: */
    int32_t digits;     /* stored bits of the mantissa */
    int32_t least;      /* exponent of the least normal number */
    int32_t unsigned_zero;
    double location, scale, low, high;
    double numbers[4];  /* CUT: scale, tail. INVERSE: centre, half, below, above. */
};

typedef void fill_function(const struct job *);

fill_function initcfg_fill_plain, initcfg_fill_sse2, initcfg_fill_avx2, initcfg_fill_avx512,
    initcfg_fill_neon;

/* The order of elementary.py's FUNCTIONS. */
enum function { EXP, LOG, LOG2, EXPM1, LOG1P, SIN, COS, TAN, TANH, ATAN, POW };

/* A function of x, or of x and y, into out: `count` doubles each. A function of one is given it
 * twice. */
typedef void apply_function(int32_t function, const double *x, const double *y, double *out, uint64_t count);

apply_function initcfg_apply_plain, initcfg_apply_sse2, initcfg_apply_avx2, initcfg_apply_avx512,
    initcfg_apply_neon;

#endif
