/* Feed-forward step of a conformer block, forward and backward, a few rows at a time in cache.
 *
 * out = x + dropout(W2 dropout(swish(W1 norm(x) + b1)) + b2), norm without scale and shift and dropout without its
 * factor 1 / (1 - rate): the caller folds them into the weights. Nothing but x is needed for the backward pass:
 * the rest is computed again, dropout's decisions as well (see dropout.h).
 */
#include "matrix_products.h"
#include "dropout.h"

enum { TILE = 96 };

/* w1 (C, H) and w2 (H, C): rows are inputs. The backward pass needs their transposes too. */
typedef struct {
    int64_t tokens, channels, hidden;
    const float *w1, *b1, *w2, *b2, *w1_back, *w2_back;
    Dropout dropout;
} FeedForward;

/* For dropout all elements of the hidden layer are numbered row after row, then those of the result. */
static int64_t result_number(const FeedForward *at, int64_t row) {
    return at->tokens * at->hidden + row * at->channels;
}

/* Rows first .. last - 1. Returns 0, or 1 when memory is short. */
int feed_forward(const float *x, float *out, FeedForward layer, int64_t first, int64_t last) {
    const FeedForward *at = &layer;
    int64_t c = at->channels, h = at->hidden;
    float *normed = scratch_for(TILE * (2 * c + h + 1));
    if (!normed) return 1;
    float *step = normed + TILE * c, *wide = step + TILE * c, *inverse = wide + TILE * h;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = last - row < TILE ? last - row : TILE;
        const float *from = x + row * c;
        normalise(from, c, rows, normed, inverse);
        product(normed, c, rows, c, at->w1, h, h, at->b1, 0, wide, h);
        swish_dropout(wide, rows * h, row * h, at->dropout);
        product(wide, h, rows, h, at->w2, c, c, at->b2, 0, step, c);
        add_dropout(from, step, out + row * c, rows * c, result_number(at, row), at->dropout);
    }
    free(normed);
    return 0;
}

/* Gradient of x (written) and those of w1 transposed, b1, w2 transposed, b2 (added to `sums`, one after the other). */
int feed_forward_backward(const float *x, const float *grad_out, float *grad_x, float *sums, FeedForward layer,
                          int64_t first, int64_t last) {
    const FeedForward *at = &layer;
    int64_t c = at->channels, h = at->hidden;
    float *normed = scratch_for(TILE * (3 * c + 2 * h + 1));
    if (!normed) return 1;
    float *grad = normed + TILE * c, *grad_normed = grad + TILE * c, *wide = grad_normed + TILE * c;
    float *grad_wide = wide + TILE * h, *inverse = grad_wide + TILE * h;
    float *grad_w1 = sums, *grad_b1 = grad_w1 + h * c, *grad_w2 = grad_b1 + h, *grad_b2 = grad_w2 + h * c;
    for (int64_t row = first; row < last; row += TILE) {
        int64_t rows = last - row < TILE ? last - row : TILE;
        const float *skip = grad_out + row * c;
        normalise(x + row * c, c, rows, normed, inverse);
        product(normed, c, rows, c, at->w1, h, h, at->b1, 0, wide, h);
        dropout(skip, grad, rows * c, result_number(at, row), at->dropout);
        product(grad, c, rows, c, at->w2_back, h, h, NULL, 0, grad_wide, h);
        swish_dropout_backward(wide, grad_wide, rows * h, row * h, at->dropout);
        add_transposed_product(wide, h, h, grad, c, c, rows, grad_w2, c);
        add_rows(grad, c, rows, grad_b2);
        add_transposed_product(grad_wide, h, h, normed, c, c, rows, grad_w1, c);
        add_rows(grad_wide, h, rows, grad_b1);
        product(grad_wide, h, rows, h, at->w1_back, c, c, NULL, 0, grad_normed, c);
        normalise_backward(grad_normed, normed, inverse, skip, c, rows, grad_x + row * c);
    }
    free(normed);
    return 0;
}
