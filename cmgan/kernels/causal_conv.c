/* Causal convolution of the dense nets, kernel (1 or 2) x 3, dilated along time, forward and backward.
 *
 * Arrays are (B, T, F, channels). Along frequency it is Winograd's F(2, 3) (Lavin and Gray 2016): two neighbouring
 * results take 4 products in place of 6. With d the four inputs around them, g the three taps, and the rows
 *     v = (d0 - d2, d1 + d2, d2 - d1, d1 - d3),  u = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2),  m_p = v_p u_p,
 * the results are m0 + m1 + m2 and m1 - m2 - m3. For a whole frame each m_p is one matrix product over all pairs.
 * Row a of the kernel meets frame t - (heights - 1 - a) dilation. Products run over all rows and a CHUNK of channels at
 * once, as `taps` lie, that hold u: for each p and chunk, (heights, channels of the chunk, outputs).
 */
#include "matrix_products.h"

enum { POINTS = 4, CHUNK = 64 }; /* channels whose v, and sums of gradients, stay in the second-level cache */

typedef struct {
    int64_t frames, bins, inputs, outputs, heights, dilation; /* a negative dilation looks ahead */
} Layout;

static inline int64_t pairs_of(const Layout *at) { return (at->bins + 1) / 2; }

/* The frame that row a of the kernel joins with a frame of the result, or -1 where that lies outside. */
static int64_t joined(const Layout *at, int64_t frame, int64_t a, int64_t direction) {
    int64_t t = frame % at->frames - direction * (at->heights - 1 - a) * at->dilation;
    return t < 0 || t >= at->frames ? -1 : frame - frame % at->frames + t;
}

/* Channels of a frame (bins, inputs) -> v (POINTS, pairs, width); `zeros` stands for places and frames outside. */
static void spread_inputs(const float *x, int64_t frame, int64_t count, const Layout *at, const float *zeros, float *v,
                          int64_t width) {
    int64_t pairs = pairs_of(at), plane = pairs * width;
    for (int64_t i = 0; i < pairs; i++, v += width) {
        const float *d[POINTS];
        for (int64_t k = 0, f = 2 * i - 1; k < POINTS; k++, f++)
            d[k] = frame < 0 || f < 0 || f >= at->bins ? zeros : x + (frame * at->bins + f) * at->inputs;
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
static void gather_results(const float *m, const float *bias, const Layout *at, float *out) {
    int64_t n = at->outputs, plane = pairs_of(at) * n;
    for (int64_t f = 0; f < at->bins; f += 2, m += n, out += 2 * n)
        for (int64_t c = 0; c < n; c += LANES) {
            vec start = load(bias + c), m1 = load(m + plane + c), m2 = load(m + 2 * plane + c);
            store(out + c, start + load(m + c) + m1 + m2);
            if (f + 1 < at->bins) store(out + n + c, start + m1 - m2 - load(m + 3 * plane + c));
        }
}

/* Transpose of `gather_results`: one frame of its gradient -> (POINTS, pairs, outputs). */
static void spread_gradients(const float *grad, const Layout *at, const float *zeros, float *z) {
    int64_t n = at->outputs, plane = pairs_of(at) * n;
    for (int64_t f = 0; f < at->bins; f += 2, z += n, grad += 2 * n) {
        const float *second = f + 1 < at->bins ? grad + n : zeros;
        for (int64_t c = 0; c < n; c += LANES) {
            vec g0 = load(grad + c), g1 = load(second + c);
            store(z + c, g0);
            store(z + plane + c, g0 + g1);
            store(z + 2 * plane + c, g0 - g1);
            store(z + 3 * plane + c, -g1);
        }
    }
}

/* Frames first .. last - 1 of all utterances in a row, here and below. Returns 0, or 1 when memory is short.
 * The gradient of x is the same with outputs for inputs, taps turned around and time running back. */
int causal_conv(const float *x, const float *taps, const float *bias, float *out, Layout layout, int64_t first,
                int64_t last) {
    const Layout *at = &layout;
    int64_t in = at->inputs, to = at->outputs, pairs = pairs_of(at), heights = at->heights;
    float *zeros = scratch_for(CHUNK + POINTS * pairs * (heights * CHUNK + to));
    if (!zeros) return 1;
    float *v = zeros + CHUNK, *m = v + POINTS * pairs * heights * CHUNK;
    memset(zeros, 0, CHUNK * 4);
    for (int64_t frame = first; frame < last; frame++) {
        for (int64_t c = 0; c < in; c += CHUNK) {
            int64_t count = in - c < CHUNK ? in - c : CHUNK, width = heights * count;
            for (int64_t a = 0; a < heights; a++)
                spread_inputs(x + c, joined(at, frame, a, 1), count, at, zeros, v + a * count, width);
            for (int64_t p = 0; p < POINTS; p++) {
                float *sum = m + p * pairs * to;
                product(v + p * pairs * width, width, pairs, width, taps + (p * in + c) * heights * to, to, to,
                        c ? sum : NULL, to, sum, to);
            }
        }
        gather_results(m, bias, at, out + frame * at->bins * to);
    }
    free(zeros);
    return 0;
}

/* Gradient of the taps, (heights, POINTS, outputs, inputs), added to `sums`. */
int causal_conv_weight(const float *x, const float *grad_out, float *sums, Layout layout, int64_t first, int64_t last) {
    const Layout *at = &layout;
    int64_t in = at->inputs, to = at->outputs, pairs = pairs_of(at), zero_count = to > CHUNK ? to : CHUNK;
    float *zeros = scratch_for(zero_count + POINTS * pairs * (CHUNK + to));
    if (!zeros) return 1;
    float *v = zeros + zero_count, *z = v + POINTS * pairs * CHUNK;
    memset(zeros, 0, zero_count * 4);
    for (int64_t c = 0; c < in; c += CHUNK)
        for (int64_t frame = first; frame < last; frame++) {
            int64_t count = in - c < CHUNK ? in - c : CHUNK;
            spread_inputs(x + c, frame, count, at, zeros, v, CHUNK);
            for (int64_t a = 0; a < at->heights; a++) {
                int64_t reached = joined(at, frame, a, -1);
                if (reached < 0) continue;
                spread_gradients(grad_out + reached * at->bins * to, at, zeros, z);
                for (int p = 0; p < POINTS; p++)
                    add_transposed_product(z + p * pairs * to, to, to, v + p * pairs * CHUNK, CHUNK, count, pairs,
                                           sums + (a * POINTS + p) * to * in + c, in);
            }
        }
    free(zeros);
    return 0;
}
