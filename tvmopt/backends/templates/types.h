#ifndef TVMOPT_ABI
#define TVMOPT_ABI 1 /* of the types and functions below */

enum tvmopt_status {
  TVMOPT_OK = 0,
  TVMOPT_CPU = 1,         /* this CPU lacks an instruction set that the model was compiled for */
  TVMOPT_WORKSPACE = 2,   /* the workspace is null or not aligned */
  TVMOPT_ACCELERATOR = 3 /* the accelerator failed, or there is none */
};

/* An input or output. Elements are in row-major order. Real value = (element - zero_point) * scale. */
typedef struct tvmopt_tensor {
  const char *name;
  const char *dtype; /* "float32", "int8", ... as numpy names them */
  const int64_t *shape;
  uint64_t rank;
  uint64_t bytes;
  float scale; /* 0 if the tensor is not quantized */
  int32_t zero_point;
} tvmopt_tensor;

typedef struct tvmopt_model {
  uint32_t abi;
  uint32_t workspace_alignment;
  uint64_t workspace_bytes;
  uint64_t inputs_count;
  uint64_t outputs_count;
  const tvmopt_tensor *inputs;
  const tvmopt_tensor *outputs;
  const char *manifest; /* JSON: where the model came from and how it was compiled */
} tvmopt_model;
#endif /* TVMOPT_ABI */
