"""To ONNX: what the converter has to be told, and a signature through it."""
