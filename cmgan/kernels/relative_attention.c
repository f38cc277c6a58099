/* Attention with Shaw's relative positions for one head after the other, forward and backward, in cache.
 *
 * logit(i, j) = q_i . (k_j + e_{i-j}), weights = softmax over j, out_i = sum_j weight(i, j) v_j; q is scaled already.
 * Nothing of size n x n is kept: BLOCK rows of logits live in the first-level cache at a time, and the backward pass
 * computes them again, with the largest logit of each row and the inverse of its sum of exponentials (`peaks`).
 *
 * Row i meets columns n - 1 - i + j of e, (D, 2n - 1), column c holding distance n - 1 - c: the next row meets the same
 * stretch one column earlier. So the products of a block's rows with one stretch are its position logits, seen with a
 * pitch of one less, and the products with k are added to them in place.
 *
 * qkv has 3 * HEADS * D floats a token, out has HEADS * D.
 */
#include "attention_rows.h"

/* First column of the stretch of e (margin counted) that rows i .. i + BLOCK - 1 meet, and its length. */
static inline int64_t stretch_of(int64_t n, int64_t i) { return MARGIN + n - i - BLOCK; }
static inline int64_t stretch_length(int64_t n) { return n + BLOCK - 1; }

/* Logits of rows i .. i + BLOCK - 1 to (BLOCK, rounded n) at `skewed(s)`. */
static inline float *skewed(float *s) { return s + BLOCK - 1; }
static inline int64_t pitch_of(int64_t n) { return rounded(n) + MARGIN; }
static void logits(const float *q, Matrix k, Matrix e, int64_t i, int64_t n, float *s) {
    int64_t p = pitch_of(n);
    const float *rows = q + i * D;
    product(rows, D, BLOCK, D, e.columns + stretch_of(n, i), e.pitch, rounded(stretch_length(n)), NULL, 0, s, p);
    product(rows, D, BLOCK, D, k.columns, k.pitch, rounded(n), skewed(s), p - 1, skewed(s), p - 1);
}

/* Logits of QUAD rows (pitch p - 1) -> exponentials above the row's largest; returns that and the inverse of sums. */
static void softmax(float *s, int64_t p, int64_t n, ivec inside, float *largest, float *share) {
    int64_t columns = rounded(n);
    vec top[QUAD], total[QUAD] = {{0}};
    for (int r = 0; r < QUAD; r++) {
        float *last = s + r * p + columns - LANES;
        top[r] = (vec)((inside & (ivec)load(last)) | (~inside & (ivec)splat(-1e30f)));
        store(last, top[r]);
    }
    for (int64_t j = 0; j < columns - LANES; j += LANES)
        for (int r = 0; r < QUAD; r++) top[r] = larger(top[r], load(s + r * p + j));
    vec peak = row_largest(top);
    for (int64_t j = 0; j < columns; j += LANES)
        for (int r = 0; r < QUAD; r++) {
            vec weight = exponential(load(s + r * p + j) - peak[r]);
            store(s + r * p + j, weight);
            total[r] += weight;
        }
    vec totals = row_sums(total);
    for (int r = 0; r < QUAD; r++) {
        largest[r] = peak[r];
        share[r] = 1 / totals[r];
    }
}

/* Sequences first .. last - 1. peaks: (sequences, HEADS, n, 2). Returns 0, or 1 when memory is short. */
int relative_attention_forward(const float *qkv, const float *e, float *out, float *peaks, Sequences layout,
                               int64_t first, int64_t last) {
    const Sequences *at = &layout;
    int64_t n = at->n, p = pitch_of(n), ep = rounded(2 * n) + 2 * MARGIN, rows = n + BLOCK, width = 3 * HEADS * D;
    int64_t size = rows * D, across = D * rounded(n);
    float *scratch = zeros(3 * HEADS * size + 2 * across + 2 * D * ep + (BLOCK + 1) * p);
    if (!scratch) return 1;
    float *heads = scratch, *columns = heads + 3 * HEADS * size, *embedded = columns + 2 * across;
    float *s = embedded + 2 * D * ep;
    Matrix positions = {embedded, embedded + D * ep, ep};
    ivec inside = inside_of(n);
    gather_positions(e, n, positions);
    for (int64_t task = first * HEADS; task < last * HEADS; task++) {
        int64_t base = base_of(at, task / HEADS), head = task % HEADS;
        if (head == 0) gather_heads(qkv + base * width, 3 * HEADS, at, heads);
        const float *q = heads + head * size;
        Matrix k = columns_of(heads + (HEADS + head) * size, n, columns);
        Matrix v = columns_of(heads + (2 * HEADS + head) * size, n, columns + across);
        for (int64_t i = 0; i < n; i += BLOCK) {
            float weighted[BLOCK * D] = {0}, largest[BLOCK], share[BLOCK];
            logits(q, k, positions, i, n, s);
            for (int r = 0; r < BLOCK; r += QUAD)
                softmax(skewed(s) + r * (p - 1), p - 1, n, inside, largest + r, share + r);
            add_weighted(skewed(s), p - 1, v, 0, n, weighted);
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                float *to = out + (base + (i + r) * at->step) * HEADS * D + head * D;
                for (int d = 0; d < D; d++) to[d] = weighted[r * D + d] * share[r];
                peaks[2 * (task * n + i + r)] = largest[r];
                peaks[2 * (task * n + i + r) + 1] = share[r];
            }
        }
    }
    free(scratch);
    return 0;
}

/* Logits of QUAD rows -> weights, slopes of weights (pitch gp) -> slopes of logits. */
static void softmax_backward(float *s, int64_t p, float *slopes, int64_t gp, int64_t n, ivec inside, const float *peak,
                             const float *share, const float *dot) {
    int64_t columns = rounded(n);
    for (int64_t j = 0; j < columns; j += LANES)
        for (int r = 0; r < QUAD; r++) {
            vec weight = exponential(load(s + r * p + j) - peak[r]) * share[r];
            /* What lies beyond the columns may have overflowed. */
            if (j == columns - LANES) weight = (vec)((ivec)weight & inside);
            store(s + r * p + j, weight);
            store(slopes + r * gp + j, (load(slopes + r * gp + j) - dot[r]) * weight);
        }
}

/* Gradients of qkv (written) and of e (D, 2n - 1), added up over these sequences. Returns 0, or 1 without memory. */
int relative_attention_backward(const float *qkv, const float *e, const float *out, const float *peaks,
                                const float *grad_out, float *grad_qkv, float *grad_e, Sequences layout, int64_t first,
                                int64_t last) {
    const Sequences *at = &layout;
    int64_t n = at->n, p = pitch_of(n), ep = rounded(2 * n) + 2 * MARGIN, rows = n + BLOCK, width = 3 * HEADS * D;
    int64_t columns = rounded(n), gp = columns + 2 * MARGIN, size = rows * D, across = D * columns;
    float *scratch = zeros(5 * HEADS * size + 4 * across + 3 * D * ep + (BLOCK + 1) * (p + gp));
    if (!scratch) return 1;
    float *heads = scratch, *grad_heads = heads + 3 * HEADS * size, *out_heads = grad_heads + HEADS * size;
    float *kv = out_heads + HEADS * size, *gk = kv + 2 * across, *gv = gk + across, *embedded = gv + across;
    float *ge = embedded + 2 * D * ep, *s = ge + D * ep, *slopes = s + (BLOCK + 1) * p + MARGIN;
    Matrix positions = {embedded, embedded + D * ep, ep};
    ivec inside = inside_of(n);
    gather_positions(e, n, positions);
    for (int64_t task = first * HEADS; task < last * HEADS; task++) {
        int64_t base = base_of(at, task / HEADS), head = task % HEADS;
        float *grad_tokens = grad_qkv + base * width + head * D;
        if (head == 0) {
            gather_heads(qkv + base * width, 3 * HEADS, at, heads);
            gather_heads(grad_out + base * HEADS * D, HEADS, at, grad_heads);
            gather_heads(out + base * HEADS * D, HEADS, at, out_heads);
        }
        const float *q = heads + head * size, *go = grad_heads + head * size, *o = out_heads + head * size;
        Matrix k = columns_of(heads + (HEADS + head) * size, n, kv);
        Matrix v = columns_of(heads + (2 * HEADS + head) * size, n, kv + across);
        memset(gk, 0, 2 * D * columns * 4);
        for (int64_t i = 0; i < n; i += BLOCK) {
            float dot[BLOCK] = {0}, peak[BLOCK] = {0}, share[BLOCK] = {0}, gq[BLOCK * D] = {0};
            for (int r = 0; r < BLOCK && i + r < n; r++) {
                for (int d = 0; d < D; d++) dot[r] += go[(i + r) * D + d] * o[(i + r) * D + d];
                peak[r] = peaks[2 * (task * n + i + r)];
                share[r] = peaks[2 * (task * n + i + r) + 1];
            }
            logits(q, k, positions, i, n, s);
            product(go + i * D, D, BLOCK, D, v.columns, columns, columns, NULL, 0, slopes, gp);
            for (int r = 0; r < BLOCK; r += QUAD)
                softmax_backward(skewed(s) + r * (p - 1), p - 1, slopes + r * gp, gp, n, inside, peak + r, share + r,
                                 dot + r);
            add_transposed_product(go + i * D, D, D, skewed(s), p - 1, columns, BLOCK, gv, columns);
            add_transposed_product(q + i * D, D, D, slopes, gp, columns, BLOCK, gk, columns);
            /* Column c of the stretch of e meets row i + r at j = c - (BLOCK - 1) + r: slopes, shifted by r. */
            const float *meets = slopes - (BLOCK - 1);
            int64_t stretch = stretch_of(n, i), length = stretch_length(n);
            add_transposed_product(q + i * D, D, D, meets, gp + 1, rounded(length), BLOCK, ge + stretch, ep);
            add_weighted(slopes, gp, k, 0, n, gq);
            add_weighted(meets, gp + 1, positions, stretch, length, gq);
            for (int r = 0; r < BLOCK && i + r < n; r++)
                memcpy(grad_tokens + (i + r) * at->step * width, gq + r * D, 4 * D);
        }
        for (int64_t i = 0; i < n; i++) {
            float *token = grad_tokens + i * at->step * width;
            for (int d = 0; d < D; d++) {
                token[HEADS * D + d] = gk[d * columns + i];
                token[2 * HEADS * D + d] = gv[d * columns + i];
            }
        }
    }
    for (int d = 0; d < D; d++)
        for (int64_t c = 0; c < 2 * n - 1; c++) grad_e[d * (2 * n - 1) + c] += ge[d * ep + MARGIN + c];
    free(scratch);
    return 0;
}
