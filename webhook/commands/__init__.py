"""The commands of `model-injector`, one per module. `add` declares the command's arguments and the function to run."""
