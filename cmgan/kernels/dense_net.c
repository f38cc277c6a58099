/* What the dense nets are made of, forward and backward: causal convolution, instance norm with PReLU.
 *
 * The convolution has a kernel of (1 or 2) x 3, dilated along time. Its channels lie in groups of equal width, each an
 * array (B, T, F, width): a dense net keeps what each of its layers puts out as one group. Along frequency it is
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

/* A negative dilation looks ahead. input_width and output_width: channels of a group; places: B T F, those of a group;
 * added: whether the result is added to what is there. */
typedef struct {
    int64_t frames, bins, inputs, outputs, heights, dilation, input_width, output_width, places, added;
} Convolution;

/* LANES channels, the first of them number c, in groups of some width: where the first place of a frame has them. */
static inline int64_t group_of(const Convolution *at, int64_t frame, int64_t c, int64_t width) {
    return (c / width * at->places + frame * at->bins) * width + c % width;
}

static inline int64_t pairs_of(const Convolution *at) { return (at->bins + 1) / 2; }

/* The frame that row a of the kernel joins with a frame of the result, or -1 where that lies outside. */
static int64_t joined(const Convolution *at, int64_t frame, int64_t a, int64_t direction) {
    int64_t t = frame % at->frames - direction * (at->heights - 1 - a) * at->dilation;
    return t < 0 || t >= at->frames ? -1 : frame - frame % at->frames + t;
}

/* Channels c .. c + count - 1 of a frame -> v (POINTS, pairs, width), zeros for a frame that lies outside. */
static void spread_inputs(const float *x, int64_t frame, int64_t c, int64_t count, const Convolution *at, float *v,
                          int64_t width) {
    int64_t pairs = pairs_of(at), plane = pairs * width, pitch = at->input_width;
    for (int64_t end = c + count; c < end; c += LANES, v += LANES) {
        const float *from = frame < 0 ? NULL : x + group_of(at, frame, c, pitch);
        vec d0 = {0}, d1 = from ? load(from) : splat(0);
        float *to = v;
        for (int64_t f = 1; f < 2 * pairs; f += 2, to += width) {
            vec d2 = from && f < at->bins ? load(from + f * pitch) : splat(0);
            vec d3 = from && f + 1 < at->bins ? load(from + (f + 1) * pitch) : splat(0);
            store(to, d0 - d2);
            store(to + plane, d1 + d2);
            store(to + 2 * plane, d2 - d1);
            store(to + 3 * plane, d1 - d3);
            d0 = d2, d1 = d3;
        }
    }
}

/* m (POINTS, pairs, outputs) -> one frame of the result. */
static void gather_results(const float *m, const float *bias, int64_t frame, const Convolution *at, float *out) {
    int64_t n = at->outputs, plane = pairs_of(at) * n, pitch = at->output_width;
    for (int64_t c = 0; c < n; c += LANES, m += LANES) {
        float *to = out + group_of(at, frame, c, pitch);
        const float *from = m;
        for (int64_t f = 0; f < at->bins; f += 2, from += n, to += 2 * pitch) {
            vec m1 = load(from + plane), m2 = load(from + 2 * plane), start = load(bias + c);
            store(to, (at->added ? load(to) : start) + load(from) + m1 + m2);
            if (f + 1 == at->bins) continue;
            store(to + pitch, (at->added ? load(to + pitch) : start) + m1 - m2 - load(from + 3 * plane));
        }
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

/* Arrays x, taps, bias (unused where the result is added), out. Frames first .. last - 1 of all utterances in a row,
 * here and below. Returns 0, or 1 when memory is short. The gradient of x is the same with outputs for inputs, taps
 * turned around and time running back. */
int causal_conv(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *x = arrays[0], *taps = arrays[1], *bias = arrays[2];
    float *out = arrays[3];
    const Convolution *at = layer;
    int64_t in = at->inputs, to = at->outputs, pairs = pairs_of(at), heights = at->heights;
    float *v = scratch_for(POINTS * pairs * (heights * CHUNK + to));
    if (!v) return 1;
    float *m = v + POINTS * pairs * heights * CHUNK;
    for (int64_t frame = first; frame < last; frame++) {
        for (int64_t c = 0; c < in; c += CHUNK) {
            int64_t count = smaller(in - c, CHUNK), width = heights * count;
            for (int64_t a = 0; a < heights; a++)
                spread_inputs(x, joined(at, frame, a, 1), c, count, at, v + a * count, width);
            for (int64_t p = 0; p < POINTS; p++) {
                float *sum = m + p * pairs * to;
                product(v + p * pairs * width, width, pairs, width, taps + (p * in + c) * heights * to, to, to,
                        c ? sum : NULL, to, sum, to);
            }
        }
        gather_results(m, bias, frame, at, out);
    }
    free(v);
    return 0;
}

/* Arrays x, grad_out (one group), sums: to these are added the gradient of the taps (heights, POINTS, outputs, inputs)
 * and, behind it, that of the bias (outputs). */
int causal_conv_weight(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *x = arrays[0], *grad_out = arrays[1];
    float *sums = arrays[2];
    const Convolution *at = layer;
    int64_t in = at->inputs, to = at->outputs, pairs = pairs_of(at);
    float *outside = scratch_for(to + POINTS * pairs * (CHUNK + to));
    if (!outside) return 1;
    float *v = outside + to, *z = v + POINTS * pairs * CHUNK;
    memset(outside, 0, to * 4);
    for (int64_t c = 0; c < in; c += CHUNK)
        for (int64_t frame = first; frame < last; frame++) {
            int64_t count = smaller(in - c, CHUNK);
            spread_inputs(x, frame, c, count, at, v, CHUNK);
            if (!c) add_rows(grad_out + frame * at->bins * to, to, at->bins, sums + at->heights * POINTS * to * in);
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
