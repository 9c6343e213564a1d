/* Runs a fuzz target over files and directories of inputs, then over seeded mutations of them (-m COUNT): the
 * corpus in the ordinary test run, without a fuzzing compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity,
                                                     unsigned seed);

#define INPUTS_MAX 4096
#define INPUT_MAX (1 << 20)
#define HALF_MAX 65536

static struct {
    uint8_t *bytes;
    size_t size;
} inputs[INPUTS_MAX];
static size_t input_count;

static void read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || input_count == INPUTS_MAX) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    uint8_t *bytes = malloc(INPUT_MAX);
    size_t size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    inputs[input_count].bytes = realloc(bytes, size + 1);
    inputs[input_count++].size = size;
}

static void read_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        read_file(path);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char name[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
            read_path(name);
        }
        free(entries[i]);
    }
    free(entries);
}

/* An exact copy, so that a read past the end is seen. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint64_t seed = 88172645463325252ull;

static uint32_t next_random(uint32_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 16) % bound);
}

/* What libFuzzer gives to a target's own mutator (rest_mutator.c): damages a few bytes, with a taste for the
 * grammar's own characters. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity)
{
    static const char MARKS[] = "().,:\"\\->!*&=%+{}[] not.and or\n\t;";
    (void)capacity;
    for (uint32_t i = next_random(6); i > 0 && size > 0; i--)
        data[next_random((uint32_t)size)] =
            next_random(3) == 0 ? (uint8_t)next_random(256) : (uint8_t)MARKS[next_random(sizeof(MARKS) - 1)];
    return size;
}

/* Splices two inputs and mutates the result. */
static void mutate(void)
{
    static uint8_t work[4 * HALF_MAX];
    size_t a = next_random((uint32_t)input_count), b = next_random((uint32_t)input_count);
    size_t head = inputs[a].size > 0 ? next_random((uint32_t)inputs[a].size + 1) : 0;
    size_t from = inputs[b].size > 0 ? next_random((uint32_t)inputs[b].size + 1) : 0;
    size_t tail = inputs[b].size - from;
    head = head > HALF_MAX ? HALF_MAX : head;
    tail = tail > HALF_MAX ? HALF_MAX : tail;
    memcpy(work, inputs[a].bytes, head);
    memcpy(work + head, inputs[b].bytes + from, tail);
    size_t size = head + tail;
    if (LLVMFuzzerCustomMutator != NULL)
        size = LLVMFuzzerCustomMutator(work, size, sizeof(work), next_random(UINT32_MAX));
    else
        size = LLVMFuzzerMutate(work, size, sizeof(work));
    run(work, size);
}

int main(int argc, char **argv)
{
    long mutations = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
            mutations = strtol(argv[++i], NULL, 10);
        else
            read_path(argv[i]);
    }
    for (size_t i = 0; i < input_count; i++)
        run(inputs[i].bytes, inputs[i].size);
    for (long i = 0; input_count > 0 && i < mutations; i++)
        mutate();
    printf("%zu inputs, %ld mutations\n", input_count, mutations);
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].bytes);
    return input_count > 0 ? 0 : 2;
}
