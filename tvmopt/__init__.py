"""Compile quantized, pruned ONNX models with Apache TVM."""
