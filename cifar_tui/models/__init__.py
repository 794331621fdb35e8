"""Models: a file here is a model of that name.

A model module has a docstring whose first line is its summary, and

- `OPTIONS`: the fields of `RunConfig` that only some models have and this one does;
- `layers(config, num_classes)`: its layers as `LayerInfo`, computed without torch;
- `build(config, num_classes)`: the `torch.nn.Module`, from float32 pictures (B, 3, 32, 32) in [0, 1], best in
  channels-last memory, to logits float32 (B, num_classes). Its initial weights come from torch's global
  random generator, which the engine seeds;
- `RANK`: where it stands in lists (optional).
"""
