// Reads the delegate's options.
#include <stdio.h>

#include "delegate.h"

namespace onebit {
namespace {

bool reject(ErrorReporter report, const char* key, const char* value, const char* expected) {
  char message[512];
  snprintf(message, sizeof message, "onebit: option %.60s=%.120s: %s", key, value, expected);
  if (report) report(message);
  return false;
}

bool copy_text(const char* value, char* to, size_t size) {
  const size_t length = strlen(value);
  if (length >= size) return false;
  memcpy(to, value, length + 1);
  return true;
}

bool read_isa(const char* key, const char* value, Options* o, ErrorReporter report) {
  if (!b1::isa_from_name(value, &o->isa.isa)) {
    char known[200] = "expected";
    for (int i = 0; i < b1::kIsas; ++i) {
      const size_t used = strlen(known);
      snprintf(known + used, sizeof known - used, "%s %s",
               i == 0              ? ""
               : i + 1 < b1::kIsas ? ","
                                   : " or",
               b1::isa_name(static_cast<b1::Isa>(i)));
    }
    return reject(report, key, value, known);
  }
  if (!b1::cpu_has(o->isa.isa)) return reject(report, key, value, "this CPU does not have it");
  o->isa.forced = true;
  return true;
}

bool read_option(const char* key, const char* value, Options* o, ErrorReporter report) {
  if (strcmp(key, "num_threads") == 0) {
    char* end;
    const long threads = strtol(value, &end, 10);
    if (*end || end == value || threads < 1 || threads > Pool::kMaxThreads) {
      return reject(report, key, value, "expected a number from 1 to 64");
    }
    o->num_threads = static_cast<int>(threads);
    return true;
  }
  if (strcmp(key, "isa") == 0) return read_isa(key, value, o, report);
  if (strcmp(key, "kernel") == 0) {
    const b1::BconvKernel* kernel = b1::find_bconv_kernel(value);
    if (kernel == nullptr || !b1::cpu_has(kernel->info.isa) ||
        !copy_text(value, o->kernel, sizeof o->kernel)) {
      return reject(report, key, value, "this machine has no such kernel");
    }
    return true;
  }
  if (strcmp(key, "profile") == 0) {
    return copy_text(value, o->profile, sizeof o->profile) ||
           reject(report, key, value, "the path is too long");
  }
  if (strcmp(key, "fuse") == 0) {
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) {
      return reject(report, key, value, "expected 0 or 1");
    }
    o->fuse = value[0] == '1';
    return true;
  }
  return reject(report, key, value, "unknown; known are num_threads, isa, kernel, profile, fuse");
}

}  // namespace

bool read_options(const char* const* keys, const char* const* values, size_t count, Options* o,
                  ErrorReporter report) {
  for (size_t i = 0; i < count; ++i) {
    if (!read_option(keys[i], values[i], o, report)) return false;
  }
  if (o->isa.forced && o->kernel[0]) {
    const b1::Isa needed = b1::find_bconv_kernel(o->kernel)->info.isa;
    if (!b1::covers(o->isa.isa, needed)) {
      char conflict[120];
      snprintf(conflict, sizeof conflict, "it needs isa=%s, and isa=%s is set",
               b1::isa_name(needed), b1::isa_name(o->isa.isa));
      return reject(report, "kernel", o->kernel, conflict);
    }
  }
  return true;
}

}  // namespace onebit
