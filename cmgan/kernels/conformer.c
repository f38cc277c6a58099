/* A conformer block's steps, a few tokens at a time in cache, and its depthwise convolution, forward and backward.
 *
 * A step is one of
 *     out = c + dropout(W2 dropout(swish(W1 f(c) + b1)) + b2),
 *     out = gate(W1 f(c) + b1): values times sigmoid of gates, the two halves of a row,
 *     out = x + dropout(W1 f(c) + b1), or the same without dropout and x,
 * where f is layer norm, swish of a batch norm, or the identity. Layer norm is without scale and shift, dropout without
 * its factor 1 / (1 - rate): the caller folds them into weights. Widths are multiples of LANES: zeros behind c, x and in
 * weights fill others up. Layer norm and the numbers of dropout's elements are those without the padding.
 *
 * The backward passes need the inputs only: the rest is computed again, dropout's decisions as well. Whether element
 * number i of a layer is kept follows from a hash of i and the layer's two seeds, so that blocks may be taken in any
 * order by any thread.
 */
#include "matrix_products.h"

enum { TILE = 96 }; /* tokens at a time */

/* An element is dropped where its hash is below `threshold` of 2^32. */
typedef struct {
    uint32_t seed, second_seed, threshold;
} Dropout;

/* weight is (inputs, outputs), back its transpose. */
typedef struct {
    int64_t inputs, outputs;
    const float *weight, *bias, *back;
} Linear;

/* second.weight and centre are null where there is no second layer and no batch norm, (c - centre) scale + shift.
 * channels: how many of c are no padding under layer norm, and of the result under dropout. */
typedef struct {
    Linear first, second;
    const float *centre, *scale, *shift;
    Dropout dropout;
    int64_t tokens, channels, normed, gated;
} Step;

/* Wellons' lowbias32, an integer hash, with a seed before and one between its rounds, of elements first, first + 1, ...
 * Numbers beyond 2^32 count through their upper half. */
static inline ivec kept(int64_t first, Dropout at) {
    uvec lanes;
    for (int i = 0; i < LANES; i++) lanes[i] = i;
    uvec h = lanes + ((uint32_t)first + at.seed + (uint32_t)(first >> 32) * 0x9e3779b9u);
    h ^= h >> 16;
    h *= 0x21f0aaadu;
    h ^= h >> 15;
    h *= 0xd35a2d97u;
    h ^= (h >> 15) ^ at.second_seed;
    h *= 0x21f0aaadu;
    return (h ^ (h >> 16)) >= at.threshold;
}

/* x <- swish(x) where kept, else 0; x are the elements first, first + 1, ... here and below. */
static void swish_dropout(float *x, int64_t n, int64_t first, Dropout at) {
    for (int64_t i = 0; i < n; i += LANES) {
        vec value = load(x + i);
        store(x + i, where(kept(first + i, at), value * sigmoid(value), splat(0)));
    }
}

/* x <- swish(x) where kept, as before; grad <- the gradient of what x was, from that of the result. */
static void swish_dropout_backward(float *x, float *grad, int64_t n, int64_t first, Dropout at) {
    for (int64_t i = 0; i < n; i += LANES) {
        vec gate = sigmoid(load(x + i)), value = load(x + i) * gate, bend = value * (1.0f - gate);
        IN_REGISTER(bend); /* rounded before the sum, as in the runs that are kept */
        ivec keep = kept(first + i, at);
        store(grad + i, where(keep, load(grad + i) * (gate + bend), splat(0)));
        store(x + i, where(keep, value, splat(0)));
    }
}

/* out = W x + b */
static void affine(const Linear *at, const float *x, int64_t rows, float *out) {
    product(x, at->inputs, rows, at->inputs, at->weight, at->outputs, at->outputs, at->bias, 0, out, at->outputs);
}

/* grad_x = W' grad */
static void affine_back(const Linear *at, const float *grad, int64_t rows, float *grad_x) {
    product(grad, at->outputs, rows, at->outputs, at->back, at->inputs, at->inputs, NULL, 0, grad_x, at->inputs);
}

/* Gradients of W, as `back` lies, and of b behind them, added to `sums`. */
static void add_gradients(const Linear *at, const float *x, const float *grad, int64_t rows, float *sums) {
    int64_t n = at->inputs, m = at->outputs;
    add_transposed_product(grad, m, m, x, n, n, rows, sums, n);
    add_rows(grad, m, rows, sums + m * n);
}

static void gate(const float *wide, int64_t half, int64_t rows, float *out) {
    for (int64_t r = 0; r < rows; r++, wide += 2 * half, out += half)
        for (int64_t i = 0; i < half; i += LANES) store(out + i, load(wide + i) * sigmoid(load(wide + half + i)));
}

/* wide <- its gradient */
static void gate_backward(float *wide, const float *grad, int64_t half, int64_t rows) {
    for (int64_t r = 0; r < rows; r++, wide += 2 * half, grad += half)
        for (int64_t i = 0; i < half; i += LANES) {
            vec open = sigmoid(load(wide + half + i)), slope = load(grad + i);
            store(wide + half + i, slope * load(wide + i) * open * (1.0f - open));
            store(wide + i, slope * open);
        }
}

static void batch_norm_swish(const Step *at, const float *c, int64_t rows, float *out) {
    for (int64_t r = 0, n = at->first.inputs; r < rows; r++, c += n, out += n)
        for (int64_t i = 0; i < n; i += LANES) {
            vec before = (load(c + i) - load(at->centre + i)) * load(at->scale + i) + load(at->shift + i);
            store(out + i, before * sigmoid(before));
        }
}

/* grad <- gradient of c while centre, scale and shift are fixed; those of shift and scale are added to `sums`. */
static void batch_norm_swish_backward(const Step *at, const float *c, int64_t rows, float *grad, float *sums) {
    int64_t n = at->first.inputs;
    for (int64_t i = 0; i < n; i += LANES) {
        vec centre = load(at->centre + i), scale = load(at->scale + i), shift = load(at->shift + i);
        vec grad_shift = load(sums + i), grad_scale = load(sums + n + i);
        for (int64_t r = 0; r < rows; r++) {
            vec centred = load(c + r * n + i) - centre, before = centred * scale + shift, open = sigmoid(before);
            vec bend = before * open * (1.0f - open);
            IN_REGISTER(bend); /* as above */
            vec slope = load(grad + r * n + i) * (open + bend);
            grad_shift += slope;
            grad_scale += slope * centred;
            store(grad + r * n + i, slope * scale);
        }
        store(sums + i, grad_shift);
        store(sums + n + i, grad_scale);
    }
}

/* f(c), and the inverse deviations of layer norm. */
static const float *input_of(const Step *at, const float *c, int64_t rows, float *in, float *inverse) {
    if (at->normed) normalise(c, at->first.inputs, at->channels, rows, in, inverse);
    if (at->centre) batch_norm_swish(at, c, rows, in);
    return at->normed || at->centre ? in : c;
}

/* Elements of the hidden layer are numbered for dropout row after row, then those of the result. */
static int64_t result_number(const Step *at, int64_t row) {
    return (at->second.weight ? at->tokens * at->second.inputs : 0) + row * at->channels;
}

/* out <- x (0 where null) + what was added where kept, for `rows` rows of m from `row` on */
static void add_dropout(const Step *at, const float *x, const float *added, int64_t m, int64_t row, int64_t rows,
                        float *out) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = r * m, number = result_number(at, row + r); i < (r + 1) * m; i += LANES, number += LANES)
            store(out + i, (x ? load(x + i) : splat(0)) + where(kept(number, at->dropout), load(added + i), splat(0)));
}

/* Arrays c, x, out; with a second layer x is c. Tokens first .. last - 1, here and below. Returns 0, or 1 when memory
 * is short. */
int step(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *c = arrays[0], *x = arrays[1];
    float *out = arrays[2];
    const Step *at = layer;
    int64_t n = at->first.inputs, h = at->first.outputs, m = at->second.weight ? at->second.outputs : h;
    float *in = scratch_for(TILE * (n + h + m + 1));
    if (!in) return 1;
    float *hidden = in + TILE * n, *added = hidden + TILE * h, *inverse = added + TILE * m;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = smaller(last - row, TILE);
        const float *from = input_of(at, c + row * n, rows, in, inverse);
        affine(&at->first, from, rows, x || at->gated ? hidden : out + row * m);
        if (at->gated) gate(hidden, h / 2, rows, out + row * (h / 2));
        if (at->second.weight) {
            swish_dropout(hidden, rows * h, row * h, at->dropout);
            affine(&at->second, hidden, rows, added);
        }
        const float *result = at->second.weight ? added : hidden;
        if (x) add_dropout(at, x + row * m, result, m, row, rows, out + row * m);
    }
    free(in);
    return 0;
}

/* Arrays c, grad_out, grad_c, sums: the gradient of c is written, those of W1, b1, then W2, b2 or shift, scale of the
 * batch norm are added to sums. */
int step_backward(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *c = arrays[0], *grad_out = arrays[1];
    float *grad_c = arrays[2], *sums = arrays[3];
    const Step *at = layer;
    int64_t n = at->first.inputs, h = at->first.outputs, m = at->second.weight ? at->second.outputs : h;
    float *in = scratch_for(TILE * (2 * n + 2 * h + m + 1)), *more_sums = sums + h * n + h;
    if (!in) return 1;
    float *grad_in = in + TILE * n, *hidden = grad_in + TILE * n, *grad_hidden = hidden + TILE * h;
    float *kept_grad = grad_hidden + TILE * h, *inverse = kept_grad + TILE * m;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = smaller(last - row, TILE);
        const float *from = input_of(at, c + row * n, rows, in, inverse);
        const float *skip = grad_out + row * (at->gated ? h / 2 : m), *grad = skip;
        if (at->second.weight || at->gated) affine(&at->first, from, rows, hidden);
        if (at->dropout.threshold) {
            add_dropout(at, NULL, grad, m, row, rows, kept_grad);
            grad = kept_grad;
        }
        if (at->second.weight) {
            affine_back(&at->second, grad, rows, grad_hidden);
            swish_dropout_backward(hidden, grad_hidden, rows * h, row * h, at->dropout);
            add_gradients(&at->second, hidden, grad, rows, more_sums);
            grad = grad_hidden;
        }
        if (at->gated) {
            gate_backward(hidden, grad, h / 2, rows);
            grad = hidden;
        }
        add_gradients(&at->first, from, grad, rows, sums);
        affine_back(&at->first, grad, rows, at->normed ? grad_in : grad_c + row * n);
        if (at->normed)
            normalise_backward(grad_in, in, inverse, at->second.weight ? skip : NULL, n, at->channels, rows,
                               grad_c + row * n);
        if (at->centre) batch_norm_swish_backward(at, c + row * n, rows, grad_c + row * n, more_sums);
    }
    free(in);
    return 0;
}

enum { ROUND = 8 }; /* results, or taps of the weight's gradient, that stay in registers */

/* weight is (taps, channels). */
typedef struct {
    Sequences sequences;
    int64_t channels, taps;
} Depthwise;

/* A sequence is copied with zeros around it to groups of LANES channels, (channels / LANES, padded, LANES). */
static inline int64_t padded(const Depthwise *at) { return at->sequences.n + at->taps + ROUND; }
static void copy_in(const float *x, const Depthwise *at, int64_t base, float *groups) {
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

/* Arrays x, weight, bias, out, moments (sequences, 2, channels): sums over the sequence of what lies above its first
 * result, and of its square. Sequences first .. last - 1, here and below. */
int depthwise_conv(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *x = arrays[0], *weight = arrays[1], *bias = arrays[2];
    float *out = arrays[3], *moments = arrays[4];
    const Depthwise *at = layer;
    int64_t n = at->sequences.n, channels = at->channels, size = padded(at) * channels;
    float *groups = zeros(size);
    if (!groups) return 1;
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

/* Arrays x, weight, grad_out, grad_x, sums: the gradient of x is written, those of weight and bias are added to sums. */
int depthwise_conv_backward(void *const *arrays, const void *layer, int64_t first, int64_t last) {
    const float *x = arrays[0], *weight = arrays[1], *grad_out = arrays[2];
    float *grad_x = arrays[3], *sums = arrays[4];
    const Depthwise *at = layer;
    int64_t n = at->sequences.n, channels = at->channels, taps = at->taps, size = padded(at) * channels;
    float *groups = zeros(2 * size);
    if (!groups) return 1;
    float *grads = groups + size;
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
