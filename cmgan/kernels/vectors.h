/* Vectors as wide as the processor has them, what is computed with them, and sequences of tokens in an array. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
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

enum { MOST_ARRAYS = 8 };

#define ALWAYS static inline __attribute__((always_inline))

static inline vec load(const float *p) {
    vec v = *(const loose *)p;
    IN_REGISTER(v);
    return v;
}
static inline void store(float *p, vec v) { *(loose *)p = v; }
static inline vec splat(float x) { return x - (vec){0}; }
static inline vec where(ivec first, vec a, vec b) { return (vec)((first & (ivec)a) | (~first & (ivec)b)); }
static inline vec larger(vec a, vec b) { return where(a > b, a, b); }

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
static inline vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(where(x < -87.0f, splat(87.0f), -x))); }

static inline float total(vec v) {
    float lanes[LANES];
    store(lanes, v);
    for (int count = LANES / 2; count > 0; count /= 2)
        for (int i = 0; i < count; i++) lanes[i] += lanes[i + count];
    return lanes[0];
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Space for `count` floats, as it comes or zero; null when memory is short. */
static float *scratch_for(int64_t count) { return aligned_alloc(64, (count * 4 + 63) / 64 * 64); }
static float *zeros(int64_t count) {
    float *p = scratch_for(count);
    return p ? memset(p, 0, count * 4) : p;
}

int vector_bits(void) { return 32 * LANES; }

/* A function of this package: arrays and layout as its comment says, items first .. last - 1; returns 0, or 1 when
 * memory is short. */
typedef int Function(void *const *arrays, const void *layout, int64_t first, int64_t last);

/* A function's items in equal shares. Each share has its own sums, sum_bytes of them, as the last of its arrays. */
typedef struct {
    Function *function;
    void **arrays;
    const void *layout;
    int64_t count, shares, array_count, sum_bytes, taken, failed;
} Work;

/* What each thread of a team runs: shares until none is left. Which thread takes which makes no difference. */
void take_shares(void *of) {
    Work *work = of;
    void *arrays[MOST_ARRAYS];
    for (int64_t i; (i = __atomic_fetch_add(&work->taken, 1, __ATOMIC_RELAXED)) < work->shares;) {
        memcpy(arrays, work->arrays, work->array_count * sizeof *arrays);
        if (work->sum_bytes) arrays[work->array_count - 1] = (char *)arrays[work->array_count - 1] + i * work->sum_bytes;
        int64_t first = work->count * i / work->shares, last = work->count * (i + 1) / work->shares;
        if (work->function(arrays, work->layout, first, last)) __atomic_store_n(&work->failed, 1, __ATOMIC_RELAXED);
    }
}

/* Sequences along one axis of a row-major array of tokens: token i of sequence s is number base + i * step. */
typedef struct {
    int64_t sequences, inner, outer_step, inner_step, n, step;
} Sequences;

static inline int64_t base_of(const Sequences *at, int64_t s) {
    return s / at->inner * at->outer_step + s % at->inner * at->inner_step;
}
