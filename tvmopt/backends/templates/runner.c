/* Runs a model for a process on another machine: `runner MODEL.so < inputs > outputs`.
 *
 * Part of tvmopt; used to run artifacts under an emulator. Reads the inputs of one call after the other, their
 * bytes in the model's order, and writes the outputs likewise, until there is no more input. Ends with status 3
 * where the CPU cannot run the model.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "types.h"

static void **allocate(const tvmopt_tensor *tensors, uint64_t count) {
  void **memory = malloc((count + 1) * sizeof *memory);
  for (uint64_t i = 0; i < count; ++i) memory[i] = malloc(tensors[i].bytes + 1);
  return memory;
}

static void *function(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found) return found;
  fprintf(stderr, "%s\n", dlerror());
  exit(1);
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : 0;
  if (!library) {
    fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: runner MODEL.so");
    return 1;
  }
  const tvmopt_model *(*describe)(void) = (const tvmopt_model *(*)(void))function(library, "tvmopt_model_describe");
  int32_t (*run)(const void *const *, void *const *, void *) =
      (int32_t(*)(const void *const *, void *const *, void *))function(library, "tvmopt_model_run");
  const tvmopt_model *model = describe();
  void **inputs = allocate(model->inputs, model->inputs_count);
  void **outputs = allocate(model->outputs, model->outputs_count);
  const uint64_t alignment = model->workspace_alignment;
  void *workspace = aligned_alloc(alignment, (model->workspace_bytes / alignment + 1) * alignment);
  for (;;) {
    for (uint64_t i = 0; i < model->inputs_count; ++i) {
      if (fread(inputs[i], 1, model->inputs[i].bytes, stdin) != model->inputs[i].bytes) return 0;
    }
    const int32_t status = run((const void *const *)inputs, outputs, workspace);
    if (status != TVMOPT_OK) return 2 + status;
    for (uint64_t i = 0; i < model->outputs_count; ++i) fwrite(outputs[i], 1, model->outputs[i].bytes, stdout);
    fflush(stdout);
  }
}
