"""cifar-tui: train and understand CIFAR models from a terminal."""

__version__ = "0.1.0"
