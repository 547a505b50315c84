/* A TCG plugin for QEMU's user-mode emulators: counts executed instructions between marks.
 *
 *   qemu-aarch64 -plugin count_instructions.so,out=counts.json PROGRAM
 *
 * The program calls prctl(MARK, tag, 0, 0) to have the counts of that moment written down, and
 * prctl(MARK, 0, first, last) to name a range of addresses that is counted apart: a library's code.
 * The result is JSON: `marks` are triples of tag, instructions, and those within the range;
 * `hottest` is the block of the range on which most instructions were spent.
 *
 * The declarations below are those of qemu-plugin.h, version 1 (QEMU 6 to 8), which Debian does not
 * package. Counters are not atomic: the program must have one thread between marks.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MARK 0x4d41524bu /* "MARK", not an option of prctl */
#define MAX_MARKS 4096
#define MAX_INSTRUCTIONS 512

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { ADD_U64 = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id,
                                          void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                                   uint64_t));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
char* qemu_plugin_insn_disas(const struct qemu_plugin_insn*);

EXPORT int qemu_plugin_version = 1;

struct block {
  uint64_t address, runs;
  size_t length;
  char* text[MAX_INSTRUCTIONS];
  struct block* next;
};

static const char* path;
static uint64_t total, inside, first, last;
static struct block* blocks;
static struct {
  uint64_t tag, total, inside;
} marks[MAX_MARKS];
static size_t mark_count;

static struct block* block_of(const struct qemu_plugin_tb* tb) {
  uint64_t address = qemu_plugin_tb_vaddr(tb);
  size_t length = qemu_plugin_tb_n_insns(tb);
  for (struct block* b = blocks; b; b = b->next) {
    if (b->address == address && b->length == length) return b;
  }
  struct block* b = calloc(1, sizeof *b);
  if (!b) abort();
  b->address = address;
  b->length = length;
  for (size_t i = 0; i < length && i < MAX_INSTRUCTIONS; i++) {
    b->text[i] = qemu_plugin_insn_disas(qemu_plugin_tb_get_insn(tb, i));
  }
  b->next = blocks;
  return blocks = b;
}

static void translated(plugin_id id, struct qemu_plugin_tb* tb) {
  (void)id;
  uint64_t address = qemu_plugin_tb_vaddr(tb), length = qemu_plugin_tb_n_insns(tb);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &total, length);
  if (address < first || address >= last) return;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &inside, length);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &block_of(tb)->runs, 1);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t option, uint64_t tag,
                   uint64_t from, uint64_t to, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)cpu, (void)number, (void)a5, (void)a6, (void)a7, (void)a8;
  if (option != MARK) return;
  if (to) {
    first = from;
    last = to;
  } else if (mark_count < MAX_MARKS) {
    marks[mark_count].tag = tag;
    marks[mark_count].total = total;
    marks[mark_count++].inside = inside;
  }
}

static void ended(plugin_id id, void* data) {
  (void)id, (void)data;
  FILE* out = fopen(path, "w");
  if (!out) {
    perror(path);
    return;
  }
  fprintf(out, "{\"marks\": [");
  for (size_t i = 0; i < mark_count; i++) {
    fprintf(out, "%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", i ? ", " : "", marks[i].tag,
            marks[i].total, marks[i].inside);
  }
  struct block* hottest = NULL;
  for (struct block* b = blocks; b; b = b->next) {
    if (!hottest || b->runs * b->length > hottest->runs * hottest->length) hottest = b;
  }
  fprintf(out, "], \"hottest\": ");
  if (hottest) {
    fprintf(out, "{\"runs\": %" PRIu64 ", \"instructions\": [", hottest->runs);
    for (size_t i = 0; i < hottest->length && i < MAX_INSTRUCTIONS; i++) {
      fprintf(out, "%s\"%s\"", i ? ", " : "", hottest->text[i] ? hottest->text[i] : "");
    }
    fprintf(out, "]}}\n");
  } else {
    fprintf(out, "null}\n");
  }
  fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int count, char** arguments) {
  (void)info;
  for (int i = 0; i < count; i++) {
    if (!strncmp(arguments[i], "out=", 4)) path = strdup(arguments[i] + 4);
  }
  if (!path) {
    fprintf(stderr, "count_instructions: say out=FILE\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
