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
 * qkv has 3 * HEADS * D floats a token, out has HEADS * D; the caller defines HEADS and D.
 */
#include "matrix_products.h"

enum { BLOCK = 2 * ROWS, QUAD = 4, MARGIN = 16 }; /* BLOCK is a multiple of QUAD, MARGIN larger and one of LANES */

_Static_assert(D % QUAD == 0, "head sizes are multiples of 4");

/* One head's k, v or e, zero outside: as rows (count, D) and, lying, as columns (D, pitch). */
typedef struct {
    float *rows, *columns;
    int64_t pitch;
} Matrix;

#if LANES == 16
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif LANES == 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#endif

/* Those lanes of a and b in a row; the two compilers spell it differently. */
#if defined(__clang__)
#define TAKE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TAKE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
static inline vec pair_sums(vec a, vec b) { return TAKE(a, b, EVENS) + TAKE(a, b, ODDS); }
static inline vec pair_larger(vec a, vec b) { return larger(TAKE(a, b, EVENS), TAKE(a, b, ODDS)); }

/* Lane r of the result: the sum, or the largest, of the lanes of v[r]. */
static inline vec row_sums(const vec v[QUAD]) {
    vec all = pair_sums(pair_sums(v[0], v[1]), pair_sums(v[2], v[3]));
    for (int left = LANES / QUAD; left > 1; left /= 2) all = pair_sums(all, all);
    return all;
}
static inline vec row_largest(const vec v[QUAD]) {
    vec all = pair_larger(pair_larger(v[0], v[1]), pair_larger(v[2], v[3]));
    for (int left = LANES / QUAD; left > 1; left /= 2) all = pair_larger(all, all);
    return all;
}

/* Length of a row of n columns rounded up to whole vectors. */
static inline int64_t rounded(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* Lanes of the last vector of n columns that are columns. */
static inline ivec inside_of(int64_t n) {
    ivec inside = {0};
    for (int64_t j = rounded(n) - LANES; j < n; j++) inside[j % LANES] = -1;
    return inside;
}

/* Tokens of a sequence, (n, count, D) -> (count, n + BLOCK, D): all heads in one pass over far apart tokens. */
static void gather_heads(const float *from, int64_t count, const Sequences *at, float *rows) {
    for (int64_t i = 0; i < at->n; i++, rows += D)
        for (int64_t h = 0; h < count; h++)
            memcpy(rows + h * (at->n + BLOCK) * D, from + (i * at->step * count + h) * D, 4 * D);
}

/* Rows (n, D) with their columns; LANES rows at a time, so that stores are whole. */
static Matrix columns_of(float *rows, int64_t n, float *columns) {
    int64_t pitch = rounded(n);
    for (int64_t i = 0; i < n; i += LANES) {
        float tile[D][LANES] = {{0}};
        for (int64_t l = 0; l < LANES && i + l < n; l++)
            for (int d = 0; d < D; d++) tile[d][l] = rows[(i + l) * D + d];
        for (int d = 0; d < D; d++) memcpy(columns + d * pitch + i, tile[d], sizeof tile[d]);
    }
    return (Matrix){rows, columns, pitch};
}

/* Embeddings (D, 2n - 1) with a margin on both sides. */
static void gather_positions(const float *e, int64_t n, Matrix m) {
    for (int d = 0; d < D; d++)
        for (int64_t c = 0; c < 2 * n - 1; c++)
            m.columns[d * m.pitch + MARGIN + c] = m.rows[(MARGIN + c) * D + d] = e[d * (2 * n - 1) + c];
}

#if D % LANES == 0
/* out (BLOCK, D) += s (BLOCK, count) times rows first, first + 1, ... of m. */
static void add_weighted(const float *s, int64_t sp, Matrix m, int64_t first, int64_t count, float *out) {
    for (int d = 0; d < D; d += LANES)
        product_tile(s, sp, 1, count, m.rows + first * D + d, D, out + d, D, out + d, D, BLOCK, 1);
}
#else
/* Lane i of the result is the sum of the lanes of v[i]; v is overwritten. */
static inline vec lane_sums(vec v[LANES]) {
    for (int count = LANES / 2; count > 0; count /= 2)
        for (int i = 0; i < count; i++) v[i] = pair_sums(v[2 * i], v[2 * i + 1]);
    return v[0];
}

/* The same along columns, QUAD rows and DEEP of d at a time: rows of fewer than LANES would waste the rest. s is zero
 * up to whole vectors. */
enum { DEEP = LANES / QUAD };
static void add_weighted(const float *s, int64_t sp, Matrix m, int64_t first, int64_t count, float *out) {
    for (int row = 0; row < BLOCK; row += QUAD)
        for (int d = 0; d < D; d += DEEP) {
            vec acc[LANES] = {{0}};
            for (int64_t j = 0; j < count; j += LANES) {
                vec weight[QUAD];
                for (int r = 0; r < QUAD; r++) weight[r] = load(s + (row + r) * sp + j);
                for (int g = 0; g < DEEP; g++) {
                    vec column = load(m.columns + (d + g) * m.pitch + first + j);
                    for (int r = 0; r < QUAD; r++) acc[g * QUAD + r] += weight[r] * column;
                }
            }
            vec total = lane_sums(acc);
            for (int g = 0; g < DEEP; g++)
                for (int r = 0; r < QUAD; r++) out[(row + r) * D + d + g] += total[g * QUAD + r];
        }
}
#endif

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
        top[r] = where(inside, load(last), splat(-1e30f));
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

/* Arrays qkv, e, out, peaks (sequences, HEADS, n, 2). Sequences first .. last - 1, here and below. Returns 0, or 1 when
 * memory is short. */
int relative_attention_forward(void *const *arrays, const void *layout, int64_t first, int64_t last) {
    const float *qkv = arrays[0], *e = arrays[1];
    float *out = arrays[2], *peaks = arrays[3];
    const Sequences *at = layout;
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

/* Arrays qkv, e, out, peaks, grad_out, grad_qkv (written), grad_e (D, 2n - 1), added up over these sequences. */
int relative_attention_backward(void *const *arrays, const void *layout, int64_t first, int64_t last) {
    const float *qkv = arrays[0], *e = arrays[1], *out = arrays[2], *peaks = arrays[3], *grad_out = arrays[4];
    float *grad_qkv = arrays[5], *grad_e = arrays[6];
    const Sequences *at = layout;
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
