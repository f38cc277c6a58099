/* Matrix products and layer norm on tiles that lie in cache: what the compiled kernels are made of.
 *
 * Matrices are row-major; every width is a multiple of LANES (those of layers are multiples of 16). A tile of the result
 * stays in registers over the whole inner sum, its operands stream through the first-level cache.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Floats of a vector register, and vectors side by side in a tile: with ROWS or COLUMNS of them just below the number of
 * registers. */
#if defined(__AVX512F__)
#define LANES 16
enum { GROUP = 4 };
#elif defined(__AVX2__)
#define LANES 8
enum { GROUP = 2 };
#elif defined(__aarch64__)
#define LANES 4
enum { GROUP = 4 };
#else
#define LANES 4
enum { GROUP = 2 };
#endif
enum { ROWS = 6, COLUMNS = 4 };

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* The value stays in a register: compilers otherwise load it again for each use, and loads are what limits here. */
#if defined(__AVX512F__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#elif defined(__SSE2__)
#define IN_REGISTER(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define IN_REGISTER(v) __asm__("" : "+w"(v))
#else
#define IN_REGISTER(v) (void)(v)
#endif

static inline vec load(const float *p) {
    vec v = *(const loose *)p;
    IN_REGISTER(v);
    return v;
}
static inline void store(float *p, vec v) { *(loose *)p = v; }
static inline vec splat(float x) { return x - (vec){0}; }

#define ALWAYS static inline __attribute__((always_inline))

static float *scratch_for(int64_t count) { return aligned_alloc(64, (count * 4 + 63) / 64 * 64); }

/* out (rows, n) = start + x (rows, k) w (k, n), n = LANES groups, no start for null; rows and groups are constants where
 * this is called. */
ALWAYS void product_tile(const float *x, int64_t xp, int64_t k, const float *w, int64_t wp, const float *start,
                         int64_t sp, float *out, int64_t op, const int rows, const int groups) {
    vec sum[2 * ROWS][GROUP];
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < groups; g++) sum[r][g] = start ? load(start + r * sp + g * LANES) : splat(0);
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
                            const float *start, int64_t sp, float *out, int64_t op, const int groups) {
    const int high = 2 * groups <= GROUP ? 2 * ROWS : ROWS; /* a narrow tile has registers for more rows */
    for (; rows >= high; rows -= high, x += high * xp, out += high * op, start = start ? start + high * sp : start)
        product_tile(x, xp, k, w, wp, start, sp, out, op, high, groups);
    if (high > ROWS && rows >= ROWS) {
        product_tile(x, xp, k, w, wp, start, sp, out, op, ROWS, groups);
        rows -= ROWS, x += ROWS * xp, out += ROWS * op, start = start ? start + ROWS * sp : start;
    }
    switch (rows) {
    case 5: product_tile(x, xp, k, w, wp, start, sp, out, op, 5, groups); break;
    case 4: product_tile(x, xp, k, w, wp, start, sp, out, op, 4, groups); break;
    case 3: product_tile(x, xp, k, w, wp, start, sp, out, op, 3, groups); break;
    case 2: product_tile(x, xp, k, w, wp, start, sp, out, op, 2, groups); break;
    case 1: product_tile(x, xp, k, w, wp, start, sp, out, op, 1, groups); break;
    }
}

/* out (rows, n) = start + x (rows, k) w (k, n), with xp, wp, sp and op floats from one row to the next. start may be
 * out itself, one row for all (sp 0), or null for none. */
static void product(const float *x, int64_t xp, int64_t rows, int64_t k, const float *w, int64_t wp, int64_t n,
                    const float *start, int64_t sp, float *out, int64_t op) {
    enum { SLICE = 128 }; /* rows of w whose GROUP columns stay in the first-level cache */
    for (int64_t d = 0; d < k; d += SLICE, x += SLICE, w += SLICE * wp, start = out, sp = op) {
        int64_t count = k - d < SLICE ? k - d : SLICE, c = 0;
        for (; c + GROUP * LANES <= n; c += GROUP * LANES)
            product_columns(x, xp, rows, count, w + c, wp, start ? start + c : start, sp, out + c, op, GROUP);
        const float *from = start ? start + c : start;
        switch ((n - c) / LANES) {
        case 3: product_columns(x, xp, rows, count, w + c, wp, from, sp, out + c, op, GROUP > 3 ? 3 : 1); break;
        case 2: product_columns(x, xp, rows, count, w + c, wp, from, sp, out + c, op, GROUP > 2 ? 2 : 1); break;
        case 1: product_columns(x, xp, rows, count, w + c, wp, from, sp, out + c, op, 1); break;
        }
    }
}

ALWAYS void outer_tile(const float *a, int64_t ap, const float *b, int64_t bp, int64_t rows, float *out, int64_t op,
                       const int columns, const int groups) {
    vec sum[4 * COLUMNS][GROUP];
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

ALWAYS void outer_columns(const float *a, int64_t ap, int64_t m, const float *b, int64_t bp, int64_t rows, float *out,
                          int64_t op, const int groups) {
    const int wide = GROUP / groups * COLUMNS; /* a narrow tile has registers for more columns of a */
    int64_t i = 0;
    for (; i + wide <= m; i += wide) outer_tile(a + i, ap, b, bp, rows, out + i * op, op, wide, groups);
    for (; i < m; i += COLUMNS) outer_tile(a + i, ap, b, bp, rows, out + i * op, op, COLUMNS, groups);
}

/* out (m, n) += a' b for a (rows, m) and b (rows, n): the gradient of a weight; m is a multiple of COLUMNS. */
static void add_transposed_product(const float *a, int64_t ap, int64_t m, const float *b, int64_t bp, int64_t n,
                                   int64_t rows, float *out, int64_t op) {
    enum { SLICE = 112 }; /* rows whose GROUP columns of b stay in the first-level cache */
    for (int64_t r = 0; r < rows; r += SLICE, a += SLICE * ap, b += SLICE * bp) {
        int64_t count = rows - r < SLICE ? rows - r : SLICE, c = 0;
        for (; c + GROUP * LANES <= n; c += GROUP * LANES)
            outer_columns(a, ap, m, b + c, bp, count, out + c, op, GROUP);
        switch ((n - c) / LANES) {
        case 3: outer_columns(a, ap, m, b + c, bp, count, out + c, op, GROUP > 3 ? 3 : 1); break;
        case 2: outer_columns(a, ap, m, b + c, bp, count, out + c, op, GROUP > 2 ? 2 : 1); break;
        case 1: outer_columns(a, ap, m, b + c, bp, count, out + c, op, 1); break;
        }
    }
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
