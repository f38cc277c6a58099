/* Causal convolution of the dense nets, kernel 2 x 3, dilated along time, forward and backward.
 *
 * Arrays are (B, T, F, channels), each frame's F places in a row. Tap (a, m) joins place (t, f) of the result with
 * (t - (1 - a) dilation, f + m - 1) of the input: for a whole frame that is one matrix product on the rows as they lie,
 * without a padded or rearranged copy. Weights are (2, 3, inputs, outputs), `back` (2, 3, outputs, inputs).
 */
#include "matrix_products.h"

typedef struct {
    int64_t frames, bins, inputs, outputs, dilation;
} Layout;

/* Places f of the result that tap m joins with a place inside: first .. first + count - 1. */
static inline int64_t first_place(int m) { return m == 0; }
static inline int64_t place_count(const Layout *at, int m) { return at->bins - (m != 1); }

/* Frames first .. last - 1 of all utterances in a row. */
int causal_conv(const float *x, const float *weight, const float *bias, float *out, Layout layout, int64_t first,
                int64_t last) {
    const Layout *at = &layout;
    int64_t in = at->inputs, to = at->outputs;
    for (int64_t frame = first; frame < last; frame++) {
        float *result = out + frame * at->bins * to;
        fill_rows(bias, to, at->bins, result);
        for (int a = 0; a < 2; a++) {
            int64_t delay = (1 - a) * at->dilation;
            if (frame % at->frames < delay) continue;
            const float *source = x + (frame - delay) * at->bins * in;
            for (int m = 0; m < 3; m++) {
                int64_t f = first_place(m);
                add_product(source + (f + m - 1) * in, in, place_count(at, m), in, weight + (3 * a + m) * in * to, to,
                            result + f * to, to);
            }
        }
    }
    return 0;
}

/* Gradients of x (written) and of the weight, laid out as `back` (added to `sums`). */
int causal_conv_backward(const float *x, const float *back, const float *grad_out, float *grad_x, float *sums,
                         Layout layout, int64_t first, int64_t last) {
    const Layout *at = &layout;
    int64_t in = at->inputs, to = at->outputs;
    /* One gradient after the other: together they would not fit the second-level cache. */
    for (int pass = 0; pass < 2; pass++)
        for (int64_t frame = first; frame < last; frame++) {
            const float *source = x + frame * at->bins * in;
            float *grad = grad_x + frame * at->bins * in;
            if (pass == 0) memset(grad, 0, at->bins * in * 4);
            for (int a = 0; a < 2; a++) {
                int64_t delay = (1 - a) * at->dilation;
                if (frame % at->frames + delay >= at->frames) continue;
                const float *reached = grad_out + (frame + delay) * at->bins * to;
                for (int m = 0; m < 3; m++) {
                    int64_t f = first_place(m), tap = (3 * a + m) * in * to, count = place_count(at, m);
                    if (pass == 0)
                        add_product(reached + f * to, to, count, to, back + tap, in, grad + (f + m - 1) * in, in);
                    else
                        add_transposed_product(reached + f * to, to, to, source + (f + m - 1) * in, in, in, count,
                                               sums + tap);
                }
            }
        }
    return 0;
}
