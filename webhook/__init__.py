"""model-injector: a mutating admission webhook that puts model files into annotated pods."""

__version__ = "0.1.0"
