/* A TCG plugin for QEMU's system emulators: instructions executed between two functions.
 *
 *   qemu-system-arm -plugin count_marks.so,begin=0x120,end=0x130,out=counts.json …
 *
 * `begin` and `end` are the addresses of two functions of the firmware; each time that `end` is
 * called, the instructions since `begin` was called are written down, those of the call back from
 * `begin` and the call of `end` included. The declarations are those of qemu-plugin.h, version 1
 * (QEMU 6 to 8), which Debian does not package.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_COUNTS 65536

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum { ADD_U64 = 0, NO_REGISTERS = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int, void*, uint64_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb*, void (*)(unsigned, void*), int,
                                          void*);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);

EXPORT int qemu_plugin_version = 1;

static const char* path;
static uint64_t begin_address, end_address, total, begun;
static uint64_t counts[MAX_COUNTS];
static size_t count;

static void mark_begin(unsigned cpu, void* data) {
  (void)cpu, (void)data;
  begun = total;
}

static void mark_end(unsigned cpu, void* data) {
  (void)cpu, (void)data;
  if (count < MAX_COUNTS) counts[count++] = total - begun;
}

static void translated(plugin_id id, struct qemu_plugin_tb* tb) {
  (void)id;
  /* Functions begin blocks, since they are branched to. */
  const uint64_t address = qemu_plugin_tb_vaddr(tb);
  if (address == begin_address) {
    qemu_plugin_register_vcpu_tb_exec_cb(tb, mark_begin, NO_REGISTERS, NULL);
  }
  if (address == end_address) {
    qemu_plugin_register_vcpu_tb_exec_cb(tb, mark_end, NO_REGISTERS, NULL);
  }
  qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &total, qemu_plugin_tb_n_insns(tb));
}

static void ended(plugin_id id, void* data) {
  (void)id, (void)data;
  FILE* out = fopen(path, "w");
  if (!out) {
    perror(path);
    return;
  }
  fputs("[", out);
  for (size_t i = 0; i < count; i++) fprintf(out, "%s%" PRIu64, i ? ", " : "", counts[i]);
  fputs("]\n", out);
  fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "out=", 4)) path = strdup(argv[i] + 4);
    if (!strncmp(argv[i], "begin=", 6)) begin_address = strtoull(argv[i] + 6, NULL, 0);
    if (!strncmp(argv[i], "end=", 4)) end_address = strtoull(argv[i] + 4, NULL, 0);
  }
  if (!path || !begin_address || !end_address) {
    fputs("count_marks: needs begin=, end= and out=\n", stderr);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
