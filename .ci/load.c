/* Loads a library as Python would and calls it: `make wheels` runs this, under QEMU if it must. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

static int call(void *library, const char *name)
{
    uint32_t (*function)(void) = (uint32_t(*)(void))dlsym(library, name);
    if (function == NULL) {
        return 1;
    }
    printf("%lu\n", (unsigned long)function());
    return 0;
}

int main(int count, char **words)
{
    void *library = count == 2 ? dlopen(words[1], RTLD_NOW) : NULL;
    if (library == NULL) {
        fprintf(stderr, "%s\n", count == 2 ? dlerror() : "load LIBRARY");
        return 1;
    }
    return call(library, "fc_abi") || call(library, "fc_source");
}
