"""Export of trained networks to one ONNX file."""
