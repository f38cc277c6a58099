/* What relative attention does with a BLOCK of rows of logits: copies of tokens, exponentials, products with weights. */
#include "matrix_products.h"
#include "sequences.h"

#ifndef D
#define D 16
#endif
#define HEADS 4
enum { BLOCK = 2 * ROWS, QUAD = 4, MARGIN = 16 }; /* BLOCK is a multiple of QUAD, MARGIN larger and one of LANES */

_Static_assert(D % QUAD == 0, "head sizes are multiples of 4");

/* One head's k, v or e, zero outside: as rows (count, D) and, lying, as columns (D, pitch). */
typedef struct {
    float *rows, *columns;
    int64_t pitch;
} Matrix;

static inline vec larger(vec a, vec b) {
    ivec first = a > b;
    return (vec)((first & (ivec)a) | (~first & (ivec)b));
}

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

/* Length of a row of n columns rounded up to whole vectors. */
static inline int64_t rounded(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* Lanes of the last vector of n columns that are columns. */
static inline ivec inside_of(int64_t n) {
    ivec inside = {0};
    for (int64_t j = rounded(n) - LANES; j < n; j++) inside[j % LANES] = -1;
    return inside;
}

static float *zeros(int64_t count) {
    float *p = scratch_for(count);
    if (p) memset(p, 0, count * 4);
    return p;
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
        product_tile(s, sp, count, m.rows + first * D + d, D, out + d, D, out + d, D, BLOCK, 1);
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
