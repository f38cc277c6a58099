/* PReLU of affine instance norm for one sample (places, channels), forward and backward, in two passes each.
 *
 * `scale` and `shift` hold the norm and its affine part: before = x scale + shift. Sums over places are taken a BLOCK at
 * a time in registers and added up in double precision: there are tens of thousands of places.
 */
#include "matrix_products.h"

enum { BLOCK = 64 };

typedef struct {
    int64_t places, channels;
} Layout;

static inline vec where(ivec first, vec a, vec b) { return (vec)((first & (ivec)a) | (~first & (ivec)b)); }

static void add_lanes(vec sum, double *to) {
    float lanes[LANES];
    store(lanes, sum);
    for (int i = 0; i < LANES; i++) to[i] += lanes[i];
}

/* Places first .. last - 1, here and below. sums (2, channels): of x above the sample's first place, and its square. */
int norm_moments(const float *x, double *sums, Layout layout, int64_t first, int64_t last) {
    int64_t n = layout.channels;
    for (int64_t row = first; row < last; row += BLOCK) {
        int64_t end = row + BLOCK < last ? row + BLOCK : last;
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

int norm_prelu(const float *x, const float *scale, const float *shift, const float *slope, float *out, Layout layout,
               int64_t first, int64_t last) {
    int64_t n = layout.channels;
    for (int64_t r = first; r < last; r++)
        for (int64_t c = 0; c < n; c += LANES) {
            vec before = load(x + r * n + c) * load(scale + c) + load(shift + c);
            store(out + r * n + c, where(before > 0, before, before * load(slope + c)));
        }
    return 0;
}

/* sums (3, channels): gradients of shift and of the slope, and of scale with x counted from `mean`. */
int norm_prelu_sums(const float *x, const float *grad_out, const float *scale, const float *shift, const float *slope,
                    const float *mean, double *sums, Layout layout, int64_t first, int64_t last) {
    int64_t n = layout.channels;
    for (int64_t row = first; row < last; row += BLOCK) {
        int64_t end = row + BLOCK < last ? row + BLOCK : last;
        for (int64_t c = 0; c < n; c += LANES) {
            vec grad_shift = {0}, grad_slope = {0}, grad_scale = {0}, factor = load(slope + c), centre = load(mean + c);
            for (int64_t r = row; r < end; r++) {
                vec value = load(x + r * n + c), before = value * load(scale + c) + load(shift + c);
                vec grad = load(grad_out + r * n + c);
                grad_slope += where(before > 0, (vec){0}, before * grad);
                grad = where(before > 0, grad, grad * factor);
                grad_shift += grad;
                grad_scale += grad * (value - centre);
            }
            add_lanes(grad_shift, sums + c);
            add_lanes(grad_slope, sums + n + c);
            add_lanes(grad_scale, sums + 2 * n + c);
        }
    }
    return 0;
}

/* Gradient of x: that at fixed scale and shift, plus x coefficient + offset for what x does to mean and deviation. */
int norm_prelu_backward(const float *x, const float *grad_out, const float *scale, const float *shift,
                        const float *slope, const float *coefficient, const float *offset, float *grad_x,
                        Layout layout, int64_t first, int64_t last) {
    int64_t n = layout.channels;
    for (int64_t r = first; r < last; r++)
        for (int64_t c = 0; c < n; c += LANES) {
            vec value = load(x + r * n + c), before = value * load(scale + c) + load(shift + c);
            vec grad = load(grad_out + r * n + c);
            grad = where(before > 0, grad, grad * load(slope + c)) * load(scale + c);
            store(grad_x + r * n + c, grad + value * load(coefficient + c) + load(offset + c));
        }
    return 0;
}
