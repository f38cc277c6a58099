/* Each channel's own convolution along sequences of tokens, forward and backward, a sequence at a time in cache.
 *
 * out_i = bias + sum_k weight_k x_{i + k - taps / 2}, zero outside. A sequence is copied with zeros around it to groups
 * of LANES channels, (channels / LANES, n + taps + ROUND, LANES). weight is (taps, channels).
 */
#include "matrix_products.h"
#include "sequences.h"

enum { ROUND = 8 }; /* results, or taps of the weight's gradient, that stay in registers */

typedef struct {
    Sequences sequences;
    int64_t channels, taps;
} Layout;

static inline int64_t padded(const Layout *at) { return at->sequences.n + at->taps + ROUND; }

static void copy_in(const float *x, const Layout *at, int64_t base, float *groups) {
    for (int64_t i = 0; i < at->sequences.n; i++)
        for (int64_t c = 0; c < at->channels; c += LANES)
            store(groups + padded(at) * c + (i + at->taps / 2) * LANES,
                  load(x + (base + i * at->sequences.step) * at->channels + c));
}

/* Results of ROUND tokens and LANES channels; `turn` is 1, or -1 for the taps in reverse order. */
ALWAYS void results(const float *group, const float *weight, int64_t channels, int64_t taps, int64_t turn, vec start,
                    vec sum[ROUND]) {
    for (int r = 0; r < ROUND; r++) sum[r] = start;
    for (int64_t k = 0; k < taps; k++) {
        vec tap = load(weight + turn * k * channels);
        for (int r = 0; r < ROUND; r++) sum[r] += tap * load(group + (k + r) * LANES);
    }
}

/* Sequences first .. last - 1, here and below. moments (sequences, 2, channels): sums over the sequence of what lies
 * above its first result, and of its square. Returns 0, or 1 when memory is short. */
int depthwise_conv(const float *x, const float *weight, const float *bias, float *out, float *moments, Layout layout,
                   int64_t first, int64_t last) {
    const Layout *at = &layout;
    int64_t n = at->sequences.n, channels = at->channels, size = padded(at) * channels;
    float *groups = scratch_for(size);
    if (!groups) return 1;
    memset(groups, 0, size * 4);
    for (int64_t s = first; s < last; s++) {
        int64_t base = base_of(&at->sequences, s);
        copy_in(x, at, base, groups);
        for (int64_t c = 0; c < channels; c += LANES) {
            vec total = {0}, squares = {0}, origin = {0}, sum[ROUND];
            for (int64_t i = 0; i < n; i += ROUND) {
                results(groups + padded(at) * c + i * LANES, weight + c, channels, at->taps, 1, load(bias + c), sum);
                if (i == 0) origin = sum[0];
                for (int r = 0; r < ROUND && i + r < n; r++) {
                    vec above = sum[r] - origin;
                    total += above;
                    squares += above * above;
                    store(out + (base + (i + r) * at->sequences.step) * channels + c, sum[r]);
                }
            }
            store(moments + 2 * s * channels + c, total);
            store(moments + (2 * s + 1) * channels + c, squares);
        }
    }
    free(groups);
    return 0;
}

/* Gradient of x (written), those of weight and bias (added to `sums`). */
int depthwise_conv_backward(const float *x, const float *weight, const float *grad_out, float *grad_x, float *sums,
                            Layout layout, int64_t first, int64_t last) {
    const Layout *at = &layout;
    int64_t n = at->sequences.n, channels = at->channels, taps = at->taps, size = padded(at) * channels;
    float *groups = scratch_for(2 * size);
    if (!groups) return 1;
    float *grads = groups + size;
    memset(groups, 0, 2 * size * 4);
    for (int64_t s = first; s < last; s++) {
        int64_t base = base_of(&at->sequences, s);
        copy_in(x, at, base, groups);
        copy_in(grad_out, at, base, grads);
        for (int64_t c = 0; c < channels; c += LANES) {
            const float *group = groups + padded(at) * c, *grad = grads + padded(at) * c;
            vec sum[ROUND], total = load(sums + taps * channels + c);
            for (int64_t i = 0; i < n; i += ROUND) {
                results(grad + i * LANES, weight + (taps - 1) * channels + c, channels, taps, -1, (vec){0}, sum);
                for (int r = 0; r < ROUND && i + r < n; r++)
                    store(grad_x + (base + (i + r) * at->sequences.step) * channels + c, sum[r]);
            }
            grad += taps / 2 * LANES;
            for (int64_t i = 0; i < n; i++) total += load(grad + i * LANES);
            store(sums + taps * channels + c, total);
            for (int64_t k = 0; k < taps; k += ROUND) {
                for (int r = 0; r < ROUND; r++) sum[r] = (vec){0};
                for (int64_t i = 0; i < n; i++) {
                    vec slope = load(grad + i * LANES);
                    for (int r = 0; r < ROUND; r++) sum[r] += slope * load(group + (i + k + r) * LANES);
                }
                for (int r = 0; r < ROUND && k + r < taps; r++) {
                    float *to = sums + (k + r) * channels + c;
                    store(to, load(to) + sum[r]);
                }
            }
        }
    }
    free(groups);
    return 0;
}
