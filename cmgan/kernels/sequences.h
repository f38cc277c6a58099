/* Sequences of tokens that lie along one axis of a row-major array: token i of sequence s is number base + i * step. */
#include <stdint.h>

typedef struct {
    int64_t sequences, inner, outer_step, inner_step, n, step;
} Sequences;

static inline int64_t base_of(const Sequences *at, int64_t s) {
    return s / at->inner * at->outer_step + s % at->inner * at->inner_step;
}
