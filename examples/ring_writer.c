/* Words into a ring that `muonstream run shm:NAME` reads: cc -O2 -o ring_writer ring_writer.c; ./ring_writer NAME < words.dat
 * Layout: docs/local-sources.md. Nothing here waits for the reader: what it does not read in time is lost, and counted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 4096, VERSION = 1, CAPACITY, SESSION, STATE, RESERVED = 8, WRITTEN }; /* fields of the header */

static _Atomic uint64_t *ring; /* the header; the words begin HEADER bytes behind it */
static uint64_t size;          /* words that the ring holds, a power of two */

static int ring_open(const char *name, uint64_t words) {
    char path[256], made[256];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    snprintf(made, sizeof made, "/dev/shm/.%s.%d", name, (int)getpid());
    int file = open(made, O_RDWR | O_CREAT | O_EXCL, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1}; /* says that we are alive */
    if (file < 0 || ftruncate(file, (off_t)(HEADER + 8 * words)) || fcntl(file, F_OFD_SETLK, &lock)) return -1;
    ring = mmap(NULL, HEADER + 8 * words, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ring == MAP_FAILED) return -1;
    size = words;
    ring[VERSION] = 1;
    ring[CAPACITY] = words;
    ring[SESSION] = ((uint64_t)time(NULL) << 20) ^ (uint64_t)getpid();
    ring[STATE] = 1; /* open; 2 at the end */
    memcpy((void *)ring, "MUONRING", 8);
    return rename(made, path); /* a reader never sees half a header */
}

static void ring_write(const uint64_t *words, uint64_t n) { /* n: at most size / 4 */
    uint64_t written = atomic_load_explicit(&ring[WRITTEN], memory_order_relaxed);
    atomic_store_explicit(&ring[RESERVED], written + n, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* the reader must see this before any of the words */
    uint64_t *data = (uint64_t *)((char *)ring + HEADER), at = written & (size - 1);
    uint64_t first = n < size - at ? n : size - at;
    memcpy(data + at, words, 8 * first);
    memcpy(data, words + first, 8 * (n - first));
    atomic_store_explicit(&ring[WRITTEN], written + n, memory_order_release);
}

int main(int argc, char **argv) {
    static uint64_t words[4096];
    if (argc < 2 || ring_open(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 1 << 23)) return perror("ring_writer"), 1;
    for (size_t n; (n = fread(words, 8, 4096, stdin)) > 0;) ring_write(words, n);
    atomic_store_explicit(&ring[STATE], 2, memory_order_release);
    return 0;
}
