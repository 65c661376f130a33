/* Calls functions of a library for another processor, in an emulator, on copies of a caller's memory (emulation.py).
 *
 * A request is the name of a function, its arguments, and regions of memory: addresses, sizes and bytes. A word of a
 * structure, or an argument, that points into a region points into its copy during the call. The answer is the result
 * and the regions' bytes afterwards, with the caller's addresses. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SIZE = 64, MAX_ARGUMENTS = 5 };

typedef struct {
    char name[NAME_SIZE];
    int64_t arguments[MAX_ARGUMENTS];
    uint64_t num_regions;
} Request;

typedef struct {
    uint64_t address, size, is_structure;
    uint64_t copy; /* its address here */
} Region;

typedef int64_t (*Function)(int64_t, int64_t, int64_t, int64_t, int64_t);

static void receive(void *to, size_t size)
{
    if (fread(to, 1, size, stdin) != size)
        exit(size != 0);
}

/* Returns a word with an address in a region moved to its copy, or back. */
static uint64_t moved(uint64_t word, const Region *regions, uint64_t count, int is_back)
{
    for (uint64_t n = 0; n < count; n++) {
        const uint64_t from = is_back ? regions[n].copy : regions[n].address;
        if (word >= from && word < from + regions[n].size)
            return word - from + (is_back ? regions[n].address : regions[n].copy);
    }
    return word;
}

static void move_words(const Region *regions, uint64_t count, int is_back)
{
    for (uint64_t n = 0; n < count; n++)
        for (uint64_t at = 0; regions[n].is_structure && at < regions[n].size; at += sizeof at) {
            uint64_t *word = (uint64_t *)(regions[n].copy + at);
            *word = moved(*word, regions, count, is_back);
        }
}

static void answer(void *library, Request *request)
{
    const uint64_t count = request->num_regions;
    Region *regions = calloc(count + 1, sizeof *regions);
    for (uint64_t n = 0; n < count; n++) {
        receive(regions + n, sizeof *regions);
        regions[n].copy = (uint64_t)malloc(regions[n].size);
        receive((void *)regions[n].copy, regions[n].size);
    }
    move_words(regions, count, 0);
    int64_t *a = request->arguments;
    for (int n = 0; n < MAX_ARGUMENTS; n++)
        a[n] = moved(a[n], regions, count, 0);
    const Function function = (Function)dlsym(library, request->name);
    if (!function)
        exit(2);
    const int64_t result = function(a[0], a[1], a[2], a[3], a[4]);
    move_words(regions, count, 1);
    fwrite(&result, sizeof result, 1, stdout);
    for (uint64_t n = 0; n < count; n++) {
        fwrite((void *)regions[n].copy, 1, regions[n].size, stdout);
        free((void *)regions[n].copy);
    }
    free(regions);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    for (Request request; library && fread(&request, sizeof request, 1, stdin) == 1;)
        answer(library, &request);
    return !library;
}
