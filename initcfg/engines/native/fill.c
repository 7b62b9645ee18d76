/* The library's four names: which instruction sets this processor runs, fills and functions by one of them, the
 * sources. */
#include "fill.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Of these sources, by sources.py: a library that was made from others is refused. */
EXPORT const char *const initcfg_sources = SOURCES;

/* The order of SETS in __init__.py, the widest last. */
enum set { PLAIN, SSE2, AVX2, AVX512, NEON, SETS };

#define BOTH(name) {initcfg_fill_##name, initcfg_apply_##name}

static const struct {
    fill_function *fill;
    apply_function *apply;
} KERNELS[SETS] = {
    [PLAIN] = BOTH(plain),
#if defined(__x86_64__)
    [SSE2] = BOTH(sse2),
    [AVX2] = BOTH(avx2),
    [AVX512] = BOTH(avx512),
#elif defined(__aarch64__)
    [NEON] = BOTH(neon),
#endif
};

#if defined(__x86_64__)
#include <cpuid.h>

/* Asked of the processor and of the system, which must save the wide registers; no compiler's library needed. */
static int has_set(enum set set) {
    unsigned a, b, c, d, low, high;
    if (set <= SSE2) return 1;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (set == AVX2) return (low & 0x6) == 0x6 && (b & bit_AVX2);
    const unsigned all = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    return (low & 0xE6) == 0xE6 && (b & all) == all;
}
#else
static int has_set(enum set set) { return KERNELS[set].fill != 0; }
#endif

/* A bit for each instruction set that runs here. */
EXPORT uint32_t initcfg_sets(void) {
    uint32_t found = 0;
    for (int set = 0; set < SETS; set++)
        if (KERNELS[set].fill && has_set((enum set)set)) found |= 1u << set;
    return found;
}

EXPORT void initcfg_fill(const struct job *jobs, uint64_t count, int32_t set) {
    for (uint64_t n = 0; n < count; n++) KERNELS[set].fill(jobs + n);
}

EXPORT void initcfg_apply(int32_t function, const double *x, const double *y, double *out, uint64_t count, int32_t set) {
    KERNELS[set].apply(function, x, y, out, count);
}
