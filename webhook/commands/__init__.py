"""What `model-injector COMMAND` does, a module each: `add` describes the command and names what runs it."""
