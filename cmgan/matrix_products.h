/* Matrix products and layer norm on tiles that lie in cache: what the compiled kernels are made of.
 *
 * Matrices are row-major; every width is a multiple of LANES. A tile of the result stays in registers over the whole
 * inner sum, its operands stream through the first-level cache.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* The value stays in a register: compilers otherwise load it again for each use, and loads are what limits here. */
#if defined(__AVX512F__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
enum { GROUP = 4 }; /* vectors side by side in a tile; with ROWS or COLUMNS of them just below the register count */
#else
#define IN_REGISTER(v) (void)(v)
enum { GROUP = 1 };
#endif
enum { ROWS = 6, COLUMNS = 4 };

static inline vec load(const float *p) {
    vec v = *(const loose *)p;
    IN_REGISTER(v);
    return v;
}
static inline void store(float *p, vec v) { *(loose *)p = v; }
static inline vec splat(float x) { return x - (vec){0}; }

#define ALWAYS static inline __attribute__((always_inline))

/* out (rows, 16 groups) += x (rows, k) w (k, 16 groups); rows and groups are constants where this is called. */
ALWAYS void product_tile(const float *x, int64_t xp, int64_t k, const float *w, int64_t wp, float *out, int64_t op,
                         const int rows, const int groups) {
    vec sum[ROWS][GROUP];
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) sum[r][g] = load(out + r * op + g * LANES);
    for (int64_t d = 0; d < k; d++) {
        vec column[GROUP];
        for (int g = 0; g < groups; g++) column[g] = load(w + d * wp + g * LANES);
        for (int r = 0; r < rows; r++)
            for (int g = 0; g < groups; g++) sum[r][g] += column[g] * x[r * xp + d];
    }
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) store(out + r * op + g * LANES, sum[r][g]);
}

ALWAYS void product_columns(const float *x, int64_t xp, int64_t rows, int64_t k, const float *w, int64_t wp,
                            float *out, int64_t op, const int groups) {
    int64_t r = 0;
    for (; r + ROWS <= rows; r += ROWS) product_tile(x + r * xp, xp, k, w, wp, out + r * op, op, ROWS, groups);
    x += r * xp;
    out += r * op;
    switch (rows - r) {
    case 5: product_tile(x, xp, k, w, wp, out, op, 5, groups); break;
    case 4: product_tile(x, xp, k, w, wp, out, op, 4, groups); break;
    case 3: product_tile(x, xp, k, w, wp, out, op, 3, groups); break;
    case 2: product_tile(x, xp, k, w, wp, out, op, 2, groups); break;
    case 1: product_tile(x, xp, k, w, wp, out, op, 1, groups); break;
    }
}

/* out (rows, n) += x (rows, k) w (k, n), with xp and op floats from one row to the next. */
static void add_product(const float *x, int64_t xp, int64_t rows, int64_t k, const float *w, int64_t n, float *out,
                        int64_t op) {
    enum { SLICE = 128 }; /* rows of w whose GROUP columns stay in the first-level cache */
    for (int64_t d = 0; d < k; d += SLICE, x += SLICE, w += SLICE * n) {
        int64_t count = k - d < SLICE ? k - d : SLICE, c = 0;
        for (; c + GROUP * LANES <= n; c += GROUP * LANES)
            product_columns(x, xp, rows, count, w + c, n, out + c, op, GROUP);
        for (; c < n; c += LANES) product_columns(x, xp, rows, count, w + c, n, out + c, op, 1);
    }
}

ALWAYS void outer_tile(const float *a, int64_t ap, const float *b, int64_t bp, int64_t rows, float *out, int64_t op,
                       const int columns, const int groups) {
    vec sum[LANES][GROUP];
    for (int i = 0; i < columns; i++)
        for (int g = 0; g < groups; g++) sum[i][g] = load(out + i * op + g * LANES);
    for (int64_t r = 0; r < rows; r++) {
        vec row[GROUP];
        for (int g = 0; g < groups; g++) row[g] = load(b + r * bp + g * LANES);
        for (int i = 0; i < columns; i++)
            for (int g = 0; g < groups; g++) sum[i][g] += row[g] * a[r * ap + i];
    }
    for (int i = 0; i < columns; i++)
        for (int g = 0; g < groups; g++) store(out + i * op + g * LANES, sum[i][g]);
}

/* out (m, n) += a' b for a (rows, m) and b (rows, n): the gradient of a weight. */
static void add_transposed_product(const float *a, int64_t ap, int64_t m, const float *b, int64_t bp, int64_t n,
                                   int64_t rows, float *out) {
    enum { SLICE = 112 }; /* rows whose GROUP columns of b stay in the first-level cache */
    for (int64_t r = 0; r < rows; r += SLICE) {
        int64_t count = rows - r < SLICE ? rows - r : SLICE, c = 0;
        for (; c + GROUP * LANES <= n; c += GROUP * LANES)
            for (int64_t i = 0; i < m; i += COLUMNS)
                outer_tile(a + r * ap + i, ap, b + r * bp + c, bp, count, out + i * n + c, n, COLUMNS, GROUP);
        for (; c < n; c += LANES)
            for (int64_t i = 0; i < m; i += 2 * COLUMNS)
                outer_tile(a + r * ap + i, ap, b + r * bp + c, bp, count, out + i * n + c, n, 2 * COLUMNS, 1);
    }
}

/* out (n) += the sum of the rows of a (rows, n). */
static void add_rows(const float *a, int64_t n, int64_t rows, float *out) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < n; c++) out[c] += a[r * n + c];
}

static void fill_rows(const float *row, int64_t n, int64_t rows, float *out) {
    for (int64_t r = 0; r < rows; r++) memcpy(out + r * n, row, 4 * n);
}

static inline float total(vec v) {
    float lanes[LANES];
    store(lanes, v);
    for (int count = LANES / 2; count > 0; count /= 2)
        for (int i = 0; i < count; i++) lanes[i] += lanes[i + count];
    return lanes[0];
}

/* Rows of x (rows, n) at mean 0 and variance 1 (but for 1e-5, as torch adds it), and their inverse deviations. */
static void normalise(const float *x, int64_t n, int64_t rows, float *out, float *inverse) {
    for (int64_t r = 0; r < rows; r++, x += n, out += n) {
        vec sum = {0}, squares = {0};
        for (int64_t c = 0; c < n; c += LANES) sum += load(x + c);
        vec mean = splat(total(sum) / n);
        for (int64_t c = 0; c < n; c += LANES) squares += (load(x + c) - mean) * (load(x + c) - mean);
        inverse[r] = 1 / sqrtf(total(squares) / n + 1e-5f);
        for (int64_t c = 0; c < n; c += LANES) store(out + c, (load(x + c) - mean) * inverse[r]);
    }
}

/* out <- skip + the gradient of what was normalised, from grad, that of the result `normed`. */
static void normalise_backward(const float *grad, const float *normed, const float *inverse, const float *skip,
                               int64_t n, int64_t rows, float *out) {
    for (int64_t r = 0; r < rows; r++, grad += n, normed += n, skip += n, out += n) {
        vec sum = {0}, along = {0};
        for (int64_t c = 0; c < n; c += LANES) {
            sum += load(grad + c);
            along += load(grad + c) * load(normed + c);
        }
        vec mean = splat(total(sum) / n), slope = splat(total(along) / n);
        for (int64_t c = 0; c < n; c += LANES)
            store(out + c, load(skip + c) + (load(grad + c) - mean - load(normed + c) * slope) * inverse[r]);
    }
}
