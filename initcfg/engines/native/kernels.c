/* The kernels of stream version 1 for one instruction set: compiled once for each, as initcfg_fill_NAME.
 *
 * Every step is an integer operation or IEEE + - * / sqrt, rounded once, in the order of the reference
 * (kernels32.py, kernels64.py, philox.py), whose bits these are. docs/explanation/streams.md has the formulas.
 * Compile without contraction and without fast-math: a fused multiply-add is another number.
 */
#include "fill.h"
#include "vectors.h"

#include "constants.h"

/* A unit is W / 2 blocks: 2 W elements of 32 bits or W of 64. Units side by side hide the latency of a product. */
#define MOST_UNITS 4
#define UNROLL _Pragma("GCC unroll 16")
#define EACH UNROLL for (int n = 0; n < units; n++)
#define TILE 1024 /* elements; what any instruction set makes at a time divides it */
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

/* The words of each block from `first` on, in the low halves of 64-bit lanes; the high halves are rubbish. */
INLINE void draw(const struct philox *p, uint32_t first, u64 r[4][MOST_UNITS], int units) {
    const u64 m0 = all64(MULTIPLIER0), m1 = all64(MULTIPLIER1), lanes = {BLOCK_OF_LANE};
    EACH {
        u64 low = product32(all64(first + (uint32_t)n * (W / 2)) + lanes, m0);
        u64 high = product32((low >> 32) ^ p->early[3], m1);
        r[0][n] = (high >> 32) ^ p->early[0];
        r[1][n] = high;
        r[2][n] = low ^ p->early[1];
        r[3][n] = p->early[2];
    }
    UNROLL
    for (int round = 2; round < 10; round++) {
        EACH {
            u64 a = product32(r[0][n], m0), b = product32(r[2][n], m1);
            r[0][n] = (b >> 32) ^ (r[1][n] ^ p->key0[round]);
            r[2][n] = (a >> 32) ^ (r[3][n] ^ p->key1[round]);
            r[1][n] = b;
            r[3][n] = a;
        }
    }
}

/* ---- float32 ------------------------------------------------------------------------------------------- */

INLINE f32 all32(float value) { return value - (f32){0}; }
INLINE f64 all64f(double value) { return value - (f64){0}; }

/* Horner's rule from the highest degree, c ascending. */
INLINE f32 polynomial32(const float *c, int degree, f32 x) {
    f32 sum = x * all32(c[degree]);
    for (int n = degree - 1; n > 0; n--) sum = (sum + all32(c[n])) * x;
    return sum + all32(c[0]);
}

INLINE f64 polynomial64(const double *c, int degree, f64 x) {
    f64 sum = x * all64f(c[degree]);
    for (int n = degree - 1; n > 0; n--) sum = (sum + all64f(c[n])) * x;
    return sum + all64f(c[0]);
}
#define POLYNOMIAL32(c, x) polynomial32(c, sizeof(c) / sizeof(float) - 1, x)
#define POLYNOMIAL64(c, x) polynomial64(c, sizeof(c) / sizeof(double) - 1, x)

/* -log x for normal x = 2**k * (1 + f), with 1 + f in [2/3, 4/3). */
INLINE f32 negative_log32(f32 x) {
    i32 shift = ((i32)x - LOG32_SPLIT) & -0x800000;
    f32 f = (f32)((i32)x - shift) - 1.0f;
    return (POLYNOMIAL32(LOG32, f) * (f * f) - f) + single(shift) * all32(LOG32_EXPONENT);
}

INLINE f32 uniform32(u32 words) { return single(((i32)words >> 7) | 1) * 0x1p-24f; }

/* Box and Muller (1958): `a` gives the radius, `b` an angle in (-pi/4, pi/4) and the eighth of the circle. */
INLINE void normal32(u32 a, u32 b, f32 *cosine, f32 *sine) {
    f32 x = (single((i32)(a >> 1)) + 0.5f) * 0x1p-31f;
    f32 radius = root32(greater32(negative_log32(x), all32(NORMAL32_FLOOR)));
    f32 t = single(((i32)(b << 2) >> 2) | 1) * 0x1p-30f;
    f32 square = t * t;
    u32 s = (u32)(POLYNOMIAL32(SIN32, square) * t);
    u32 c = (u32)POLYNOMIAL32(COS32, square) ^ (b & SIGN);
    u32 swap = (c ^ s) & (u32)((i32)(b << 1) >> 31);
    *cosine = (f32)(c ^ swap) * radius;
    *sine = (f32)(s ^ swap) * radius;
}

INLINE f32 two_sigma32(u32 words) {
    f32 x = single((i32)words | 1) * all32(TWO_SIGMA_SCALE);
    f32 y = 1.0f - x * x;
    return x * POLYNOMIAL32(TWO_SIGMA_P, y) / POLYNOMIAL32(TWO_SIGMA_Q, y);
}

/* `numbers`: erf(c / sqrt(2)) * 2**-31, which scales, and erfc(c / sqrt(2)): 1 - x without cancellation. */
INLINE f32 cut32(u32 words, const f32 *numbers) {
    const f32 scale = numbers[0], tail = numbers[1];
    i32 odd = (i32)words | 1;
    i32 negative = odd >> 31;
    i32 size = (odd ^ negative) - negative;
    f32 x = single(size) * scale;
    f32 above = single((i32)(SIGN - (u32)size)) * scale + tail;
    f32 w = negative_log32(above * (x + 1.0f));
    f32 z = x * POLYNOMIAL32(CUT_P, w) / POLYNOMIAL32(CUT_Q, w);
    return (f32)((u32)z | ((u32)odd & SIGN));
}

/* ---- float64 ------------------------------------------------------------------------------------------- */

/* -log x for normal x, after fdlibm: x = 2**k * (1 + f), s = f / (2 + f). */
INLINE f64 negative_log64(f64 x) {
    i64 shift = ((i64)x - LOG64_SPLIT) & -0x10000000000000;
    f64 f = (f64)((i64)x - shift) - 1.0;
    f64 s = f / (f + 2.0);
    f64 square = s * s;
    f64 half = f * 0.5 * f;
    f64 k = whole_double(shift >> 52);
    f64 series = (POLYNOMIAL64(LOG64, square) * square + half) * s + k * all64f(LN2_LOW);
    return half - series - f - k * all64f(LN2_HIGH);
}

INLINE i64 odd64(u64 words, int shift) { return ((i64)words >> shift) | 1; }
INLINE f64 uniform64(u64 words) { return whole_double(odd64(words, 10)) * 0x1p-53; }

INLINE void normal64(u64 a, u64 b, f64 *cosine, f64 *sine) {
    f64 x = (whole_double((i64)(a >> 11)) + 0.5) * 0x1p-53;
    f64 logarithm = greater64(negative_log64(x), all64f(NORMAL64_FLOOR));
    f64 radius = root64(logarithm + logarithm);
    f64 theta = whole_double(odd64(b << 2, 11)) * 0x1p-52 * all64f(HALF_PI) * 0.5;
    f64 square = theta * theta;
    f64 half = square * 0.5;
    f64 rest = 1.0 - half;
    u64 s = (u64)(POLYNOMIAL64(SIN64, square) * (theta * square) + theta);
    u64 c = (u64)(POLYNOMIAL64(COS64, square) * square * square + (1.0 - rest - half) + rest);
    c ^= b & 0x8000000000000000u;
    u64 swap = (c ^ s) & (u64)((i64)(b << 1) >> 63);
    *cosine = (f64)(c ^ swap) * radius;
    *sine = (f64)(s ^ swap) * radius;
}

/* The point with so much mass above it, for masses up to 0.075 (AS 241, Wichura 1988). */
INLINE f64 tail_point(f64 mass) {
    f64 r = root64(negative_log64(mass));
    f64 t = r - TAIL_SHIFT;
    f64 z = POLYNOMIAL64(TAIL_P, t) / POLYNOMIAL64(TAIL_Q, t);
    i64 far = (i64)(r > FAR_START);
    if (any64(far)) {
        t = r - FAR_START;
        z = chosen64(far, POLYNOMIAL64(FAR_P, t) / POLYNOMIAL64(FAR_Q, t), z);
    }
    return z;
}

/* The normal distribution's inverse between any two points, from the nearer tail. */
INLINE f64 inverse64(u64 words, const f64 *numbers) {
    const f64 centre = numbers[0], half = numbers[1], below = numbers[2], above = numbers[3];
    i64 steps = odd64(words, 10);
    f64 p = whole_double(steps) * 0x1p-53 * half + centre;
    f64 r = CENTRE_SQUARE - p * p;
    f64 z = POLYNOMIAL64(CENTRE_P, r) * p / POLYNOMIAL64(CENTRE_Q, r);
    i64 up = (i64)(p > CENTRE_END), down = (i64)(p < -CENTRE_END);
    if (any64(up | down)) {
        /* Sums of positive terms, which keep their digits however small they are. */
        i64 distance = ((steps ^ ~down) - ~down) + 0x20000000000000;
        f64 end = chosen64(down, below, above);
        f64 point = tail_point(whole_double(distance) * 0x1p-53 * half + end);
        u64 sign = (u64)down & 0x8000000000000000u;
        z = chosen64(up | down, (f64)((u64)point ^ sign), z);
    }
    return z;
}

/* ---- From words to elements ------------------------------------------------------------------------------ */

/* Draws `groups` times `units` units from block `first` on. Inlined into a function for each kernel, in which
 * `kernel` and `units` are constants. */
INLINE void run32(const struct job *job, const struct philox *p, uint32_t first, uint64_t groups,
                  char *restrict out, enum kernel kernel, int units) {
    const f32 location = all32((float)job->location), scale = all32((float)job->scale);
    const f32 low = all32((float)job->low), high = all32((float)job->high);
    const f32 numbers[2] = {all32((float)job->numbers[0]), all32((float)job->numbers[1])};
    for (uint64_t group = 0; group < groups; group++, first += (uint32_t)units * W / 2) {
        u64 r[4][MOST_UNITS];
        draw(p, first, r, units);
        EACH {
            const u32 a = paired(r[0][n], r[2][n]), b = paired(r[1][n], r[3][n]);
            f32 even, odd;
            switch (kernel) {
            case UNIFORM: even = uniform32(a), odd = uniform32(b); break;
            case NORMAL: normal32(a, b, &even, &odd); break;
            case TWO_SIGMA: even = two_sigma32(a), odd = two_sigma32(b); break;
            default: even = cut32(a, numbers), odd = cut32(b, numbers);
            }
            even = less32(greater32(even * scale + location, low), high);
            odd = less32(greater32(odd * scale + location, low), high);
            const f32 elements[2] = {interleaved32_low(even, odd), interleaved32_high(even, odd)};
            memcpy(out, elements, sizeof elements);
            out += sizeof elements;
        }
    }
}

INLINE void run64(const struct job *job, const struct philox *p, uint32_t first, uint64_t groups,
                  char *restrict out, enum kernel kernel, int units) {
    const f64 location = all64f(job->location), scale = all64f(job->scale);
    const f64 low = all64f(job->low), high = all64f(job->high);
    const f64 numbers[4] = {all64f(job->numbers[0]), all64f(job->numbers[1]), all64f(job->numbers[2]),
                            all64f(job->numbers[3])};
    for (uint64_t group = 0; group < groups; group++, first += (uint32_t)units * W / 2) {
        u64 r[4][MOST_UNITS];
        draw(p, first, r, units);
        EACH {
            const u64 a = (u64)paired(r[0][n], r[1][n]), b = (u64)paired(r[2][n], r[3][n]);
            f64 even, odd;
            switch (kernel) {
            case UNIFORM: even = uniform64(a), odd = uniform64(b); break;
            case NORMAL: normal64(a, b, &even, &odd); break;
            default: even = inverse64(a, numbers), odd = inverse64(b, numbers);
            }
            even = less64(greater64(even * scale + location, low), high);
            odd = less64(greater64(odd * scale + location, low), high);
            const f64 elements[2] = {interleaved64_low(even, odd), interleaved64_high(even, odd)};
            memcpy(out, elements, sizeof elements);
            out += sizeof elements;
        }
    }
}

struct loop {
    void (*run)(const struct job *, const struct philox *, uint32_t first, uint64_t groups, char *out);
    uint32_t units;
};

#define LOOP(name, run_of_width, kernel, units)                                                               \
    static void name##_run(const struct job *job, const struct philox *p, uint32_t first, uint64_t groups,    \
                           char *out) {                                                                       \
        run_of_width(job, p, first, groups, out, kernel, units);                                              \
    }                                                                                                         \
    static const struct loop name = {name##_run, units};

LOOP(loop_uniform32, run32, UNIFORM, 2)
LOOP(loop_normal32, run32, NORMAL, 4)
LOOP(loop_two_sigma, run32, TWO_SIGMA, 4)
LOOP(loop_cut, run32, CUT, 4)
LOOP(loop_uniform64, run64, UNIFORM, 2)
LOOP(loop_normal64, run64, NORMAL, 2)
LOOP(loop_inverse, run64, INVERSE, 2)

static const struct loop *loop_of(const struct job *job) {
    switch (job->kernel) {
    case UNIFORM: return job->wide ? &loop_uniform64 : &loop_uniform32;
    case NORMAL: return job->wide ? &loop_normal64 : &loop_normal32;
    case TWO_SIGMA: return &loop_two_sigma;
    case CUT: return &loop_cut;
    default: return &loop_inverse;
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

void FILL(const struct job *job) {
    const struct loop *const loop = loop_of(job);
    const uint64_t per_block = job->wide ? 2 : 4, blocks = loop->units * W / 2, at_a_time = blocks * per_block;
    const int size = job->wide ? 8 : 4, direct = size == job->itemsize;
    char *out = job->out;
    _Alignas(64) char tile[TILE * 8];
    uint64_t start = job->start, left = job->count;

    while (left) {
        const uint64_t block = start / per_block, skip = start % per_block;
        /* Counter word 1 changes every 2**32 blocks. */
        const uint64_t same = 0x100000000u - (block & 0xFFFFFFFFu);
        struct philox p;
        begin(&p, job->stream, block);
        uint64_t count = left, groups = left / at_a_time;
        if (groups > same / blocks) groups = same / blocks;
        if (direct && !skip && groups) {
            count = groups * at_a_time;
            loop->run(job, &p, (uint32_t)block, groups, out);
        } else {
            if (count > TILE - skip) count = TILE - skip;
            if (count > same * per_block - skip) count = same * per_block - skip;
            loop->run(job, &p, (uint32_t)block, (skip + count + at_a_time - 1) / at_a_time, tile);
            put(job, tile + skip * (uint64_t)size, count, out);
        }
        start += count;
        left -= count;
        out += count * (uint64_t)job->itemsize;
    }
}
