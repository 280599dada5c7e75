"""From a request to an artifact, answered from memory."""
