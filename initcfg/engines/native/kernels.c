/* The kernels of stream version 1 for one instruction set: compiled once for each, as initcfg_fill_NAME.
 *
 * Every step is an integer operation or IEEE + - * / sqrt, rounded once, in the order of the reference
 * (kernels32.py, kernels64.py, philox.py), whose bits these are. docs/explanation/streams.md has the formulas.
 * Compile without contraction and without fast-math: a fused multiply-add is another number.
 */
#include "fill.h"
#include "vectors.h"

#include <math.h>

#include "constants.h"

/* A unit is W / 2 blocks, two vectors of words: 2 W elements of 32 bits or W of 64. A group is some units side by
 * side, step by step, because one alone would wait for itself: a product or a sum takes two cycles and more, and
 * two could begin in each. AVX-512 has 32 registers for their words; elsewhere more of them would wait in memory,
 * and so they do where normals are made of more than half a group at once. */
#if W == 16
#define UNITS 8
#else
#define UNITS 6
#endif
#define HALF (UNITS / 2)
#define UNROLL _Pragma("GCC unroll 16")
#define EACH_OF(units) UNROLL for (int n = 0; n < (units); n++)
#define EACH EACH_OF(UNITS)
#define TILE 1536 /* elements; what any instruction set makes at a time divides it */
#define SIGN 0x80000000u

/* ---- Philox4x32-10 (Salmon et al. 2011) ---------------------------------------------------------------- */

/* All that the blocks of one run share, in every lane: they have counter words 1 to 3 in common, so half of the
 * first two rounds is one number each. */
struct philox {
    u64 key0[10], key1[10];
    u64 early[4]; /* xored into r0 and r2 by the second round; r3 after it; counter word 3 and the first key */
};

INLINE u64 all64(uint64_t value) { return value - (u64){0}; }

static void begin(struct philox *p, const uint32_t stream[4], uint64_t block) {
    uint32_t key0 = stream[0], key1 = stream[1];
    uint64_t shared = (uint64_t)stream[2] * MULTIPLIER1;
    uint64_t other = (uint64_t)((uint32_t)(shared >> 32) ^ (uint32_t)(block >> 32) ^ key0) * MULTIPLIER0;
    p->early[0] = all64((uint32_t)shared ^ (key0 + KEY_STEP0));
    p->early[1] = all64((uint32_t)(other >> 32) ^ (key1 + KEY_STEP1));
    p->early[2] = all64((uint32_t)other);
    p->early[3] = all64(stream[3] ^ key1);
    for (int n = 0; n < 10; n++, key0 += KEY_STEP0, key1 += KEY_STEP1) {
        p->key0[n] = all64(key0);
        p->key1[n] = all64(key1);
    }
}

/* The words of a group from block `first` on: two vectors a unit. Their lanes are, in turns, words 0 and 2 and words 1
 * and 3 of a block; if `wide` 0 and 1, and 2 and 3, each pair a word of 64 bits. In between they are in the low halves
 * of 64-bit lanes; the high halves are rubbish. */
INLINE void draw(const struct philox *p, uint32_t first, int wide, u32 *a, u32 *b) {
    const u64 m0 = all64(MULTIPLIER0), m1 = all64(MULTIPLIER1), lanes = {BLOCK_OF_LANE};
    u64 r0[UNITS], r1[UNITS], r2[UNITS], r3[UNITS];
    EACH {
        u64 low = product32(all64(first + (uint32_t)n * (W / 2)) + lanes, m0);
        u64 high = product32((low >> 32) ^ p->early[3], m1);
        r0[n] = (high >> 32) ^ p->early[0];
        r1[n] = high;
        r2[n] = low ^ p->early[1];
        r3[n] = p->early[2];
    }
    UNROLL
    for (int round = 2; round < 10; round++) {
        EACH {
            u64 low = product32(r0[n], m0), high = product32(r2[n], m1);
            r0[n] = (high >> 32) ^ (r1[n] ^ p->key0[round]);
            r2[n] = (low >> 32) ^ (r3[n] ^ p->key1[round]);
            r1[n] = high;
            r3[n] = low;
        }
    }
    EACH {
        a[n] = paired(r0[n], wide ? r1[n] : r2[n]);
        b[n] = paired(wide ? r2[n] : r1[n], r3[n]);
    }
}

/* ---- float32: from a vector of each unit to another ------------------------------------------------------ */

INLINE f32 all32(float value) { return value - (f32){0}; }
INLINE f64 all64f(double value) { return value - (f64){0}; }

/* Horner's rule from the highest degree, c ascending. */
INLINE void polynomial32(const float *c, int degree, int units, const f32 *x, f32 *sum) {
    EACH_OF(units) sum[n] = x[n] * all32(c[degree]);
    for (int power = degree - 1; power > 0; power--) EACH_OF(units) sum[n] = (sum[n] + all32(c[power])) * x[n];
    EACH_OF(units) sum[n] = sum[n] + all32(c[0]);
}

INLINE void polynomial64(const double *c, int degree, const f64 *x, f64 *sum) {
    EACH sum[n] = x[n] * all64f(c[degree]);
    for (int power = degree - 1; power > 0; power--) EACH sum[n] = (sum[n] + all64f(c[power])) * x[n];
    EACH sum[n] = sum[n] + all64f(c[0]);
}
#define POLYNOMIAL32(c, units, x, sum) polynomial32(c, sizeof(c) / sizeof(float) - 1, units, x, sum)
#define POLYNOMIAL64(c, x, sum) polynomial64(c, sizeof(c) / sizeof(double) - 1, x, sum)

/* -log x for normal x = 2**k * (1 + f), with 1 + f in [2/3, 4/3). */
INLINE void negative_log32(int units, const f32 *x, f32 *out) {
    f32 f[UNITS], exponent[UNITS];
    EACH_OF(units) {
        i32 shift = ((i32)x[n] - LOG32_SPLIT) & -0x800000;
        f[n] = (f32)((i32)x[n] - shift) - 1.0f;
        exponent[n] = single(shift) * all32(LOG32_EXPONENT);
    }
    POLYNOMIAL32(LOG32, units, f, out);
    EACH_OF(units) out[n] = (out[n] * (f[n] * f[n]) - f[n]) + exponent[n];
}

/* Times 2**24: `run32` puts the 2**-24 into the scale, which is exact, because no scale is below 1e-30. */
INLINE void uniform32(const u32 *words, f32 *out) { EACH out[n] = single(((i32)words[n] >> 7) | 1); }

/* Box and Muller (1958): `a` gives the radius, `b` an angle in (-pi/4, pi/4) and the eighth of the circle. Of half a
 * group. */
INLINE void normal32(const u32 *a, const u32 *b, f32 *cosine, f32 *sine) {
    f32 x[HALF], radius[HALF], t[HALF], square[HALF];
    EACH_OF(HALF) x[n] = (single((i32)(a[n] >> 1)) + 0.5f) * 0x1p-31f;
    negative_log32(HALF, x, radius);
    EACH_OF(HALF) {
        radius[n] = root32(greater32(radius[n], all32(NORMAL32_FLOOR)));
        /* 30 bits and a sign at the upper end of the lane: four times the odd number of the reference. */
        t[n] = single((i32)(b[n] << 2) | 4) * 0x1p-32f;
        square[n] = t[n] * t[n];
    }
    POLYNOMIAL32(SIN32, HALF, square, sine);
    POLYNOMIAL32(COS32, HALF, square, cosine);
    EACH_OF(HALF) {
        f32 s = sine[n] * t[n], c = (f32)((u32)cosine[n] ^ (b[n] & SIGN));
        cosine[n] = by_bit30(b[n], s, c) * radius[n];
        sine[n] = by_bit30(b[n], c, s) * radius[n];
    }
}

INLINE void two_sigma32(const u32 *words, f32 *out) {
    f32 x[UNITS], y[UNITS], below[UNITS];
    EACH {
        x[n] = single((i32)words[n] | 1) * all32(TWO_SIGMA_SCALE);
        y[n] = 1.0f - x[n] * x[n];
    }
    POLYNOMIAL32(TWO_SIGMA_P, UNITS, y, out);
    POLYNOMIAL32(TWO_SIGMA_Q, UNITS, y, below);
    EACH out[n] = x[n] * out[n] / below[n];
}

/* `numbers`: erf(c / sqrt(2)) * 2**-31, which scales, and erfc(c / sqrt(2)): 1 - x without cancellation. */
INLINE void cut32(const u32 *words, const f32 *numbers, f32 *out) {
    const f32 scale = numbers[0], tail = numbers[1];
    f32 x[UNITS], w[UNITS], below[UNITS];
    EACH {
        i32 odd = (i32)words[n] | 1, negative = odd >> 31, size = (odd ^ negative) - negative;
        f32 above = single((i32)(SIGN - (u32)size)) * scale + tail;
        x[n] = single(size) * scale;
        below[n] = above * (x[n] + 1.0f);
    }
    negative_log32(UNITS, below, w);
    POLYNOMIAL32(CUT_P, UNITS, w, out);
    POLYNOMIAL32(CUT_Q, UNITS, w, below);
    EACH out[n] = (f32)((u32)(x[n] * out[n] / below[n]) | (words[n] & SIGN));
}

/* ---- float64 ------------------------------------------------------------------------------------------- */

/* -log x for normal x, after fdlibm: x = 2**k * (1 + f), s = f / (2 + f). */
INLINE void negative_log64(const f64 *x, f64 *out) {
    f64 f[UNITS], s[UNITS], square[UNITS], k[UNITS];
    EACH {
        i64 shift = ((i64)x[n] - LOG64_SPLIT) & -0x10000000000000;
        f[n] = (f64)((i64)x[n] - shift) - 1.0;
        s[n] = f[n] / (f[n] + 2.0);
        square[n] = s[n] * s[n];
        k[n] = whole_double(shift >> 52);
    }
    POLYNOMIAL64(LOG64, square, out);
    EACH {
        f64 half = f[n] * 0.5 * f[n];
        f64 series = (out[n] * square[n] + half) * s[n] + k[n] * all64f(LN2_LOW);
        out[n] = half - series - f[n] - k[n] * all64f(LN2_HIGH);
    }
}

INLINE i64 odd64(u64 word, int shift) { return ((i64)word >> shift) | 1; }

INLINE void uniform64(const u32 *words, f64 *out) {
    EACH out[n] = whole_double(odd64((u64)words[n], 10)) * 0x1p-53;
}

INLINE void normal64(const u32 *a, const u32 *b, f64 *cosine, f64 *sine) {
    f64 x[UNITS], radius[UNITS], theta[UNITS], square[UNITS];
    EACH x[n] = (whole_double((i64)((u64)a[n] >> 11)) + 0.5) * 0x1p-53;
    negative_log64(x, radius);
    EACH {
        f64 logarithm = greater64(radius[n], all64f(NORMAL64_FLOOR));
        radius[n] = root64(logarithm + logarithm);
        theta[n] = whole_double(odd64((u64)b[n] << 2, 11)) * 0x1p-52 * all64f(HALF_PI) * 0.5;
        square[n] = theta[n] * theta[n];
    }
    POLYNOMIAL64(SIN64, square, sine);
    POLYNOMIAL64(COS64, square, cosine);
    EACH {
        f64 half = square[n] * 0.5, rest = 1.0 - half;
        u64 s = (u64)(sine[n] * (theta[n] * square[n]) + theta[n]);
        u64 c = (u64)(cosine[n] * square[n] * square[n] + (1.0 - rest - half) + rest);
        c ^= (u64)b[n] & 0x8000000000000000u;
        u64 swap = (c ^ s) & (u64)((i64)((u64)b[n] << 1) >> 63);
        cosine[n] = (f64)(c ^ swap) * radius[n];
        sine[n] = (f64)(s ^ swap) * radius[n];
    }
}

/* The point with so much mass above it, for masses up to 0.075 (AS 241, Wichura 1988). */
INLINE void tail_point(const f64 *mass, f64 *z) {
    f64 r[UNITS], t[UNITS], below[UNITS];
    negative_log64(mass, r);
    EACH {
        r[n] = root64(r[n]);
        t[n] = r[n] - TAIL_SHIFT;
    }
    POLYNOMIAL64(TAIL_P, t, z);
    POLYNOMIAL64(TAIL_Q, t, below);
    EACH z[n] = z[n] / below[n];
    i64 far = (i64){0};
    EACH far |= (i64)(r[n] > FAR_START);
    if (any64(far)) {
        f64 above[UNITS];
        EACH t[n] = r[n] - FAR_START;
        POLYNOMIAL64(FAR_P, t, above);
        POLYNOMIAL64(FAR_Q, t, below);
        EACH z[n] = chosen64((i64)(r[n] > FAR_START), above[n] / below[n], z[n]);
    }
}

/* The normal distribution's inverse between any two points, from the nearer tail. */
INLINE void inverse64(const u32 *words, const f64 *numbers, f64 *z) {
    const f64 centre = numbers[0], half = numbers[1], below = numbers[2], above = numbers[3];
    f64 p[UNITS], r[UNITS], under[UNITS];
    i64 steps[UNITS], outside = {0};
    EACH {
        steps[n] = odd64((u64)words[n], 10);
        p[n] = whole_double(steps[n]) * 0x1p-53 * half + centre;
        r[n] = CENTRE_SQUARE - p[n] * p[n];
        outside |= (i64)(p[n] > CENTRE_END) | (i64)(p[n] < -CENTRE_END);
    }
    POLYNOMIAL64(CENTRE_P, r, z);
    POLYNOMIAL64(CENTRE_Q, r, under);
    EACH z[n] = z[n] * p[n] / under[n];
    if (any64(outside)) {
        f64 mass[UNITS], point[UNITS];
        EACH {
            /* Sums of positive terms, which keep their digits however small they are. */
            i64 down = (i64)(p[n] < -CENTRE_END), distance = ((steps[n] ^ ~down) - ~down) + 0x20000000000000;
            mass[n] = whole_double(distance) * 0x1p-53 * half + chosen64(down, below, above);
        }
        tail_point(mass, point);
        EACH {
            i64 up = (i64)(p[n] > CENTRE_END), down = (i64)(p[n] < -CENTRE_END);
            u64 sign = (u64)down & 0x8000000000000000u;
            z[n] = chosen64(up | down, (f64)((u64)point[n] ^ sign), z[n]);
        }
    }
}

/* ---- From words to elements ------------------------------------------------------------------------------ */

/* Draws some groups from block `first` on. Inlined into a function for each kernel, in which `kernel` and `scaled`
 * are constant: whether there is only a scale to multiply by, and neither a location nor a bound. */
INLINE void run32(const struct job *job, const struct philox *p, uint32_t first, uint64_t groups,
                  char *restrict out, enum kernel kernel, int scaled) {
    const f32 location = all32((float)job->location);
    const f32 scale = all32((float)job->scale * (kernel == UNIFORM ? 0x1p-24f : 1.0f));
    const f32 low = all32((float)job->low), high = all32((float)job->high);
    const f32 numbers[2] = {all32((float)job->numbers[0]), all32((float)job->numbers[1])};
    for (; groups; groups--, first += UNITS * W / 2) {
        u32 a[UNITS], b[UNITS];
        f32 even[UNITS], odd[UNITS];
        draw(p, first, 0, a, b);
        switch (kernel) {
        case UNIFORM: uniform32(a, even), uniform32(b, odd); break;
        case NORMAL: normal32(a, b, even, odd), normal32(a + HALF, b + HALF, even + HALF, odd + HALF); break;
        case TWO_SIGMA: two_sigma32(a, even), two_sigma32(b, odd); break;
        default: cut32(a, numbers, even), cut32(b, numbers, odd);
        }
        EACH {
            f32 x = even[n] * scale, y = odd[n] * scale;
            if (!scaled) {
                x = less32(greater32(x + location, low), high);
                y = less32(greater32(y + location, low), high);
            }
            store(out, (u32)interleaved32_low(x, y));
            store(out + sizeof x, (u32)interleaved32_high(x, y));
            out += 2 * sizeof x;
        }
    }
}

INLINE void run64(const struct job *job, const struct philox *p, uint32_t first, uint64_t groups,
                  char *restrict out, enum kernel kernel) {
    const f64 location = all64f(job->location), scale = all64f(job->scale);
    const f64 low = all64f(job->low), high = all64f(job->high);
    const f64 numbers[4] = {all64f(job->numbers[0]), all64f(job->numbers[1]), all64f(job->numbers[2]),
                            all64f(job->numbers[3])};
    for (; groups; groups--, first += UNITS * W / 2) {
        u32 a[UNITS], b[UNITS];
        f64 even[UNITS], odd[UNITS];
        draw(p, first, 1, a, b);
        switch (kernel) {
        case UNIFORM: uniform64(a, even), uniform64(b, odd); break;
        case NORMAL: normal64(a, b, even, odd); break;
        default: inverse64(a, numbers, even), inverse64(b, numbers, odd);
        }
        EACH {
            f64 x = less64(greater64(even[n] * scale + location, low), high);
            f64 y = less64(greater64(odd[n] * scale + location, low), high);
            store(out, (u32)interleaved64_low(x, y));
            store(out + sizeof x, (u32)interleaved64_high(x, y));
            out += 2 * sizeof x;
        }
    }
}

typedef void loop(const struct job *, const struct philox *, uint32_t first, uint64_t groups, char *out);

#define LOOP(name, run, ...)                                                                                  \
    static void name(const struct job *job, const struct philox *p, uint32_t first, uint64_t groups,          \
                     char *out) {                                                                             \
        run(job, p, first, groups, out, __VA_ARGS__);                                                         \
    }

LOOP(uniform32_scaled, run32, UNIFORM, 1)
LOOP(uniform32_whole, run32, UNIFORM, 0)
LOOP(normal32_scaled, run32, NORMAL, 1)
LOOP(normal32_whole, run32, NORMAL, 0)
LOOP(two_sigma_whole, run32, TWO_SIGMA, 0)
LOOP(cut_whole, run32, CUT, 0)
LOOP(uniform64_whole, run64, UNIFORM)
LOOP(normal64_whole, run64, NORMAL)
LOOP(inverse_whole, run64, INVERSE)

/* Whether neither the location nor the clamp changes a float32. No uniform and no normal is 0, whose sign a sum would
 * lose. Rounding keeps the order of numbers, so a uniform's ends tell whether it reaches a bound. */
static int is_scaled32(const struct job *job) {
    const float low = (float)job->low, high = (float)job->high;
    const float reach = job->kernel == UNIFORM ? (1.0f - 0x1p-24f) * (float)job->scale : (float)INFINITY;
    return (float)job->location == 0 && low <= -reach && reach <= high;
}

static loop *loop_of(const struct job *job) {
    const int scaled = !job->wide && is_scaled32(job);
    switch (job->kernel) {
    case UNIFORM: return job->wide ? uniform64_whole : scaled ? uniform32_scaled : uniform32_whole;
    case NORMAL: return job->wide ? normal64_whole : scaled ? normal32_scaled : normal32_whole;
    case TWO_SIGMA: return two_sigma_whole;
    case CUT: return cut_whole;
    default: return inverse_whole;
    }
}

/* ---- Narrow types ---------------------------------------------------------------------------------------- */

/* A narrow type, as numbers to calculate with. */
struct target {
    int dropped, down;          /* digits that float32 has more; from its sign to this one */
    uint32_t rebias, smallest;  /* between the exponents; the least number that is not subnormal */
    uint32_t unit, zero_sign;   /* what is added to a subnormal number; a mask */
};

static struct target target_of(const struct job *job) {
    const int dropped = 23 - job->digits, above = job->least + 126;
    return (struct target){
        .dropped = dropped,
        .down = 32 - 8 * job->itemsize,
        .rebias = (uint32_t)above << job->digits,
        .smallest = (uint32_t)(above + 1) << 23,
        .unit = (uint32_t)(above + 1 + dropped) << 23,
        .zero_sign = job->unsigned_zero ? 0 : ~0u,
    };
}

/* A float32 in the narrow type, ties to even, by integer operations; `full` says that its exponents are float32's. */
INLINE uint32_t narrowed(uint32_t bits, struct target t, int full) {
    uint32_t size = bits & 0x7FFFFFFFu;
    uint32_t number = ((size + ((1u << (t.dropped - 1)) - 1) + ((size >> t.dropped) & 1)) >> t.dropped) - t.rebias;
    if (!full) {
        /* The sum rounds to the last digit of a subnormal number, and ends in its bits. */
        float small, unit;
        memcpy(&small, &size, sizeof small);
        memcpy(&unit, &t.unit, sizeof unit);
        small += unit;
        uint32_t sum;
        memcpy(&sum, &small, sizeof sum);
        number = size < t.smallest ? sum - t.unit : number;
    }
    uint32_t sign = (bits & SIGN) >> t.down;
    return number | (sign & (number ? ~0u : t.zero_sign));
}

#define NARROW(name, type, full)                                                                              \
    static void name(struct target t, const char *restrict from, uint64_t count, char *restrict out) {        \
        for (uint64_t n = 0; n < count; n++) {                                                                \
            uint32_t bits;                                                                                    \
            memcpy(&bits, from + 4 * n, 4);                                                                   \
            type element = (type)narrowed(bits, t, full);                                                     \
            memcpy(out + sizeof element * n, &element, sizeof element);                                       \
        }                                                                                                     \
    }

NARROW(narrow_bfloat16, uint16_t, 1)
NARROW(narrow_two_bytes, uint16_t, 0)
NARROW(narrow_one_byte, uint8_t, 0)

static void narrow(const struct job *job, const char *from, uint64_t count, char *out) {
    const struct target t = target_of(job);
    if (job->itemsize == 1)
        narrow_one_byte(t, from, count, out);
    else if (job->least == -126)
        narrow_bfloat16(t, from, count, out);
    else
        narrow_two_bytes(t, from, count, out);
}

static void single_all(const char *restrict from, uint64_t count, char *restrict out) {
    for (uint64_t n = 0; n < count; n++) {
        double number;
        memcpy(&number, from + 8 * n, 8);
        float element = (float)number;
        memcpy(out + 4 * n, &element, 4);
    }
}

/* Elements that have been drawn, in the type of the array. */
static void put(const struct job *job, const char *tile, uint64_t count, char *out) {
    char singles[TILE * 4];
    if (job->wide && job->itemsize < 8) {
        single_all(tile, count, singles);
        tile = singles;
    }
    if (job->itemsize >= 4)
        memcpy(out, tile, count * (uint64_t)job->itemsize);
    else
        narrow(job, tile, count, out);
}

/* ---- The whole of a job ---------------------------------------------------------------------------------- */

INLINE uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

void FILL(const struct job *job) {
    loop *const run = loop_of(job);
    const uint64_t per_block = job->wide ? 2 : 4, blocks = UNITS * W / 2, per_group = blocks * per_block;
    const uint64_t size = job->wide ? 8 : 4, itemsize = (uint64_t)job->itemsize;
    char *out = job->out;
    _Alignas(64) char tile[TILE * 8];
    uint64_t start = job->start, left = job->count;

    while (left) {
        const uint64_t block = start / per_block, skip = start % per_block;
        /* Counter word 1 changes every 2**32 blocks. */
        const uint64_t same = 0x100000000u - (block & 0xFFFFFFFFu);
        struct philox p;
        begin(&p, job->stream, block);
        uint64_t count = least(left, same * per_block - skip) / per_group * per_group;
        if (size == itemsize && !skip && count) {
            run(job, &p, (uint32_t)block, count / per_group, out);
        } else {
            /* Beginnings, ends and other types are made aside. */
            count = least(least(left, same * per_block - skip), TILE - skip);
            run(job, &p, (uint32_t)block, (skip + count + per_group - 1) / per_group, tile);
            put(job, tile + skip * size, count, out);
        }
        start += count;
        left -= count;
        out += count * itemsize;
    }
}
