/* Dropout and Swish in one pass over a block of elements, forward and backward; plain loops for the compiler's vectors.
 *
 * Whether element number i of a layer is kept follows from a hash of i and the layer's two seeds, so that the backward
 * pass knows it again without a stored mask, and blocks may be taken in any order by any thread.
 */
#include <stdint.h>
#include <string.h>

/* An element is dropped where its hash is below `threshold` of 2^32. */
typedef struct {
    uint32_t seed, second_seed, threshold;
} Dropout;

/* Wellons' lowbias32, an integer hash, with a seed before and one between its rounds. */
static inline uint32_t hash(uint32_t h, uint32_t second_seed) {
    h ^= h >> 16;
    h *= 0x21f0aaadu;
    h ^= h >> 15;
    h *= 0xd35a2d97u;
    h ^= (h >> 15) ^ second_seed;
    h *= 0x21f0aaadu;
    return h ^ (h >> 16);
}

/* What element `first` is hashed with; numbers beyond 2^32 count through their upper half. */
static inline uint32_t start_of(Dropout at, int64_t first) {
    return (uint32_t)first + at.seed + (uint32_t)(first >> 32) * 0x9e3779b9u;
}

/* 1 / (1 + exp(-x)): 2^k times a polynomial (Cephes expf) for the exponential, within 3 units in the last place. */
static inline float sigmoid(float x) {
    float y = -x;
    y = y > 87.0f ? 87.0f : y;
    y = y < -87.0f ? -87.0f : y;
    float shifted = y * 1.44269504088896341f + 12582912.0f;
    float k = shifted - 12582912.0f;
    float r = y - k * 0.693359375f + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits, power;
    memcpy(&bits, &p, 4);
    memcpy(&power, &shifted, 4);
    bits += power << 23;
    memcpy(&p, &bits, 4);
    return 1.0f / (1.0f + p);
}

/* x <- swish(x) where kept, else 0; x are the elements first, first + 1, ... here and below. */
static void swish_dropout(float *restrict x, int64_t n, int64_t first, Dropout at) {
    uint32_t start = start_of(at, first);
    for (int64_t i = 0; i < n; i++) {
        float value = x[i] * sigmoid(x[i]);
        x[i] = hash(start + (uint32_t)i, at.second_seed) >= at.threshold ? value : 0.0f;
    }
}

/* x <- swish(x) where kept, as before; grad <- the gradient of what x was, from that of the result. */
static void swish_dropout_backward(float *restrict x, float *restrict grad, int64_t n, int64_t first, Dropout at) {
    uint32_t start = start_of(at, first);
    for (int64_t i = 0; i < n; i++) {
        float gate = sigmoid(x[i]), value = x[i] * gate;
        float keep = hash(start + (uint32_t)i, at.second_seed) >= at.threshold ? 1.0f : 0.0f;
        grad[i] *= keep * (gate + value * (1.0f - gate));
        x[i] = keep * value;
    }
}

/* out <- x + step where kept, else x */
static void add_dropout(const float *restrict x, const float *restrict step, float *restrict out, int64_t n,
                        int64_t first, Dropout at) {
    uint32_t start = start_of(at, first);
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] + (hash(start + (uint32_t)i, at.second_seed) >= at.threshold ? step[i] : 0.0f);
}

/* out <- x where kept, else 0 */
static void dropout(const float *restrict x, float *restrict out, int64_t n, int64_t first, Dropout at) {
    uint32_t start = start_of(at, first);
    for (int64_t i = 0; i < n; i++)
        out[i] = hash(start + (uint32_t)i, at.second_seed) >= at.threshold ? x[i] : 0.0f;
}
