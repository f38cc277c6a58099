/* What the dense nets are made of, forward and backward: causal convolution, instance norm with PReLU.
 *
 * The convolution has a kernel of (1 or 2) x 3, dilated along time, on arrays (B, T, F, channels). Along frequency it is
 * Winograd's F(2, 3) (Lavin and Gray 2016): two neighbouring results take 4 products in place of 6. With d the four
 * inputs around them, g the three taps, and the rows
 *     v = (d0 - d2, d1 + d2, d2 - d1, d1 - d3),  u = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2),  m_p = v_p u_p,
 * the results are m0 + m1 + m2 and m1 - m2 - m3. For a whole frame each m_p is one matrix product over all pairs.
 * Row a of the kernel meets frame t - (heights - 1 - a) dilation. Products run over all rows and a CHUNK of channels at
 * once, as `taps` lie, that hold u: for each p and chunk, (heights, channels of the chunk, outputs).
 *
 * The norm takes one sample (places, n channels) at a time; `scale` and `shift` hold it and its affine part. Sums over
 * places are taken a BLOCK at a time in registers and added up in double precision: there are tens of thousands.
 */
#include "matrix_products.h"

enum { POINTS = 4, CHUNK = 64 }; /* channels whose v, and sums of gradients, stay in the second-level cache */
enum { BLOCK = 64 };

typedef struct {
    int64_t frames, bins, inputs, outputs, heights, dilation; /* a negative dilation looks ahead */
} Convolution;

static inline int64_t pairs_of(const Convolution *at) { return (at->bins + 1) / 2; }

/* The frame that row a of the kernel joins with a frame of the result, or -1 where that lies outside. */
static int64_t joined(const Convolution *at, int64_t frame, int64_t a, int64_t direction) {
    int64_t t = frame % at->frames - direction * (at->heights - 1 - a) * at->dilation;
    return t < 0 || t >= at->frames ? -1 : frame - frame % at->frames + t;
}

/* Channels of a frame (bins, inputs) -> v (POINTS, pairs, width); `outside` holds zeros. */
static void spread_inputs(const float *x, int64_t frame, int64_t count, const Convolution *at, const float *outside,
                          float *v, int64_t width) {
    int64_t pairs = pairs_of(at), plane = pairs * width;
    for (int64_t i = 0; i < pairs; i++, v += width) {
        const float *d[POINTS];
        for (int64_t k = 0, f = 2 * i - 1; k < POINTS; k++, f++)
            d[k] = frame < 0 || f < 0 || f >= at->bins ? outside : x + (frame * at->bins + f) * at->inputs;
        for (int64_t c = 0; c < count; c += LANES) {
            vec d1 = load(d[1] + c), d2 = load(d[2] + c);
            store(v + c, load(d[0] + c) - d2);
            store(v + plane + c, d1 + d2);
            store(v + 2 * plane + c, d2 - d1);
            store(v + 3 * plane + c, d1 - load(d[3] + c));
        }
    }
}

/* m (POINTS, pairs, outputs) -> one frame of the result. */
static void gather_results(const float *m, const float *bias, const Convolution *at, float *out) {
    int64_t n = at->outputs, plane = pairs_of(at) * n;
    for (int64_t f = 0; f < at->bins; f += 2, m += n, out += 2 * n)
        for (int64_t c = 0; c < n; c += LANES) {
            vec start = load(bias + c), m1 = load(m + plane + c), m2 = load(m + 2 * plane + c);
            store(out + c, start + load(m + c) + m1 + m2);
            if (f + 1 < at->bins) store(out + n + c, start + m1 - m2 - load(m + 3 * plane + c));
        }
}

/* Transpose of `gather_results`: one frame of its gradient -> (POINTS, pairs, outputs). */
static void spread_gradients(const float *grad, const Convolution *at, const float *outside, float *z) {
    int64_t n = at->outputs, plane = pairs_of(at) * n;
    for (int64_t f = 0; f < at->bins; f += 2, z += n, grad += 2 * n) {
        const float *second = f + 1 < at->bins ? grad + n : outside;
        for (int64_t c = 0; c < n; c += LANES) {
            vec g0 = load(grad + c), g1 = load(second + c);
            store(z + c, g0);
            store(z + plane + c, g0 + g1);
            store(z + 2 * plane + c, g0 - g1);
            store(z + 3 * plane + c, -g1);
        }
    }
}

/* Arrays x, taps, bias, out. Frames first .. last - 1 of all utterances in a row, here and below. Returns 0, or 1 when
 * memory is short. The gradient of x is the same with outputs for inputs, taps turned around and time running back. */
int causal_conv(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *x = arrays[0], *taps = arrays[1], *bias = arrays[2];
    float *out = arrays[3];
    const Convolution *at = layer;
    int64_t in = at->inputs, to = at->outputs, pairs = pairs_of(at), heights = at->heights;
    float *outside = scratch_for(CHUNK + POINTS * pairs * (heights * CHUNK + to));
    if (!outside) return 1;
    float *v = outside + CHUNK, *m = v + POINTS * pairs * heights * CHUNK;
    memset(outside, 0, CHUNK * 4);
    for (int64_t frame = first; frame < last; frame++) {
        for (int64_t c = 0; c < in; c += CHUNK) {
            int64_t count = smaller(in - c, CHUNK), width = heights * count;
            for (int64_t a = 0; a < heights; a++)
                spread_inputs(x + c, joined(at, frame, a, 1), count, at, outside, v + a * count, width);
            for (int64_t p = 0; p < POINTS; p++) {
                float *sum = m + p * pairs * to;
                product(v + p * pairs * width, width, pairs, width, taps + (p * in + c) * heights * to, to, to,
                        c ? sum : NULL, to, sum, to);
            }
        }
        gather_results(m, bias, at, out + frame * at->bins * to);
    }
    free(outside);
    return 0;
}

/* Arrays x, grad_out, sums (heights, POINTS, outputs, inputs), to which the gradient of the taps is added. */
int causal_conv_weight(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *x = arrays[0], *grad_out = arrays[1];
    float *sums = arrays[2];
    const Convolution *at = layer;
    int64_t in = at->inputs, to = at->outputs, pairs = pairs_of(at), zero_count = to > CHUNK ? to : CHUNK;
    float *outside = scratch_for(zero_count + POINTS * pairs * (CHUNK + to));
    if (!outside) return 1;
    float *v = outside + zero_count, *z = v + POINTS * pairs * CHUNK;
    memset(outside, 0, zero_count * 4);
    for (int64_t c = 0; c < in; c += CHUNK)
        for (int64_t frame = first; frame < last; frame++) {
            int64_t count = smaller(in - c, CHUNK);
            spread_inputs(x + c, frame, count, at, outside, v, CHUNK);
            for (int64_t a = 0; a < at->heights; a++) {
                int64_t reached = joined(at, frame, a, -1);
                if (reached < 0) continue;
                spread_gradients(grad_out + reached * at->bins * to, at, outside, z);
                for (int p = 0; p < POINTS; p++)
                    add_transposed_product(z + p * pairs * to, to, to, v + p * pairs * CHUNK, CHUNK, count, pairs,
                                           sums + (a * POINTS + p) * to * in + c, in);
            }
        }
    free(outside);
    return 0;
}

/* LANES channels of one place behind the norm, before PReLU. */
static inline vec normed(const float *x, const float *scale, const float *shift) {
    return load(x) * load(scale) + load(shift);
}

static void add_lanes(vec sum, double *to) {
    float lanes[LANES];
    store(lanes, sum);
    for (int i = 0; i < LANES; i++) to[i] += lanes[i];
}

/* Arrays x, sums (2, channels): of x above the sample's first place, and its square. Places first .. last - 1 of
 * `channels` each, here and below. */
int norm_moments(void *const *arrays, const void *channels, int64_t first, int64_t last) {
    const float *x = arrays[0];
    double *sums = arrays[1];
    int64_t n = *(const int64_t *)channels;
    for (int64_t row = first; row < last; row += BLOCK) {
        int64_t end = smaller(row + BLOCK, last);
        for (int64_t c = 0; c < n; c += LANES) {
            vec origin = load(x + c), total = {0}, squares = {0};
            for (int64_t r = row; r < end; r++) {
                vec above = load(x + r * n + c) - origin;
                total += above;
                squares += above * above;
            }
            add_lanes(total, sums + c);
            add_lanes(squares, sums + n + c);
        }
    }
    return 0;
}

/* Arrays x, scale, shift, slope, out. */
int norm_prelu(void *const *arrays, const void *channels, int64_t first, int64_t last) {
    const float *x = arrays[0], *scale = arrays[1], *shift = arrays[2], *slope = arrays[3];
    float *out = arrays[4];
    int64_t n = *(const int64_t *)channels;
    for (int64_t r = first; r < last; r++)
        for (int64_t c = 0; c < n; c += LANES) {
            vec before = normed(x + r * n + c, scale + c, shift + c);
            store(out + r * n + c, where(before > 0, before, before * load(slope + c)));
        }
    return 0;
}

/* Arrays x, grad_out, scale, shift, slope, mean, sums (3, channels): gradients of shift and of the slope, and of scale
 * with x counted from `mean`. */
int norm_prelu_sums(void *const *arrays, const void *channels, int64_t first, int64_t last) {
    const float *x = arrays[0], *grad_out = arrays[1], *scale = arrays[2], *shift = arrays[3], *slope = arrays[4];
    const float *mean = arrays[5];
    double *sums = arrays[6];
    int64_t n = *(const int64_t *)channels;
    for (int64_t row = first; row < last; row += BLOCK) {
        int64_t end = smaller(row + BLOCK, last);
        for (int64_t c = 0; c < n; c += LANES) {
            vec grad_shift = {0}, grad_slope = {0}, grad_scale = {0}, factor = load(slope + c), centre = load(mean + c);
            for (int64_t r = row; r < end; r++) {
                vec before = normed(x + r * n + c, scale + c, shift + c), grad = load(grad_out + r * n + c);
                grad_slope += where(before > 0, (vec){0}, before * grad);
                grad = where(before > 0, grad, grad * factor);
                grad_shift += grad;
                grad_scale += grad * (load(x + r * n + c) - centre);
            }
            add_lanes(grad_shift, sums + c);
            add_lanes(grad_slope, sums + n + c);
            add_lanes(grad_scale, sums + 2 * n + c);
        }
    }
    return 0;
}

/* Arrays x, grad_out, scale, shift, slope, coefficient, offset, grad_x: that at fixed scale and shift, plus
 * x coefficient + offset for what x does to mean and deviation. */
int norm_prelu_backward(void *const *arrays, const void *channels, int64_t first, int64_t last) {
    const float *x = arrays[0], *grad_out = arrays[1], *scale = arrays[2], *shift = arrays[3], *slope = arrays[4];
    const float *coefficient = arrays[5], *offset = arrays[6];
    float *grad_x = arrays[7];
    int64_t n = *(const int64_t *)channels;
    for (int64_t r = first; r < last; r++)
        for (int64_t c = 0; c < n; c += LANES) {
            vec before = normed(x + r * n + c, scale + c, shift + c), grad = load(grad_out + r * n + c);
            grad = where(before > 0, grad, grad * load(slope + c)) * load(scale + c);
            store(grad_x + r * n + c, grad + load(x + r * n + c) * load(coefficient + c) + load(offset + c));
        }
    return 0;
}
