/* RESIZE_NEAREST_NEIGHBOR. */
#include <string.h>

#include "tinyloc_kernels.h"

void tl_resize(const struct tl_resize *p, const void *in, void *out)
{
    const uint8_t *image = in;
    uint8_t *to = out;
    for (uint32_t batch = 0; batch < p->batches; batch++, image += p->in_bytes)
        for (uint32_t y = 0; y < p->out_h; y++)
            for (uint32_t x = 0; x < p->out_w; x++, to += p->pixel_bytes)
                memcpy(to, image + p->rows[y] + p->columns[x], p->pixel_bytes);
}
