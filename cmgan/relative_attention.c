/* Attention with Shaw's relative positions for one head after the other, forward and backward, in cache.
 *
 * logit(i, j) = q_i . (k_j + e_{i-j}), weights = softmax over j, out_i = sum_j weight(i, j) v_j; q is scaled already.
 * Nothing of size n x n is kept: BLOCK rows of logits live in the first-level cache at a time, and the backward pass
 * computes them again, with the largest logit of each row and the inverse of its sum of exponentials (`peaks`).
 * Positions run along the last axis of k, v and e (transposed copies), so that 16 columns j are one vector and the
 * row e_{i-j}, j = 0, 1, ... is one unaligned stretch.
 *
 * qkv has 3 * HEADS * D floats a token,
 * out has HEADS * D. e is (D, 2n - 1), column c holding distance n - 1 - c.
 */
#include "matrix_products.h"
#include "sequences.h"

#ifndef D
#define D 16
#endif
#define HEADS 4
#define BLOCK 4
#define MARGIN 32 /* zeros on both sides of a row, so that shifted and rounded-up loads stay inside */

typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

static inline vec larger(vec a, vec b) {
    ivec first = a > b;
    return (vec)((first & (ivec)a) | (~first & (ivec)b));
}

/* Lanes 0, 2, 4, ... or 1, 3, 5, ... of a, then those of b; the two compilers spell it differently. */
#if defined(__clang__)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#else
#define EVENS ((ivec){0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30})
#define EVEN(a, b) __builtin_shuffle(a, b, EVENS)
#define ODD(a, b) __builtin_shuffle(a, b, EVENS + 1)
#endif
static inline vec pair_sums(vec a, vec b) { return EVEN(a, b) + ODD(a, b); }
static inline vec pair_larger(vec a, vec b) { return larger(EVEN(a, b), ODD(a, b)); }

/* Lane i of the result is the sum of the lanes of v[i]; v is overwritten. */
static inline vec sums(vec v[LANES]) {
    for (int count = LANES / 2; count > 0; count /= 2)
        for (int i = 0; i < count; i++) v[i] = pair_sums(v[2 * i], v[2 * i + 1]);
    return v[0];
}

/* The same for the BLOCK rows alone, and for the largest lane. */
static inline vec row_sums(const vec v[BLOCK]) {
    vec all = pair_sums(pair_sums(v[0], v[1]), pair_sums(v[2], v[3]));
    all = pair_sums(all, all);
    return pair_sums(all, all);
}
static inline vec row_largest(const vec v[BLOCK]) {
    vec all = pair_larger(pair_larger(v[0], v[1]), pair_larger(v[2], v[3]));
    all = pair_larger(all, all);
    return pair_larger(all, all);
}

/* exp(x) for x <= 88 to 2 units in the last place: 2^k times a polynomial on |r| <= ln 2 / 2 (Cephes expf). */
static inline vec exponential(vec x) {
    const vec magic = splat(12582912.0f);
    x = larger(splat(-87.3f), x);
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

/* Length of a row of n columns rounded up to whole vectors, and its distance to the next row. */
static inline int64_t rounded(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static inline int64_t pitch(int64_t n) { return rounded(n) + 2 * MARGIN; }

static float *zeros(int64_t count) {
    int64_t bytes = (count * 4 + 63) / 64 * 64;
    float *p = aligned_alloc(64, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

/* (n, D) tokens of one head -> rows (n, D). */
static void gather_rows(const float *from, int64_t width, const Sequences *at, float *rows) {
    for (int64_t i = 0; i < at->n; i++) memcpy(rows + i * D, from + i * at->step * width, 4 * D);
}

/* (n, D) tokens of one head -> columns (D, n) with a margin; LANES tokens at a time, so that stores are whole. */
static void gather_columns(const float *from, int64_t width, const Sequences *at, float *columns) {
    int64_t p = pitch(at->n), stride = at->step * width;
    for (int64_t i = 0; i < at->n; i += LANES) {
        float tile[D][LANES] = {{0}};
        for (int64_t l = 0; l < LANES && i + l < at->n; l++)
            for (int d = 0; d < D; d++) tile[d][l] = from[(i + l) * stride + d];
        for (int d = 0; d < D; d++) memcpy(columns + d * p + MARGIN + i, tile[d], sizeof tile[d]);
    }
}

/* out[r][c] = sum_d q[r][d] m[d][c] for BLOCK rows and `columns` columns, two vectors of them at a time. */
static inline void products(const float *q, const float *m, int64_t mp, int64_t columns, float *out, int64_t p) {
    int64_t c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES) {
        vec left[BLOCK] = {{0}}, right[BLOCK] = {{0}};
        for (int d = 0; d < D; d++) {
            vec a = load(m + d * mp + c), b = load(m + d * mp + c + LANES);
            for (int r = 0; r < BLOCK; r++) {
                left[r] += a * q[r * D + d];
                right[r] += b * q[r * D + d];
            }
        }
        for (int r = 0; r < BLOCK; r++) {
            store(out + r * p + c, left[r]);
            store(out + r * p + c + LANES, right[r]);
        }
    }
    for (; c < columns; c += LANES) {
        vec acc[BLOCK] = {{0}};
        for (int d = 0; d < D; d++)
            for (int r = 0; r < BLOCK; r++) acc[r] += load(m + d * mp + c) * q[r * D + d];
        for (int r = 0; r < BLOCK; r++) store(out + r * p + c, acc[r]);
    }
}

/* Logits of rows i .. i + BLOCK - 1 into s. Position products are taken for the columns of e that the block meets, in
 * row r from BLOCK - 1 - r on, and added with that shift. */
static inline void logits(const float *q, const float *k, const float *e, int64_t i, int64_t n, float *s,
                          float *position) {
    int64_t p = pitch(n), ep = pitch(2 * n - 1), columns = rounded(n);
    products(q + i * D, k + MARGIN, p, columns, s + MARGIN, p);
    products(q + i * D, e + MARGIN + n - i - BLOCK, ep, n + BLOCK - 1, position, p);
    for (int r = 0; r < BLOCK; r++)
        for (int64_t j = 0; j < columns; j += LANES) {
            float *to = s + r * p + MARGIN + j;
            store(to, load(to) + load(position + r * p + BLOCK - 1 - r + j));
        }
}

/* out[r][d] += sum_j s[r][j] m[d][j] for all d, GROUP of them at a time to fit the registers. */
static inline void row_products(const float *s, int64_t p, const float *m, int64_t mp, int64_t columns, float *out) {
    enum { GROUP = LANES / BLOCK };
    for (int d0 = 0; d0 < D; d0 += GROUP) {
        vec acc[LANES] = {{0}};
        for (int64_t j = 0; j < columns; j += LANES) {
            vec row[BLOCK];
            for (int r = 0; r < BLOCK; r++) row[r] = load(s + r * p + j);
            for (int g = 0; g < GROUP && d0 + g < D; g++) {
                vec column = load(m + (d0 + g) * mp + j);
                for (int r = 0; r < BLOCK; r++) acc[g * BLOCK + r] += row[r] * column;
            }
        }
        vec total = sums(acc);
        for (int g = 0; g < GROUP && d0 + g < D; g++)
            for (int r = 0; r < BLOCK; r++) out[r * D + d0 + g] += total[g * BLOCK + r];
    }
}

static void pad_positions(const float *e, int64_t n, float *padded) {
    for (int d = 0; d < D; d++)
        memcpy(padded + d * pitch(2 * n - 1) + MARGIN, e + d * (2 * n - 1), 4 * (2 * n - 1));
}

/* Sequences first .. last - 1. peaks: (sequences, HEADS, n, 2). Returns 0, or 1 when memory is short. */
int relative_attention_forward(const float *qkv, const float *e, float *out, float *peaks, Sequences layout,
                               int64_t first, int64_t last) {
    const Sequences *at = &layout;
    int64_t n = at->n, p = pitch(n), rows = n + BLOCK, columns = rounded(n);
    float *scratch = zeros(rows * D + 2 * D * p + D * pitch(2 * n - 1) + 2 * BLOCK * p);
    if (!scratch) return 1;
    float *q = scratch, *k = q + rows * D, *v = k + D * p, *position = v + D * p;
    float *s = position + D * pitch(2 * n - 1), *shifted = s + BLOCK * p;
    pad_positions(e, n, position);
    for (int64_t task = first * HEADS; task < last * HEADS; task++) {
        int64_t base = base_of(at, task / HEADS), head = task % HEADS;
        const float *tokens = qkv + base * 3 * HEADS * D + head * D;
        gather_rows(tokens, 3 * HEADS * D, at, q);
        gather_columns(tokens + HEADS * D, 3 * HEADS * D, at, k);
        gather_columns(tokens + 2 * HEADS * D, 3 * HEADS * D, at, v);
        for (int64_t i = 0; i < n; i += BLOCK) {
            float weighted[BLOCK * D] = {0};
            logits(q, k, position, i, n, s, shifted);
            vec top[BLOCK], total[BLOCK] = {{0}};
            for (int r = 0; r < BLOCK; r++) {
                for (int64_t j = n; j < columns; j++) s[r * p + MARGIN + j] = -1e30f;
                top[r] = load(s + r * p + MARGIN);
            }
            for (int64_t j = LANES; j < columns; j += LANES)
                for (int r = 0; r < BLOCK; r++) top[r] = larger(top[r], load(s + r * p + MARGIN + j));
            vec largest = row_largest(top);
            for (int64_t j = 0; j < columns; j += LANES)
                for (int r = 0; r < BLOCK; r++) {
                    vec weight = exponential(load(s + r * p + MARGIN + j) - largest[r]);
                    store(s + r * p + MARGIN + j, weight);
                    total[r] += weight;
                }
            vec totals = row_sums(total);
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                peaks[2 * (task * n + i + r)] = largest[r];
                peaks[2 * (task * n + i + r) + 1] = 1 / totals[r];
            }
            row_products(s + MARGIN, p, v + MARGIN, p, columns, weighted);
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                float *to = out + (base + (i + r) * at->step) * HEADS * D + head * D;
                for (int d = 0; d < D; d++) to[d] = weighted[r * D + d] / totals[r];
            }
        }
    }
    free(scratch);
    return 0;
}

/* Gradients of qkv (written) and of e (D, 2n - 1), added up over these sequences. Returns 0, or 1 without memory. */
int relative_attention_backward(const float *qkv, const float *e, const float *out, const float *peaks,
                                const float *grad_out, float *grad_qkv, float *grad_e, Sequences layout, int64_t first,
                                int64_t last) {
    const Sequences *at = &layout;
    int64_t n = at->n, p = pitch(n), ep = pitch(2 * n - 1), rows = n + BLOCK, columns = rounded(n);
    float *scratch = zeros(3 * rows * D + 4 * D * p + 2 * D * ep + 3 * BLOCK * p);
    if (!scratch) return 1;
    float *q = scratch, *go = q + rows * D, *o = go + rows * D, *k = o + rows * D, *v = k + D * p, *gk = v + D * p;
    float *gv = gk + D * p, *position = gv + D * p, *ge = position + D * ep, *s = ge + D * ep, *gs = s + BLOCK * p;
    float *shifted = gs + BLOCK * p;
    pad_positions(e, n, position);
    ivec inside = {0}; /* lanes of the last vector that are columns; others may hold an overflow */
    for (int64_t j = columns - LANES; j < n; j++) inside[j - columns + LANES] = -1;
    for (int64_t task = first * HEADS; task < last * HEADS; task++) {
        int64_t base = base_of(at, task / HEADS), head = task % HEADS;
        const float *tokens = qkv + base * 3 * HEADS * D + head * D;
        float *grad_tokens = grad_qkv + base * 3 * HEADS * D + head * D;
        gather_rows(tokens, 3 * HEADS * D, at, q);
        gather_columns(tokens + HEADS * D, 3 * HEADS * D, at, k);
        gather_columns(tokens + 2 * HEADS * D, 3 * HEADS * D, at, v);
        gather_rows(grad_out + base * HEADS * D + head * D, HEADS * D, at, go);
        gather_rows(out + base * HEADS * D + head * D, HEADS * D, at, o);
        memset(gk, 0, 2 * D * p * 4);
        for (int64_t i = 0; i < n; i += BLOCK) {
            float dot[BLOCK] = {0}, peak[BLOCK] = {0}, share[BLOCK] = {0}, gq[BLOCK * D] = {0};
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                for (int d = 0; d < D; d++) dot[r] += go[(i + r) * D + d] * o[(i + r) * D + d];
                peak[r] = peaks[2 * (task * n + i + r)];
                share[r] = peaks[2 * (task * n + i + r) + 1];
            }
            logits(q, k, position, i, n, s, shifted);
            for (int64_t j = 0; j < columns; j += LANES) {
                vec weight[BLOCK], slope[BLOCK];
                for (int r = 0; r < BLOCK; r++) {
                    weight[r] = exponential(load(s + r * p + MARGIN + j) - peak[r]) * share[r];
                    if (j + LANES > n) weight[r] = (vec)((ivec)weight[r] & inside);
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
            /* Column c of the stretch of e meets row i + r at j = c - (BLOCK - 1) + r: rows of gs, shifted by r. */
            const float *meets = gs + MARGIN - (BLOCK - 1), *stretch = position + MARGIN + n - i - BLOCK;
            for (int64_t c = 0; c < columns + BLOCK - 1; c += LANES) {
                vec slope[BLOCK];
                for (int r = 0; r < BLOCK; r++) slope[r] = load(meets + r * (p + 1) + c);
                for (int d = 0; d < D; d++) {
                    float *to = ge + d * ep + MARGIN + n - i - BLOCK + c;
                    vec grad = load(to);
                    for (int r = 0; r < BLOCK; r++) grad += slope[r] * q[(i + r) * D + d];
                    store(to, grad);
                }
            }
            row_products(gs + MARGIN, p, k + MARGIN, p, columns, gq);
            row_products(meets, p + 1, stretch, ep, columns + BLOCK - 1, gq);
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
