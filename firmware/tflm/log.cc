/* What the library says, kept until somebody asks. In its place these two functions would bring printf into the image,
 * and with it a heap. */
#include <stdarg.h>

#include "tflm.h"

extern "C" {
#include "port.h"
#include "runner.h"

void DebugLog(const char *format, va_list args);
int DebugVsnprintf(char *buffer, size_t size, const char *format, va_list args);
}

namespace {

/* A text of limited length: what does not fit is left out. */
struct text {
    char *at, *end;

    void put(char letter)
    {
        if (at < end)
            *at++ = letter;
    }

    void put(const char *letters)
    {
        while (*letters != '\0')
            put(*letters++);
    }

    void put(unsigned long long number, unsigned base)
    {
        if (number >= base)
            put(number / base, base);
        put("0123456789abcdef"[number % base]);
    }

    void put(long long number)
    {
        if (number < 0)
            put('-');
        put(number < 0 ? 0 - static_cast<unsigned long long>(number) : static_cast<unsigned long long>(number), 10);
    }
};

/* How many `l` an integer's conversion has; size_t is as wide as long on every machine that we have. */
unsigned longs(const char *&format)
{
    unsigned found = 0;

    for (; *format == 'l' || *format == 'z' || *format == 'h'; format++)
        found += *format != 'h';
    return found;
}

long long signed_argument(va_list *args, unsigned longs)
{
    return longs == 0 ? va_arg(*args, int) : longs == 1 ? va_arg(*args, long) : va_arg(*args, long long);
}

unsigned long long unsigned_argument(va_list *args, unsigned longs)
{
    return longs == 0   ? va_arg(*args, unsigned)
           : longs == 1 ? va_arg(*args, unsigned long)
                        : va_arg(*args, unsigned long long);
}

/* One conversion, without its %. Widths and precisions are left out, and of a real number what follows the point. */
void convert(text &out, const char *&format, va_list *args)
{
    while (*format == '-' || *format == '.' || (*format >= '0' && *format <= '9'))
        format++;
    unsigned wide = longs(format);

    switch (*format) {
    case 's': out.put(va_arg(*args, const char *)); break;
    case 'c': out.put(static_cast<char>(va_arg(*args, int))); break;
    case 'd':
    case 'i': out.put(signed_argument(args, wide)); break;
    case 'u': out.put(unsigned_argument(args, wide), 10); break;
    case 'x': out.put(unsigned_argument(args, wide), 16); break;
    case 'p': out.put(reinterpret_cast<uintptr_t>(va_arg(*args, void *)), 16); break;
    case 'e':
    case 'f':
    case 'g': out.put(static_cast<long long>(va_arg(*args, double))); break;
    case '\0': return;
    default: out.put(*format); break;
    }
    format++;
}

void print(text &out, const char *format, va_list *args)
{
    while (*format != '\0')
        if (*format != '%')
            out.put(*format++);
        else
            convert(out, ++format, args);
}

char said[300]; /* zeros, so that it ends wherever it is left; with the reason it has to fit into one line */
size_t said_bytes;

} // namespace

void DebugLog(const char *format, va_list args)
{
    va_list copy; /* where va_list is an array, a parameter of it has no address of its own */

    va_copy(copy, args);
    text out = {said + said_bytes, said + sizeof said - 1};
    print(out, format, &copy);
    said_bytes = static_cast<size_t>(out.at - said);
    va_end(copy);
}

int DebugVsnprintf(char *buffer, size_t size, const char *format, va_list args)
{
    text out = {buffer, buffer + size - 1};
    va_list copy;

    va_copy(copy, args);
    print(out, format, &copy);
    va_end(copy);
    *out.at = '\0';
    return static_cast<int>(out.at - buffer);
}

void tflm_refuse(const char *what, size_t arena_bytes)
{
    char reason[80];
    text out = {reason, reason + sizeof reason - 1};

    out.put(what);
    out.put(" (with an arena of ");
    out.put(arena_bytes, 10);
    out.put(" B)");
    *out.at = '\0';
    port_say(said);
    port_say(reason);
    runner_end(RUNNER_REFUSED, nullptr);
}
