/* Any int8 function of one int8. */
#include "tinyloc_kernels.h"

void tl_table_s8(const struct tl_table_s8 *p, const int8_t *in, int8_t *out)
{
    const int8_t *middle = p->table + 128;
    for (const int8_t *end = in + p->count; in != end;)
        *out++ = middle[*in++];
}
