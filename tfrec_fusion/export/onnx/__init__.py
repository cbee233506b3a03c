"""Conversion of a signature to ONNX, with rules that correct the converter."""
