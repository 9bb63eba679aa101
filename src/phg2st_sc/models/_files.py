"""Names of the files that a saved method consists of."""

SETTINGS = "model.json"
ARRAYS = "arrays.safetensors"
