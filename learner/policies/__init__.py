"""Policies as robots and trainer load them. Imports torch, safetensors, numpy, msgspec and fleet.protocol only."""
