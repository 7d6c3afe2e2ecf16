/* Runs a model that tvmopt compiled, without Python: `deploy_in_c < images > classes`.
 *
 * Reads images of the model's input, one after the other, and prints the number of the largest output of each.
 * Build: cc deploy_in_c.c digits.so -Wl,-rpath,. -o deploy_in_c
 */
#include <stdio.h>
#include <stdlib.h>

#include "digits.h"

int main(void) {
  const tvmopt_model *model = tvmopt_model_describe();
  fprintf(stderr, "%s -> %s, ABI %u, %llu bytes of workspace\n", model->inputs[0].name, model->outputs[0].name,
          model->abi, (unsigned long long)model->workspace_bytes);
  if (tvmopt_model_check() != TVMOPT_OK) {
    fprintf(stderr, "this CPU lacks an instruction set that the model was compiled for\n");
    return 1;
  }

  /* All the memory a call needs. Any aligned memory does: here it is static, a server would have one per thread. */
  static _Alignas(TVMOPT_MODEL_WORKSPACE_ALIGNMENT) unsigned char workspace[TVMOPT_MODEL_WORKSPACE_BYTES + 1];
  static float image[TVMOPT_MODEL_INPUT_0_BYTES / sizeof(float)];
  static float logits[TVMOPT_MODEL_OUTPUT_0_BYTES / sizeof(float)];
  const void *const inputs[] = {image};
  void *const outputs[] = {logits};

  while (fread(image, sizeof image, 1, stdin) == 1) {
    if (tvmopt_model_run(inputs, outputs, workspace) != TVMOPT_OK) return 1;
    size_t best = 0;
    for (size_t i = 1; i < sizeof logits / sizeof *logits; ++i) {
      if (logits[i] > logits[best]) best = i;
    }
    printf("%zu\n", best);
  }
  return 0;
}
