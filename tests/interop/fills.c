/* Fills by the kernels alone, without Python: jobs come in on stdin, their elements go out on stdout.
 *
 * What memory a job has is exactly as large as its elements, and begins `out` bytes behind an aligned place.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fill.h"

int main(void) {
    struct job job;
    while (fread(&job, sizeof job, 1, stdin) == 1) {
        const size_t offset = (size_t)job.out, size = job.count * (size_t)job.itemsize;
        char *memory = malloc(offset + size + 1);
        if (!memory) return 1;
        job.out = memory + offset;
        FILL(&job);
        if (fwrite(job.out, 1, size, stdout) != size) return 2;
        free(memory);
    }
    return 0;
}
