/* Matrix products and layer norm on tiles that lie in cache.
 *
 * Matrices are row-major; every width is a multiple of LANES (those of layers are multiples of 16). A tile of the
 * result stays in registers over the whole inner sum, its operands stream through the first-level cache.
 */
#include "vectors.h"

/* Vectors side by side in a tile: with ROWS of them just below the number of registers. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { GROUP = 4 };
#else
enum { GROUP = 2 };
#endif
enum { ROWS = 6 };

/* out (rows, n) = start + x (rows, k) w (k, n), n = LANES groups, no start for null; element (r, d) of x is
 * x[r xr + d xd]. rows, groups and one of xr and xd are constants where this is called, here and below. */
ALWAYS void product_tile(const float *x, int64_t xr, int64_t xd, int64_t k, const float *w, int64_t wp,
                         const float *start, int64_t sp, float *out, int64_t op, const int rows, const int groups) {
    vec sum[2 * ROWS][GROUP];
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) sum[r][g] = start ? load(start + r * sp + g * LANES) : splat(0);
    for (int64_t d = 0; d < k; d++) {
        vec row[GROUP];
        for (int g = 0; g < groups; g++) row[g] = load(w + d * wp + g * LANES);
        for (int r = 0; r < rows; r++)
            for (int g = 0; g < groups; g++) sum[r][g] += row[g] * x[r * xr + d * xd];
    }
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) store(out + r * op + g * LANES, sum[r][g]);
}

ALWAYS void product_columns(const float *x, int64_t xr, int64_t xd, int64_t rows, int64_t k, const float *w, int64_t wp,
                            const float *start, int64_t sp, float *out, int64_t op, const int groups) {
    const int high = 2 * groups <= GROUP ? 2 * ROWS : ROWS; /* a narrow tile has registers for more rows */
    for (; rows >= high; rows -= high, x += high * xr, out += high * op, start = start ? start + high * sp : start)
        product_tile(x, xr, xd, k, w, wp, start, sp, out, op, high, groups);
    if (high > ROWS && rows >= ROWS) {
        product_tile(x, xr, xd, k, w, wp, start, sp, out, op, ROWS, groups);
        rows -= ROWS, x += ROWS * xr, out += ROWS * op, start = start ? start + ROWS * sp : start;
    }
    switch (rows) {
    case 5: product_tile(x, xr, xd, k, w, wp, start, sp, out, op, 5, groups); break;
    case 4: product_tile(x, xr, xd, k, w, wp, start, sp, out, op, 4, groups); break;
    case 3: product_tile(x, xr, xd, k, w, wp, start, sp, out, op, 3, groups); break;
    case 2: product_tile(x, xr, xd, k, w, wp, start, sp, out, op, 2, groups); break;
    case 1: product_tile(x, xr, xd, k, w, wp, start, sp, out, op, 1, groups); break;
    }
}

ALWAYS void product_of(const float *x, int64_t xr, int64_t xd, int64_t rows, int64_t k, const float *w, int64_t wp,
                       int64_t n, const float *start, int64_t sp, float *out, int64_t op) {
    enum { SLICE = 128 }; /* rows of w whose GROUP columns stay in the first-level cache */
    for (int64_t d = 0; d < k; d += SLICE, x += SLICE * xd, w += SLICE * wp, start = out, sp = op) {
        int64_t count = smaller(k - d, SLICE), c = 0;
        for (; c + GROUP * LANES <= n; c += GROUP * LANES)
            product_columns(x, xr, xd, rows, count, w + c, wp, start ? start + c : start, sp, out + c, op, GROUP);
        const float *from = start ? start + c : start;
        switch ((n - c) / LANES) {
        case 3: product_columns(x, xr, xd, rows, count, w + c, wp, from, sp, out + c, op, GROUP > 3 ? 3 : 1); break;
        case 2: product_columns(x, xr, xd, rows, count, w + c, wp, from, sp, out + c, op, GROUP > 2 ? 2 : 1); break;
        case 1: product_columns(x, xr, xd, rows, count, w + c, wp, from, sp, out + c, op, 1); break;
        }
    }
}

/* out (rows, n) = start + x (rows, k) w (k, n), with xp, wp, sp and op floats from one row to the next. start may be
 * out itself, one row for all (sp 0), or null for none. */
static void product(const float *x, int64_t xp, int64_t rows, int64_t k, const float *w, int64_t wp, int64_t n,
                    const float *start, int64_t sp, float *out, int64_t op) {
    product_of(x, xp, 1, rows, k, w, wp, n, start, sp, out, op);
}

/* out (m, n) += a' b for a (rows, m) and b (rows, n): the gradient of a weight. */
static void add_transposed_product(const float *a, int64_t ap, int64_t m, const float *b, int64_t bp, int64_t n,
                                   int64_t rows, float *out, int64_t op) {
    product_of(a, 1, ap, m, rows, b, bp, n, out, op, out, op);
}

/* out (n) += the sum of the rows of a (rows, n). */
static void add_rows(const float *a, int64_t n, int64_t rows, float *out) {
    for (int64_t c = 0; c < n; c += LANES) {
        vec even = load(out + c), odd = {0};
        for (int64_t r = 0; r + 1 < rows; r += 2) {
            even += load(a + r * n + c);
            odd += load(a + (r + 1) * n + c);
        }
        if (rows % 2) even += load(a + (rows - 1) * n + c);
        store(out + c, even + odd);
    }
}

/* x - mean, zero in lanes of padding: those from `channels` on; x lies at number c of its row. */
static inline vec centred(const float *x, vec mean, int64_t c, int64_t channels) {
    vec above = load(x + c) - mean;
    for (int64_t i = channels > c ? channels - c : 0; i < LANES; i++) above[i] = 0;
    return above;
}

/* Rows of x (rows, n) at mean 0 and variance 1 (but for 1e-5, as torch adds it), and their inverse deviations.
 * The first `channels` of the n count, zeros lie behind them in x and out. */
static void normalise(const float *x, int64_t n, int64_t channels, int64_t rows, float *out, float *inverse) {
    for (int64_t r = 0; r < rows; r++, x += n, out += n) {
        vec sum = {0}, squares = {0};
        for (int64_t c = 0; c < n; c += LANES) sum += load(x + c);
        vec mean = splat(total(sum) / channels);
        for (int64_t c = 0; c < n; c += LANES) {
            vec above = centred(x, mean, c, channels);
            squares += above * above;
        }
        inverse[r] = 1 / sqrtf(total(squares) / channels + 1e-5f);
        for (int64_t c = 0; c < n; c += LANES) store(out + c, centred(x, mean, c, channels) * inverse[r]);
    }
}

/* out <- skip, where not null, + the gradient of what was normalised, from grad, that of the result `normed`; what it
 * leaves in lanes of padding means nothing. */
static void normalise_backward(const float *grad, const float *normed, const float *inverse, const float *skip,
                               int64_t n, int64_t channels, int64_t rows, float *out) {
    for (int64_t r = 0; r < rows; r++, grad += n, normed += n, out += n) {
        vec sum = {0}, along = {0};
        for (int64_t c = 0; c < n; c += LANES) {
            sum += load(grad + c);
            along += load(grad + c) * load(normed + c);
        }
        vec mean = splat(total(sum) / channels), slope = splat(total(along) / channels);
        for (int64_t c = 0; c < n; c += LANES) {
            vec start = skip ? load(skip + r * n + c) : splat(0);
            store(out + c, start + (load(grad + c) - mean - load(normed + c) * slope) * inverse[r]);
        }
    }
}
