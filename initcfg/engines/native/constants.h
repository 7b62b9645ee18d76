/* constants.py for C, digit by digit: tests/unit/engines/test_native.py holds the two against each other. */
#ifndef INITCFG_CONSTANTS_H
#define INITCFG_CONSTANTS_H

#define MULTIPLIER0 0xD2511F53u
#define MULTIPLIER1 0xCD9E8D57u
#define KEY_STEP0 0x9E3779B9u
#define KEY_STEP1 0xBB67AE85u
#define LOG32_SPLIT 0x3F2AAAAB
#define LOG64_SPLIT 0x3FE6A09E00000000
#define LOG32_EXPONENT -0x1.62e43p-24f
#define NORMAL32_FLOOR 0x1p-26f
#define TWO_SIGMA_SCALE 0x1.e8b43p-32f
#define NORMAL64_FLOOR 0x1p-55
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define HALF_PI 0x1.921fb54442d18p0
#define CENTRE_END 0x1.b333333333333p-2
#define CENTRE_SQUARE 0x1.71eb851eb851fp-3
#define TAIL_SHIFT 0x1.999999999999ap0
#define FAR_START 0x1.4p2

static const float LOG32[] = {
    0x1.ffffe6p-2f, -0x1.555e42p-2f, 0x1.001068p-2f, -0x1.95dffep-3f, 0x1.50bb82p-3f, -0x1.5bf936p-3f,
    0x1.388912p-3f,
};
static const float SIN32[] = {
    0x1.1c5832p1f, -0x1.d3ba9cp-1f, 0x1.cdabbp-4f, -0x1.af30f6p-8f,
};
static const float COS32[] = {
    0x1.6a09e6p0f, -0x1.bea566p0f, 0x1.6f402cp-2f, -0x1.d8dc84p-6f,
};
static const float TWO_SIGMA_P[] = {
    0x1.8e253ap1f, 0x1.07073p7f, 0x1.79aa58p9f, 0x1.71f6acp9f, 0x1.0f25e2p6f,
};
static const float TWO_SIGMA_Q[] = {
    0x1p0f, 0x1.cb275p5f, 0x1.c37b1ap8f, 0x1.5756eep9f, 0x1.3bfadcp7f,
};
static const float CUT_P[] = {
    0x1.40d934p0f, 0x1.d2945ap-2f, 0x1.742498p-4f, 0x1.8af732p-7f, 0x1.0b58bcp-10f, 0x1.e3ae66p-16f,
};
static const float CUT_Q[] = {
    0x1p0f, 0x1.a0ca24p-4f, 0x1.0cc2b2p-5f, 0x1.34b2bep-9f, 0x1.63e5fp-13f, 0x1.072442p-20f,
};
static const double LOG64[] = {
    0x1.5555555555593p-1, 0x1.999999997fa04p-2, 0x1.2492494229359p-2, 0x1.c71c51d8e78afp-3,
    0x1.7466496cb03dep-3, 0x1.39a09d078c69fp-3, 0x1.2f112df3e5244p-3,
};
static const double SIN64[] = {
    -0x1.5555555555549p-3, 0x1.111111110f8a6p-7, -0x1.a01a019c161d5p-13, 0x1.71de357b1fe7dp-19,
    -0x1.ae5e68a2b9cebp-26, 0x1.5d93a5acfd57cp-33,
};
static const double COS64[] = {
    0x1.555555555554cp-5, -0x1.6c16c16c15177p-10, 0x1.a01a019cb159p-16, -0x1.27e4f809c52adp-22,
    0x1.1ee9ebdb4b1c4p-29, -0x1.8fae9be8838d4p-37,
};
static const double CENTRE_P[] = {
    0x1.b18d91e9eef75p1, 0x1.0a4888b1a436ep7, 0x1.ece5d2213c0ccp10, 0x1.ad1d8cd4ee71dp13,
    0x1.66c3e869b752ap15, 0x1.06c1c55b78f2p16, 0x1.052d26b2e45e4p15, 0x1.39a296f7d925ep11,
};
static const double CENTRE_Q[] = {
    0x1p0, 0x1.5281b386e1ab5p5, 0x1.5797efdc8b3f7p9, 0x1.512322e75c89fp12, 0x1.4b772d5d65266p14,
    0x1.3317caa64f4bep15, 0x1.c0e457cb1ae76p14, 0x1.46a7eca984b69p12,
};
static const double TAIL_P[] = {
    0x1.6c665fde9526ap0, 0x1.2857748cab19bp2, 0x1.713f71462256ap2, 0x1.d2ecb1a3d02c4p1, 0x1.453cc085375b2p0,
    0x1.ef2abb9b85c37p-3, 0x1.744eb6c45ec67p-6, 0x1.9615ac0b7ace9p-11,
};
static const double TAIL_Q[] = {
    0x1p0, 0x1.06cefbb46a449p1, 0x1.ad278e6526633p0, 0x1.61292f23385c9p-1, 0x1.2f5123394f04p-3,
    0x1.f207a7eab17bfp-7, 0x1.1f18cbfdf2728p-11, 0x1.20d3f686439e4p-30,
};
static const double FAR_P[] = {
    0x1.aa1b1c13ee526p2, 0x1.5daea6e875003p2, 0x1.c8ea6461fa445p0, 0x1.2fad9315255cfp-2,
    0x1.b2b41193b4ee7p-6, 0x1.45c1908425345p-10, 0x1.c6ec6cc59e02ap-16, 0x1.afb74d693bf93p-23,
};
static const double FAR_Q[] = {
    0x1p0, 0x1.331d34fc7d77fp-1, 0x1.186eb183443fbp-3, 0x1.e76f93215462ap-7, 0x1.9c8bc979dc5d7p-11,
    0x1.35c2c496374bfp-16, 0x1.31446f740b9ep-23, 0x1.269bff1f8c19p-49,
};

/* The elementary functions. */
#define INVERSE_LN2 0x1.71547652b82fep0
#define INVERSE_LN2_LOW 0x1.777d0ffda0d24p-56
#define TWO_THIRDS 0x1.5555555555555p-1
#define TWO_THIRDS_LOW 0x1.5555555555555p-55
#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define CIRCULAR_REACH 0x1p30

static const double HALF_PI_PARTS[] = {
    0x1.921fb4p0, 0x1.4442dp-24, 0x1.846988p-48, 0x1.8cc514p-72, 0x1.80dc1cd129025p-95,
};
static const double EXP64[] = {
    0x1.5555555555555p-3, 0x1.5555555555555p-5, 0x1.1111111111111p-7, 0x1.6c16c16c16c17p-10,
    0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-16, 0x1.71de3a556c734p-19, 0x1.27e4fb7789f5cp-22,
    0x1.ae64567f544e4p-26, 0x1.1eed8eff8d898p-29, 0x1.6124613a86d09p-33, 0x1.93974a8c07c9dp-37,
};
static const double LOG64_SERIES[] = {
    0x1.999999999999ap-2, 0x1.2492492492492p-2, 0x1.c71c71c71c71cp-3, 0x1.745d1745d1746p-3,
    0x1.3b13b13b13b14p-3, 0x1.1111111111111p-3, 0x1.e1e1e1e1e1e1ep-4, 0x1.af286bca1af28p-4,
    0x1.8618618618618p-4, 0x1.642c8590b2164p-4, 0x1.47ae147ae147bp-4,
};
static const double ATAN_STARTS[] = {
    0x1.cp-2, 0x1.6p-1, 0x1.3p0, 0x1.38p1,
};
static const double ATAN_CENTRES[] = {
    0x1p-1, 0x1p0, 0x1.8p0,
};
static const double ATAN_HIGH[] = {
    0x1.dac670561bb4fp-2, 0x1.921fb54442d18p-1, 0x1.f730bd281f69bp-1, 0x1.921fb54442d18p0,
};
static const double ATAN_LOW[] = {
    0x1.a2b7f222f65e2p-56, 0x1.1a62633145c07p-55, 0x1.007887af0cbbdp-56, 0x1.1a62633145c07p-54,
};
static const double ATAN64[] = {
    0x1.555555555550dp-2, -0x1.999999998ebc4p-3, 0x1.24924920083ffp-3, -0x1.c71c6fe231671p-4,
    0x1.745cdc54c206ep-4, -0x1.3b0f2af749a6dp-4, 0x1.10d66a0d03d51p-4, -0x1.dde2d52defd9ap-5,
    0x1.97b4b24760debp-5, -0x1.2b4442c6a6c2fp-5, 0x1.0ad3ae322da11p-6,
};

#endif
