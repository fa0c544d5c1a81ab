/* The runner as a program of the host: `runner INPUT OUTPUT`, two files. Nothing is counted here. */
#include <stdio.h>
#include <stdlib.h>

#include "port.h"
#include "runner.h"

static const char *input_name, *output_name;
static uint8_t *blob; /* the input, until the end */

__attribute__((noreturn)) static void fail(const char *name)
{
    perror(name);
    exit(EXIT_FAILURE);
}

const uint8_t *port_input(size_t *bytes)
{
    FILE *file = fopen(input_name, "rb");
    long length;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0)
        fail(input_name);
    rewind(file);
    *bytes = (size_t)length;
    blob = malloc(*bytes + 1); /* one more, so that an empty file is not a failed allocation */
    if (blob == NULL || fread(blob, 1, *bytes, file) != *bytes)
        fail(input_name);
    fclose(file);
    return blob;
}

uint8_t *port_output(const uint8_t *input_end, size_t bytes)
{
    (void)input_end;
    return malloc(bytes);
}

uint64_t port_instructions(void (*work)(void))
{
    work();
    return 0;
}

uint32_t port_stack_high_water(void)
{
    return 0;
}

void port_say(const char *text)
{
    fprintf(stderr, "%s\n", text);
}

void port_finish(const uint8_t *output, size_t bytes, int failed)
{
    FILE *file = fopen(output_name, "wb");

    if (file == NULL || fwrite(output, 1, bytes, file) != bytes || fclose(file) != 0)
        fail(output_name);
    exit(failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: runner INPUT OUTPUT\n");
        return EXIT_FAILURE;
    }
    input_name = argv[1];
    output_name = argv[2];
    runner_run();
}
