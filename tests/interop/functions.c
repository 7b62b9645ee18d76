/* Elementary functions alone, without Python: calls come in on stdin, their values go out on stdout.
 *
 * A call is a function and a count, both as uint64_t, then the arguments; POW has as many more. Memory is exactly as
 * large as they are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fill.h"

static double *read_doubles(uint64_t count) {
    double *memory = malloc(count * sizeof(double));
    return memory && fread(memory, sizeof(double), count, stdin) == count ? memory : NULL;
}

int main(void) {
    uint64_t call[2];
    while (fread(call, sizeof call, 1, stdin) == 1) {
        const uint64_t function = call[0], count = call[1];
        double *x = read_doubles(count), *y = function == POW ? read_doubles(count) : x;
        double *out = malloc(count * sizeof(double));
        if (!x || !y || !out) return 1;
        APPLY((int32_t)function, x, y, out, count);
        if (fwrite(out, sizeof(double), count, stdout) != count) return 2;
        if (y != x) free(y);
        free(x);
        free(out);
    }
    return 0;
}
