/* The elementary functions for one instruction set: compiled once for each, as initcfg_apply_NAME.
 *
 * Line by line what elementary.py does, whose bits these are; the words on the methods are there. Compile without
 * contraction and without fast-math: a fused multiply-add is another number.
 */
#include "fill.h"
#include "vectors.h"

#include "constants.h"

#define LANES64 (W / 2)
#define MAGIC 0x1.8p52
#define MAGIC_BITS 0x4338000000000000u
#define EXPONENT 0xFFF0000000000000u
#define UPPER_HALF 0xFFFFFFFFF8000000u
#define SIGN64 0x8000000000000000u
#define LEAST_NORMAL 0x1p-1022
#define INFINITE __builtin_inf()

/* Two numbers that stand for their sum: the second is what the first lacks. */
struct pair {
    f64 high, low;
};
/* 2**n times a pair, or n right angles and a pair. */
struct parts {
    i64 n;
    f64 high, low;
};

INLINE f64 all64(double value) { return value - (f64){0}; }
INLINE f64 no_number(void) { return (f64)(0x7FF8000000000000u - (u64){0}); }
INLINE f64 either(i64 mask, f64 a, f64 b) { return chosen64(mask, a, b); }
INLINE f64 size_of(f64 x) { return (f64)((u64)x & ~SIGN64); }
INLINE f64 with_sign(f64 size, f64 x) { return (f64)(((u64)size & ~SIGN64) | ((u64)x & SIGN64)); }
INLINE f64 clipped(f64 x, double least, double greatest) {
    return less64(greater64(x, all64(least)), all64(greatest));
}
INLINE f64 where_nan(f64 x, f64 out) { return either((i64)(x != x), no_number(), out); }
INLINE f64 where_far(f64 x, f64 out) { return either((i64)(size_of(x) <= CIRCULAR_REACH), out, no_number()); }

INLINE f64 horner(const double *c, int degree, f64 x) {
    f64 sum = x * c[degree];
    for (int power = degree - 1; power > 0; power--) sum = (sum + c[power]) * x;
    return sum + c[0];
}
#define POLYNOMIAL(c, x) horner(c, sizeof(c) / sizeof(double) - 1, x)

/* ---- Pairs ----------------------------------------------------------------------------------------------- */

INLINE struct pair sum(f64 a, f64 b) {
    f64 total = a + b, rest = total - a;
    return (struct pair){total, (a - (total - rest)) + (b - rest)};
}

INLINE struct pair quick_sum(f64 a, f64 b) {
    f64 total = a + b;
    return (struct pair){total, b - (total - a)};
}

INLINE struct pair product(f64 a, f64 b) {
    f64 high = a * b;
    f64 a_upper = (f64)((u64)a & UPPER_HALF), b_upper = (f64)((u64)b & UPPER_HALF);
    f64 a_lower = a - a_upper, b_lower = b - b_upper;
    f64 low = ((a_upper * b_upper - high) + a_upper * b_lower + a_lower * b_upper) + a_lower * b_lower;
    return (struct pair){high, low};
}

INLINE struct pair quotient(f64 a, f64 a_low, f64 b, f64 b_low) {
    f64 high = a / b;
    struct pair p = product(high, b);
    return (struct pair){high, ((((a - p.high) - p.low) + a_low) - high * b_low) / b};
}

/* ---- Bits ------------------------------------------------------------------------------------------------ */

INLINE f64 two_to(i64 n) { return (f64)((u64)(n + 1023) << 52); }

INLINE f64 scaled(f64 x, i64 n) {
    i64 half = n >> 1;
    return x * two_to(half) * two_to(n - half);
}

INLINE i64 is_whole(f64 x) {
    f64 size = size_of(x);
    return (i64)(size >= 0x1p52) | (i64)((size + 0x1p52) - 0x1p52 == size);
}

/* ---- What the functions share ---------------------------------------------------------------------------- */

INLINE struct parts expm1_of_rest(f64 x, f64 x_low) {
    f64 shifted = x * INVERSE_LN2 + MAGIC, multiple = shifted - MAGIC;
    struct pair r = sum(x - multiple * LN2_HIGH, x_low - multiple * LN2_LOW);
    struct pair square = product(r.high, r.high);
    f64 cubic = r.high * square.high * POLYNOMIAL(EXP64, r.high);
    struct pair out = quick_sum(r.high, 0.5 * square.high);
    f64 low = out.low + (r.low * (1.0 + r.high) + (0.5 * square.low + cubic));
    return (struct parts){(i64)((u64)shifted - MAGIC_BITS), out.high, low};
}

INLINE f64 exp_of_parts(struct parts e) {
    struct pair out = quick_sum(all64(1.0), e.high);
    return scaled(out.high + (out.low + e.low), e.n);
}

INLINE struct parts expm1_parts(f64 x) {
    struct parts e = expm1_of_rest(x, all64(0.0));
    i64 least = -64 - (i64){0}, in_reach = (i64)(-e.n > least);
    struct pair one = sum(all64(1.0), -two_to((-e.n & in_reach) | (least & ~in_reach)));
    struct pair out = sum(one.high, e.high);
    out = quick_sum(out.high, out.low + (one.low + e.low));
    return (struct parts){e.n, out.high, out.low};
}

/* The exponent as a double, and the logarithm of the mantissa. */
struct logarithm {
    f64 exponent, high, low;
};

INLINE struct logarithm log_of_mantissa(f64 x) {
    i64 subnormal = (i64)(x < LEAST_NORMAL);
    u64 bits = (u64)either(subnormal, x * 0x1p54, x), shift = (bits - LOG64_SPLIT) & EXPONENT;
    f64 exponent = whole_double((i64)shift >> 52) - either(subnormal, all64(54.0), all64(0.0));
    f64 m = (f64)(bits - shift);
    struct pair under = quick_sum(all64(1.0), m);
    struct pair s = quotient(m - 1.0, all64(0.0), under.high, under.low);
    struct pair z = product(s.high, s.high);
    z.low = z.low + 2.0 * s.high * s.low;
    struct pair series = quick_sum(all64(TWO_THIRDS), z.high * POLYNOMIAL(LOG64_SERIES, z.high));
    struct pair u = product(z.high, series.high);
    u.low = u.low + (z.high * (series.low + TWO_THIRDS_LOW) + z.low * series.high);
    struct pair v = product(s.high, u.high);
    v.low = v.low + (s.high * u.low + s.low * u.high);
    struct pair out = quick_sum(2.0 * s.high, v.high);
    out = quick_sum(out.high, out.low + (v.low + 2.0 * s.low));
    return (struct logarithm){exponent, out.high, out.low};
}

INLINE struct pair log_pair(f64 x) {
    struct logarithm l = log_of_mantissa(x);
    struct pair out = quick_sum(l.exponent * LN2_HIGH, l.high);
    return quick_sum(out.high, out.low + (l.low + l.exponent * LN2_LOW));
}

INLINE f64 log_ends(f64 x, f64 out) {
    out = either((i64)(x == INFINITE), all64(INFINITE), out);
    out = either((i64)(x == 0.0), all64(-INFINITE), out);
    return either((i64)(x >= 0.0), out, no_number());
}

INLINE struct parts rest_of_right_angle(f64 x) {
    f64 shifted = x * TWO_OVER_PI + MAGIC, multiple = shifted - MAGIC;
    struct pair r = sum((x - multiple * HALF_PI_PARTS[0]) - multiple * HALF_PI_PARTS[1], -(multiple * HALF_PI_PARTS[2]));
    struct pair more = sum(r.high, -(multiple * HALF_PI_PARTS[3]));
    r = quick_sum(more.high, (r.low + more.low) - multiple * HALF_PI_PARTS[4]);
    return (struct parts){(i64)((u64)shifted - MAGIC_BITS), r.high, r.low};
}

struct circular {
    struct pair sin, cos;
};

INLINE struct circular sin_cos(f64 r, f64 r_low, f64 square) {
    f64 half = 0.5 * square, one = 1.0 - half;
    f64 sin_low = r * square * POLYNOMIAL(SIN64, square) + r_low * one;
    f64 cos_low = ((1.0 - one) - half) + (square * square * POLYNOMIAL(COS64, square) - r * r_low);
    return (struct circular){{r, sin_low}, {one, cos_low}};
}

INLINE i64 is_odd(i64 n) { return (i64)((n & 1) != 0); }

INLINE f64 sin_of_quadrant(i64 n, f64 r, f64 r_low) {
    struct circular c = sin_cos(r, r_low, r * r);
    f64 out = either(is_odd(n), c.cos.high + c.cos.low, c.sin.high + c.sin.low);
    return (f64)(((u64)n & 2) << 62 ^ (u64)out);
}

/* ---- The functions --------------------------------------------------------------------------------------- */

INLINE f64 exp_of(f64 x) { return where_nan(x, exp_of_parts(expm1_of_rest(clipped(x, -800.0, 800.0), all64(0.0)))); }

INLINE f64 expm1_of(f64 x) {
    struct parts e = expm1_parts(clipped(x, -60.0, 800.0));
    return where_nan(x, either((i64)(x == 0.0), x, scaled(e.high + e.low, e.n)));
}

INLINE f64 log_of(f64 x) {
    struct pair l = log_pair(x);
    return log_ends(x, l.high + l.low);
}

INLINE f64 log2_of(f64 x) {
    struct logarithm l = log_of_mantissa(x);
    struct pair p = product(l.high, all64(INVERSE_LN2));
    p.low = p.low + (l.high * INVERSE_LN2_LOW + l.low * INVERSE_LN2);
    struct pair out = quick_sum(l.exponent, p.high);
    return log_ends(x, out.high + (out.low + p.low));
}

INLINE f64 log1p_of(f64 x) {
    struct pair u = sum(all64(1.0), x), l = log_pair(u.high);
    f64 out = log_ends(u.high, l.high + (l.low + u.low / u.high));
    return either((i64)(x == 0.0) | (i64)(x == INFINITE), x, out);
}

INLINE f64 sin_of(f64 x) {
    struct parts a = rest_of_right_angle(x);
    return where_far(x, either((i64)(x == 0.0), x, sin_of_quadrant(a.n, a.high, a.low)));
}

INLINE f64 cos_of(f64 x) {
    struct parts a = rest_of_right_angle(x);
    return where_far(x, sin_of_quadrant(a.n + 1, a.high, a.low));
}

INLINE f64 tan_of(f64 x) {
    struct parts a = rest_of_right_angle(x);
    struct pair square = product(a.high, a.high);
    struct circular c = sin_cos(a.high, a.low, square.high);
    struct pair sin = quick_sum(c.sin.high, c.sin.low);
    struct pair cos = quick_sum(c.cos.high, c.cos.low - 0.5 * square.low);
    i64 odd = is_odd(a.n);
    struct pair out = quotient(either(odd, -cos.high, sin.high), either(odd, -cos.low, sin.low),
                               either(odd, sin.high, cos.high), either(odd, sin.low, cos.low));
    return where_far(x, either((i64)(x == 0.0), x, out.high + out.low));
}

INLINE f64 tanh_of(f64 x) {
    f64 half = clipped(size_of(x), 0.0, 30.0);
    struct parts e = expm1_parts(half + half);
    f64 over = scaled(e.high, e.n), over_low = scaled(e.low, e.n);
    struct pair under = sum(all64(2.0), over);
    struct pair out = quotient(over, over_low, under.high, under.low + over_low);
    return where_nan(x, with_sign(out.high + out.low, x));
}

INLINE f64 atan_of(f64 x) {
    f64 size = size_of(x), over = size, under = all64(1.0), base = all64(0.0), base_low = all64(0.0);
    for (int n = 0; n < 4; n++) {
        i64 beyond = (i64)(size >= ATAN_STARTS[n]);
        over = either(beyond, n < 3 ? size - ATAN_CENTRES[n] : all64(-1.0), over);
        under = either(beyond, n < 3 ? 1.0 + ATAN_CENTRES[n] * size : size, under);
        base = either(beyond, all64(ATAN_HIGH[n]), base);
        base_low = either(beyond, all64(ATAN_LOW[n]), base_low);
    }
    f64 t = over / under, z = t * t;
    f64 out = base - ((t * (z * POLYNOMIAL(ATAN64, z)) - base_low) - t);
    return where_nan(x, with_sign(out, x));
}

INLINE f64 power_of(f64 x, f64 y) {
    f64 size = size_of(x), infinite = all64(INFINITE);
    struct pair l = log_pair(size);
    f64 factor = clipped(y, -0x1p70, 0x1p70);
    struct pair p = product(factor, l.high);
    p.low = p.low + factor * l.low;
    f64 within = clipped(p.high, -800.0, 800.0);
    f64 out = exp_of_parts(expm1_of_rest(within, either((i64)(within == p.high), p.low, all64(0.0))));

    i64 endless = (i64)(size == infinite), y_endless = (i64)(size_of(y) == infinite);
    i64 grows = ~((i64)(size > 1.0) ^ (i64)(y > 0.0));
    out = either((i64)(size == 0.0) | endless | y_endless, either(grows, infinite, all64(0.0)), out);
    i64 whole = is_whole(y), negative = (i64)x < 0;
    out = either(negative & whole & ~is_whole(0.5 * y), -out, out);
    i64 none = (i64)(x != x) | (i64)(y != y) | (negative & ~whole & (i64)(size != 0.0) & ~endless);
    out = either(none, no_number(), out);
    return either((i64)(y == 0.0) | (i64)(x == 1.0) | ((i64)(x == -1.0) & y_endless), all64(1.0), out);
}

/* ---- Over arrays ----------------------------------------------------------------------------------------- */

typedef double loose __attribute__((vector_size(4 * W), aligned(1), may_alias));

/* The last few elements go through memory aside, whose other lanes are 0. */
#define OVER(value)                                                                                        \
    for (uint64_t at = 0; at < count; at += LANES64) {                                                     \
        const uint64_t left = count - at, bytes = (left < LANES64 ? left : LANES64) * sizeof(double);      \
        f64 a = {0}, b = {0};                                                                              \
        if (left >= LANES64) {                                                                             \
            a = *(const loose *)(x + at);                                                                  \
            b = *(const loose *)(y + at);                                                                  \
            *(loose *)(out + at) = value;                                                                  \
        } else {                                                                                           \
            memcpy(&a, x + at, bytes);                                                                     \
            memcpy(&b, y + at, bytes);                                                                     \
            a = value;                                                                                     \
            memcpy(out + at, &a, bytes);                                                                   \
        }                                                                                                  \
    }                                                                                                      \
    break

void APPLY(int32_t function, const double *x, const double *y, double *out, uint64_t count) {
    switch ((enum function)function) {
    case EXP: OVER(exp_of(a));
    case LOG: OVER(log_of(a));
    case LOG2: OVER(log2_of(a));
    case EXPM1: OVER(expm1_of(a));
    case LOG1P: OVER(log1p_of(a));
    case SIN: OVER(sin_of(a));
    case COS: OVER(cos_of(a));
    case TAN: OVER(tan_of(a));
    case TANH: OVER(tanh_of(a));
    case ATAN: OVER(atan_of(a));
    case POW: OVER(power_of(a, b));
    }
}
