/* Attention with Shaw's relative positions for one head after the other, forward and backward, in cache.
 *
 * logit(i, j) = q_i . (k_j + e_{i-j}), weights = softmax over j, out_i = sum_j weight(i, j) v_j; q is scaled already.
 * Nothing of size n x n is kept: BLOCK rows of logits live in the first-level cache at a time, and the backward pass
 * computes them again from the log of each row's sum of exponentials. Positions run along the last axis of k, v and e
 * (transposed copies), so that 16 columns j are one vector and the row e_{i-j}, j = 0, 1, ... is one unaligned stretch.
 *
 * Layout: token (s, i) of sequence s begins at element base(s) + i * step of a row-major array of tokens, where
 * base(s) = (s / inner) * outer_step + (s % inner) * inner_step counts tokens. qkv has 3 * HEADS * D floats a token,
 * out has HEADS * D. e is (D, 2n - 1), column c holding distance n - 1 - c.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef D
#define D 16
#endif
#define HEADS 4
#define LANES 16
#define BLOCK 4
#define MARGIN 32 /* zeros on both sides of a row, so that shifted and rounded-up loads stay inside */

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

typedef struct {
    int64_t sequences, inner, outer_step, inner_step, n, step;
} Layout;

static inline vec load(const float *p) { return *(const loose *)p; }
static inline void store(float *p, vec v) { *(loose *)p = v; }
static inline vec splat(float x) { return x - (vec){0}; }

static inline vec pair_sums(vec a, vec b) {
    const ivec even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 1);
}

/* Lane i of the result is the sum of the lanes of v[i]; v is overwritten. */
static inline vec sums(vec v[LANES]) {
    for (int count = LANES / 2; count > 0; count /= 2)
        for (int i = 0; i < count; i++) v[i] = pair_sums(v[2 * i], v[2 * i + 1]);
    return v[0];
}

static inline float sum(vec v) {
    vec all[LANES] = {v};
    return sums(all)[0];
}

/* exp(x) for x <= 88 to 2 units in the last place: 2^k times a polynomial on |r| <= ln 2 / 2 (Cephes expf). */
static inline vec exponential(vec x) {
    const vec lowest = splat(-87.3f), magic = splat(12582912.0f);
    ivec below = x < lowest;
    x = (vec)((below & (ivec)lowest) | (~below & (ivec)x));
    vec shifted = x * 1.44269504088896341f + magic;
    vec k = shifted - magic;
    vec r = x - k * 0.693359375f + k * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (vec)((ivec)p + ((ivec)shifted << 23));
}

static inline int64_t base_of(const Layout *at, int64_t s) {
    return s / at->inner * at->outer_step + s % at->inner * at->inner_step;
}

/* Length of a row of n columns rounded up to whole vectors, and its distance to the next row. */
static inline int64_t rounded(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static inline int64_t pitch(int64_t n) { return rounded(n) + 2 * MARGIN; }

static float *zeros(int64_t count) {
    int64_t bytes = (count * 4 + 63) / 64 * 64;
    float *p = aligned_alloc(64, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

/* (n, D) tokens of one head -> rows (n, D) and, where wanted, columns (D, n) with a margin. */
static void gather(const float *from, int64_t width, const Layout *at, float *rows, float *columns) {
    int64_t columns_pitch = pitch(at->n);
    for (int64_t i = 0; i < at->n; i++) {
        const float *token = from + i * at->step * width;
        for (int d = 0; d < D; d++) {
            if (rows) rows[i * D + d] = token[d];
            if (columns) columns[d * columns_pitch + MARGIN + i] = token[d];
        }
    }
}

/* Logits of rows i .. i + BLOCK - 1 into s (BLOCK rows with a margin). */
static inline void logits(const float *q, const float *k, const float *e, int64_t i, int64_t n, float *s) {
    int64_t kp = pitch(n), ep = pitch(2 * n - 1), columns = rounded(n);
    for (int64_t j = 0; j < columns; j += LANES) {
        vec acc[BLOCK] = {{0}};
        const float *kj = k + MARGIN + j, *ej = e + MARGIN + n - 1 - i + j;
        for (int d = 0; d < D; d++) {
            vec key = load(kj + d * kp);
            for (int r = 0; r < BLOCK; r++) acc[r] += (key + load(ej + d * ep - r)) * q[(i + r) * D + d];
        }
        for (int r = 0; r < BLOCK; r++) store(s + r * kp + MARGIN + j, acc[r]);
    }
}

/* out[r][d] += sum_j s[r][j] m[d][j + r * shift] for all d, GROUP of them at a time to fit the registers. */
static inline void row_products(const float *s, const float *m, int64_t p, int64_t mp, int shift, int64_t columns,
                                float *out) {
    enum { GROUP = LANES / BLOCK };
    for (int d0 = 0; d0 < D; d0 += GROUP) {
        vec acc[LANES] = {{0}};
        for (int64_t j = 0; j < columns; j += LANES)
            for (int g = 0; g < GROUP && d0 + g < D; g++)
                for (int r = 0; r < BLOCK; r++)
                    acc[g * BLOCK + r] += load(s + r * p + j) * load(m + (d0 + g) * mp + j + r * shift);
        vec total = sums(acc);
        for (int g = 0; g < GROUP && d0 + g < D; g++)
            for (int r = 0; r < BLOCK; r++) out[r * D + d0 + g] += total[g * BLOCK + r];
    }
}

static void pad_positions(const float *e, int64_t n, float *padded) {
    for (int d = 0; d < D; d++)
        memcpy(padded + d * pitch(2 * n - 1) + MARGIN, e + d * (2 * n - 1), 4 * (2 * n - 1));
}

/* Sequences first .. last - 1. log_sums: (sequences, HEADS, n). Returns 0, or 1 when memory is short. */
int relative_attention_forward(const float *qkv, const float *e, float *out, float *log_sums, Layout layout,
                               int64_t first, int64_t last) {
    const Layout *at = &layout;
    int64_t n = at->n, p = pitch(n), rows = n + BLOCK;
    float *scratch = zeros(rows * D + 2 * D * p + D * pitch(2 * n - 1) + BLOCK * p);
    if (!scratch) return 1;
    float *q = scratch, *k = q + rows * D, *v = k + D * p, *position = v + D * p;
    float *s = position + D * pitch(2 * n - 1);
    pad_positions(e, n, position);
    for (int64_t task = first * HEADS; task < last * HEADS; task++) {
        int64_t base = base_of(at, task / HEADS), head = task % HEADS;
        const float *tokens = qkv + base * 3 * HEADS * D + head * D;
        gather(tokens, 3 * HEADS * D, at, q, NULL);
        gather(tokens + HEADS * D, 3 * HEADS * D, at, NULL, k);
        gather(tokens + 2 * HEADS * D, 3 * HEADS * D, at, NULL, v);
        for (int64_t i = 0; i < n; i += BLOCK) {
            float totals[BLOCK], products[BLOCK * D] = {0};
            logits(q, k, position, i, n, s);
            for (int r = 0; r < BLOCK; r++) {
                float *row = s + r * p + MARGIN;
                for (int64_t j = n; j < rounded(n); j++) row[j] = -1e30f;
                vec top = load(row);
                for (int64_t j = LANES; j < n; j += LANES) {
                    vec x = load(row + j);
                    ivec above = x > top;
                    top = (vec)((above & (ivec)x) | (~above & (ivec)top));
                }
                float largest = top[0];
                for (int l = 1; l < LANES; l++) largest = top[l] > largest ? top[l] : largest;
                vec total = {0};
                for (int64_t j = 0; j < n; j += LANES) {
                    vec weight = exponential(load(row + j) - largest);
                    store(row + j, weight);
                    total += weight;
                }
                totals[r] = sum(total);
                if (i + r < n) log_sums[task * n + i + r] = largest + logf(totals[r]);
            }
            row_products(s + MARGIN, v + MARGIN, p, p, 0, rounded(n), products);
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                float *to = out + (base + (i + r) * at->step) * HEADS * D + head * D;
                for (int d = 0; d < D; d++) to[d] = products[r * D + d] / totals[r];
            }
        }
    }
    free(scratch);
    return 0;
}

/* Gradients of qkv (written) and of e (D, 2n - 1), added up over these sequences. Returns 0, or 1 without memory. */
int relative_attention_backward(const float *qkv, const float *e, const float *out, const float *log_sums,
                                const float *grad_out, float *grad_qkv, float *grad_e, Layout layout, int64_t first,
                                int64_t last) {
    const Layout *at = &layout;
    int64_t n = at->n, p = pitch(n), ep = pitch(2 * n - 1), rows = n + BLOCK, columns = rounded(n);
    float *scratch = zeros(3 * rows * D + 4 * D * p + 2 * D * ep + 2 * BLOCK * p);
    if (!scratch) return 1;
    float *q = scratch, *go = q + rows * D, *o = go + rows * D, *k = o + rows * D, *v = k + D * p, *gk = v + D * p;
    float *gv = gk + D * p, *position = gv + D * p, *ge = position + D * ep, *s = ge + D * ep, *gs = s + BLOCK * p;
    pad_positions(e, n, position);
    for (int64_t task = first * HEADS; task < last * HEADS; task++) {
        int64_t base = base_of(at, task / HEADS), head = task % HEADS;
        const float *tokens = qkv + base * 3 * HEADS * D + head * D;
        float *grad_tokens = grad_qkv + base * 3 * HEADS * D + head * D;
        gather(tokens, 3 * HEADS * D, at, q, NULL);
        gather(tokens + HEADS * D, 3 * HEADS * D, at, NULL, k);
        gather(tokens + 2 * HEADS * D, 3 * HEADS * D, at, NULL, v);
        gather(grad_out + base * HEADS * D + head * D, HEADS * D, at, go, NULL);
        gather(out + base * HEADS * D + head * D, HEADS * D, at, o, NULL);
        memset(gk, 0, 2 * D * p * 4);
        for (int64_t i = 0; i < n; i += BLOCK) {
            float dot[BLOCK] = {0}, log_sum[BLOCK] = {0}, gq[BLOCK * D] = {0};
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                for (int d = 0; d < D; d++) dot[r] += go[(i + r) * D + d] * o[(i + r) * D + d];
                log_sum[r] = log_sums[task * n + i + r];
            }
            logits(q, k, position, i, n, s);
            for (int64_t j = 0; j < columns; j += LANES) {
                vec weight[BLOCK], slope[BLOCK];
                for (int r = 0; r < BLOCK; r++) {
                    weight[r] = exponential(load(s + r * p + MARGIN + j) - log_sum[r]);
                    if (j + LANES > n)
                        for (int l = 0; l < LANES; l++)
                            if (j + l >= n) weight[r][l] = 0;
                    slope[r] = splat(-dot[r]);
                }
                for (int d = 0; d < D; d++) {
                    vec value = load(v + d * p + MARGIN + j), grad_value = load(gv + d * p + MARGIN + j);
                    for (int r = 0; r < BLOCK; r++) {
                        slope[r] += value * go[(i + r) * D + d];
                        grad_value += weight[r] * go[(i + r) * D + d];
                    }
                    store(gv + d * p + MARGIN + j, grad_value);
                }
                for (int r = 0; r < BLOCK; r++) {
                    slope[r] *= weight[r];
                    store(gs + r * p + MARGIN + j, slope[r]);
                }
                for (int d = 0; d < D; d++) {
                    vec grad_key = load(gk + d * p + MARGIN + j);
                    for (int r = 0; r < BLOCK; r++) grad_key += slope[r] * q[(i + r) * D + d];
                    store(gk + d * p + MARGIN + j, grad_key);
                }
            }
            /* Column c of grad e meets row i + r at j = c - (n - 1) + i + r: the rows of gs shifted by r. */
            int64_t start = n - 1 - i - (BLOCK - 1);
            for (int64_t c = 0; c < columns + BLOCK - 1; c += LANES) {
                vec shifted[BLOCK];
                for (int r = 0; r < BLOCK; r++) shifted[r] = load(gs + r * p + MARGIN + c - (BLOCK - 1) + r);
                for (int d = 0; d < D; d++) {
                    float *to = ge + d * ep + MARGIN + start + c;
                    vec grad = load(to);
                    for (int r = 0; r < BLOCK; r++) grad += shifted[r] * q[(i + r) * D + d];
                    store(to, grad);
                }
            }
            row_products(gs + MARGIN, k + MARGIN, p, p, 0, columns, gq);
            row_products(gs + MARGIN, position + MARGIN + n - 1 - i, p, ep, -1, columns, gq);
            for (int r = 0; r < BLOCK && i + r < n; r++)
                memcpy(grad_tokens + (i + r) * at->step * 3 * HEADS * D, gq + r * D, 4 * D);
        }
        for (int64_t i = 0; i < n; i++) {
            float *token = grad_tokens + i * at->step * 3 * HEADS * D;
            for (int d = 0; d < D; d++) {
                token[HEADS * D + d] = gk[d * p + MARGIN + i];
                token[2 * HEADS * D + d] = gv[d * p + MARGIN + i];
            }
        }
    }
    for (int d = 0; d < D; d++)
        for (int64_t c = 0; c < 2 * n - 1; c++) grad_e[d * (2 * n - 1) + c] += ge[d * ep + MARGIN + c];
    free(scratch);
    return 0;
}
