"""The coefficients of stream version 1, to the bit. A change of any of them is a new stream version.

Polynomials are ascending. The single-precision ones are minimax fits of this project, rounded to float32;
docs/explanation/streams.md gives their errors. The double-precision ones are published:

- fdlibm (Sun Microsystems, 1993): ``e_log.c``, ``k_sin.c``, ``k_cos.c``, ``s_atan.c``;
- AS 241 (Wichura, "The Percentage Points of the Normal Distribution", Applied Statistics 37, 1988), PPND16.
"""

from __future__ import annotations

import math

_hex = float.fromhex

# Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC11).
PHILOX_ROUNDS = 10
PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)

# The largest |z| of the normal kernels is 6.6604 and 8.6521: bounds from here on cut nothing.
NORMAL_REACH = {"float32": 6.6605, "float64": 8.653}

# Below this, a product inside a kernel could be subnormal.
LEAST_SCALE = 1e-30

# float32: -log(1 + f) = f * f * P(f) - f on [-1/3, 1/3), to 1.92e-7.
LOG32 = (
    _hex("0x1.ffffe6p-2"),
    _hex("-0x1.555e42p-2"),
    _hex("0x1.001068p-2"),
    _hex("-0x1.95dffep-3"),
    _hex("0x1.50bb82p-3"),
    _hex("-0x1.5bf936p-3"),
    _hex("0x1.388912p-3"),
)
# -ln(2) * 2**-23: turns the exponent bits of a float32, as an integer, into its share of -log.
LOG32_EXPONENT = _hex("-0x1.62e430p-24")
# The bits of 2/3: an argument is split into 2**k and a factor in [2/3, 4/3).
LOG32_SPLIT = 0x3F2AAAAB
NORMAL32_FLOOR = 2.0**-26

# float32: sqrt(2) * sin(pi/2 * t) = t * S(t * t), to 1.7e-8; sqrt(2) * cos(pi/2 * t) = C(t * t), to 3.6e-8.
SIN32 = (_hex("0x1.1c5832p+1"), _hex("-0x1.d3ba9cp-1"), _hex("0x1.cdabb0p-4"), _hex("-0x1.af30f6p-8"))
COS32 = (_hex("0x1.6a09e6p+0"), _hex("-0x1.bea566p+0"), _hex("0x1.6f402cp-2"), _hex("-0x1.d8dc84p-6"))

# float32: sqrt(2) * erfinv(x) = x * P(y) / Q(y), y = 1 - x * x, |x| <= erf(sqrt(2)), to 8.3e-8.
TWO_SIGMA_SCALE = _hex("0x1.e8b430p-32")
TWO_SIGMA_P = (
    _hex("0x1.8e253ap+1"),
    _hex("0x1.070730p+7"),
    _hex("0x1.79aa58p+9"),
    _hex("0x1.71f6acp+9"),
    _hex("0x1.0f25e2p+6"),
)
TWO_SIGMA_Q = (
    1.0,
    _hex("0x1.cb2750p+5"),
    _hex("0x1.c37b1ap+8"),
    _hex("0x1.5756eep+9"),
    _hex("0x1.3bfadcp+7"),
)

# float32: sqrt(2) * erfinv(x) = x * P(w) / Q(w), w = -log((1 - x) * (1 + x)), up to 6 sigma, to 1.3e-7.
CUT_RANGE = (2.0**-20, 6.0)
CUT_P = (
    _hex("0x1.40d934p+0"),
    _hex("0x1.d2945ap-2"),
    _hex("0x1.742498p-4"),
    _hex("0x1.8af732p-7"),
    _hex("0x1.0b58bcp-10"),
    _hex("0x1.e3ae66p-16"),
)
CUT_Q = (
    1.0,
    _hex("0x1.a0ca24p-4"),
    _hex("0x1.0cc2b2p-5"),
    _hex("0x1.34b2bep-9"),
    _hex("0x1.63e5f0p-13"),
    _hex("0x1.072442p-20"),
)

# float64: fdlibm's logarithm, ln(2) in two parts and the seven terms of its series in s * s, s = f / (2 + f).
LOG64_SPLIT = 0x3FE6A09E00000000
LN2_HIGH = _hex("0x1.62e42feep-1")
LN2_LOW = _hex("0x1.a39ef35793c76p-33")
LOG64 = (
    _hex("0x1.5555555555593p-1"),
    _hex("0x1.999999997fa04p-2"),
    _hex("0x1.2492494229359p-2"),
    _hex("0x1.c71c51d8e78afp-3"),
    _hex("0x1.7466496cb03dep-3"),
    _hex("0x1.39a09d078c69fp-3"),
    _hex("0x1.2f112df3e5244p-3"),
)
NORMAL64_FLOOR = 2.0**-55

# float64: fdlibm's sine and cosine on [-pi/4, pi/4], from the terms in theta**3 and theta**4.
HALF_PI = _hex("0x1.921fb54442d18p+0")
SIN64 = (
    _hex("-0x1.5555555555549p-3"),
    _hex("0x1.111111110f8a6p-7"),
    _hex("-0x1.a01a019c161d5p-13"),
    _hex("0x1.71de357b1fe7dp-19"),
    _hex("-0x1.ae5e68a2b9cebp-26"),
    _hex("0x1.5d93a5acfd57cp-33"),
)
COS64 = (
    _hex("0x1.555555555554cp-5"),
    _hex("-0x1.6c16c16c15177p-10"),
    _hex("0x1.a01a019cb1590p-16"),
    _hex("-0x1.27e4f809c52adp-22"),
    _hex("0x1.1ee9ebdb4b1c4p-29"),
    _hex("-0x1.8fae9be8838d4p-37"),
)

# float64, AS 241. The centre, |p - 1/2| <= 0.425: in 0.425**2 - (p - 1/2)**2.
CENTRE_END = 0.425
CENTRE_SQUARE = 0.180625
CENTRE_P = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
CENTRE_Q = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
# The tails: in sqrt(-log(tail)), less 1.6 up to 5 and less 5 beyond.
TAIL_SHIFT = 1.6
TAIL_P = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
TAIL_Q = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)
FAR_START = 5.0
FAR_P = (
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
)
FAR_Q = (
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)
# 64-bit draws on a smaller mass would reach subnormal tails.
LEAST_MASS = 2.0**-960

# The elementary functions (elementary.py). A number and its `_LOW` are together twice as precise.
INVERSE_LN2, INVERSE_LN2_LOW = _hex("0x1.71547652b82fep+0"), _hex("0x1.777d0ffda0d24p-56")
TWO_THIRDS, TWO_THIRDS_LOW = 2 / 3, 2.0**-54 * (2 / 3)
TWO_OVER_PI = _hex("0x1.45f306dc9c883p-1")
# Four parts of 23 bits, and the next 53 bits.
HALF_PI_PARTS = (
    _hex("0x1.921fb4p+0"),
    _hex("0x1.4442dp-24"),
    _hex("0x1.846988p-48"),
    _hex("0x1.8cc514p-72"),
    _hex("0x1.80dc1cd129025p-95"),
)
# Up to here the parts leave 57 bits of what lies nearest to a multiple of pi/2.
CIRCULAR_REACH = 2.0**30
# Taylor series, long enough that what is left out is below 2**-60 of the value: exp(r) from r**3 on, and
# 2 atanh(s) from s**5 on, in s**2.
EXP64 = tuple(1 / math.factorial(n) for n in range(3, 15))
LOG64_SERIES = tuple(2 / (2 * n + 1) for n in range(2, 13))
# From which size on the arc tangent is taken from a centre, the centres, and their own; the last is infinity.
ATAN_STARTS = (0.4375, 0.6875, 1.1875, 2.4375)
ATAN_CENTRES = (0.5, 1.0, 1.5)
ATAN_HIGH = (
    _hex("0x1.dac670561bb4fp-2"),
    _hex("0x1.921fb54442d18p-1"),
    _hex("0x1.f730bd281f69bp-1"),
    HALF_PI,
)
ATAN_LOW = (
    _hex("0x1.a2b7f222f65e2p-56"),
    _hex("0x1.1a62633145c07p-55"),
    _hex("0x1.007887af0cbbdp-56"),
    _hex("0x1.1a62633145c07p-54"),
)
ATAN64 = (
    3.33333333333329318027e-01,
    -1.99999999998764832476e-01,
    1.42857142725034663711e-01,
    -1.11111104054623557880e-01,
    9.09088713343650656196e-02,
    -7.69187620504482999495e-02,
    6.66107313738753120669e-02,
    -5.83357013379057348645e-02,
    4.97687799461593236017e-02,
    -3.65315727442169155270e-02,
    1.62858201153657823623e-02,
)
