"""Publishing versions, setting aliases, and downloading versions."""
