"""The same trainings in other libraries: JAX, Keras 3 and scikit-learn, each in a process of its own.

``python -m tests.benchmarks.peers`` prints one table; it needs ``pip install 'cifar-tui[bench]'``.
"""
