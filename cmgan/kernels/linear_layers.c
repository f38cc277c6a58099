/* Linear layers of a conformer block with what stands beside them, forward and backward, a few rows at a time in cache:
 *
 * normed_linear  out = gate(W norm(x) + b): norm without scale and shift (the caller folds them into W and b); gate, if
 *                asked for, takes values times sigmoid of gates from the two halves of the row.
 * added_linear   out = x + dropout(W f(c) + b): f is the identity, or swish of (c - centre) scale + shift, a batch norm.
 *
 * Weights are (inputs, outputs), `back` is the transpose. Gradients of weights are laid out as `back`.
 */
#include "dropout.h"
#include "matrix_products.h"

enum { TILE = 96 };

typedef struct {
    int64_t inputs, outputs;
    const float *weight, *bias, *back, *centre, *scale, *shift; /* centre is null: no batch norm and swish; or no gate */
    Dropout dropout;
    int64_t gated;
} Layer;

static void affine(const Layer *at, const float *x, int64_t rows, float *out) {
    int64_t n = at->inputs, m = at->outputs;
    product(x, n, rows, n, at->weight, m, m, at->bias, 0, out, m);
}

static void gate(const float *restrict wide, int64_t half, int64_t rows, float *restrict out) {
    for (int64_t r = 0; r < rows; r++, wide += 2 * half, out += half)
        for (int64_t i = 0; i < half; i++) out[i] = wide[i] * sigmoid(wide[half + i]);
}

/* wide <- its gradient */
static void gate_backward(float *restrict wide, const float *restrict grad, int64_t half, int64_t rows) {
    for (int64_t r = 0; r < rows; r++, wide += 2 * half, grad += half)
        for (int64_t i = 0; i < half; i++) {
            float open = sigmoid(wide[half + i]);
            wide[half + i] = grad[i] * wide[i] * open * (1.0f - open);
            wide[i] = grad[i] * open;
        }
}

/* Rows first .. last - 1, here and below. Returns 0, or 1 when memory is short. */
int normed_linear(const float *x, float *out, Layer layer, int64_t first, int64_t last) {
    const Layer *at = &layer;
    int64_t c = at->inputs, m = at->outputs;
    float *normed = scratch_for(TILE * (c + m + 1));
    if (!normed) return 1;
    float *wide = normed + TILE * c, *inverse = wide + TILE * m;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = last - row < TILE ? last - row : TILE;
        normalise(x + row * c, c, rows, normed, inverse);
        affine(at, normed, rows, at->gated ? wide : out + row * m);
        if (at->gated) gate(wide, m / 2, rows, out + row * (m / 2));
    }
    free(normed);
    return 0;
}

/* Gradient of x (written), those of weight and bias (added to `sums`). */
int normed_linear_backward(const float *x, const float *grad_out, float *grad_x, float *sums, Layer layer,
                           int64_t first, int64_t last) {
    const Layer *at = &layer;
    int64_t c = at->inputs, m = at->outputs;
    float *normed = scratch_for(TILE * (3 * c + m + 1));
    if (!normed) return 1;
    float *grad_normed = normed + TILE * c, *none = grad_normed + TILE * c, *wide = none + TILE * c;
    float *inverse = wide + TILE * m;
    memset(none, 0, TILE * c * 4);
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = last - row < TILE ? last - row : TILE;
        const float *grad = at->gated ? wide : grad_out + row * m;
        normalise(x + row * c, c, rows, normed, inverse);
        if (at->gated) {
            affine(at, normed, rows, wide);
            gate_backward(wide, grad_out + row * (m / 2), m / 2, rows);
        }
        add_transposed_product(grad, m, m, normed, c, c, rows, sums, c);
        add_rows(grad, m, rows, sums + m * c);
        product(grad, m, rows, m, at->back, c, c, NULL, 0, grad_normed, c);
        normalise_backward(grad_normed, normed, inverse, none, c, rows, grad_x + row * c);
    }
    free(normed);
    return 0;
}

static void batch_norm_swish(const Layer *at, const float *c, int64_t rows, float *restrict out) {
    const float *restrict centre = at->centre, *restrict scale = at->scale, *restrict shift = at->shift;
    for (int64_t r = 0, n = at->inputs; r < rows; r++, c += n, out += n)
        for (int64_t i = 0; i < n; i++) {
            float before = (c[i] - centre[i]) * scale[i] + shift[i];
            out[i] = before * sigmoid(before);
        }
}

/* grad <- gradient of c while centre, scale and shift are fixed; those of shift and scale are added. */
static void batch_norm_swish_backward(const Layer *at, const float *c, int64_t rows, float *restrict grad,
                                      float *restrict grad_shift, float *restrict grad_scale) {
    const float *restrict centre = at->centre, *restrict scale = at->scale, *restrict shift = at->shift;
    for (int64_t r = 0, n = at->inputs; r < rows; r++, c += n, grad += n)
        for (int64_t i = 0; i < n; i++) {
            float centred = c[i] - centre[i], before = centred * scale[i] + shift[i], open = sigmoid(before);
            float slope = grad[i] * (open + before * open * (1.0f - open));
            grad_shift[i] += slope;
            grad_scale[i] += slope * centred;
            grad[i] = slope * scale[i];
        }
}

int added_linear(const float *x, const float *c, float *out, Layer layer, int64_t first, int64_t last) {
    const Layer *at = &layer;
    int64_t n = at->inputs, m = at->outputs;
    float *hidden = scratch_for(TILE * (n + m));
    if (!hidden) return 1;
    float *step = hidden + TILE * n;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = last - row < TILE ? last - row : TILE;
        if (at->centre) batch_norm_swish(at, c + row * n, rows, hidden);
        affine(at, at->centre ? hidden : c + row * n, rows, step);
        add_dropout(x + row * m, step, out + row * m, rows * m, row * m, at->dropout);
    }
    free(hidden);
    return 0;
}

/* Gradient of c (written), those of weight, bias and, with a batch norm, shift and scale (added to `sums`). */
int added_linear_backward(const float *c, const float *grad_out, float *grad_c, float *sums, Layer layer,
                          int64_t first, int64_t last) {
    const Layer *at = &layer;
    int64_t n = at->inputs, m = at->outputs;
    float *hidden = scratch_for(TILE * (n + m));
    if (!hidden) return 1;
    float *grad = hidden + TILE * n, *grad_shift = sums + m * n + m;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = last - row < TILE ? last - row : TILE;
        const float *from = c + row * n;
        if (at->centre) batch_norm_swish(at, from, rows, hidden);
        dropout(grad_out + row * m, grad, rows * m, row * m, at->dropout);
        add_transposed_product(grad, m, m, at->centre ? hidden : from, n, n, rows, sums, n);
        add_rows(grad, m, rows, sums + m * n);
        product(grad, m, rows, m, at->back, n, n, NULL, 0, grad_c + row * n, n);
        if (at->centre) batch_norm_swish_backward(at, from, rows, grad_c + row * n, grad_shift, grad_shift + n);
    }
    free(hidden);
    return 0;
}
