"""The annotations: their declarations (`contract`), parsing a pod's (`parsing`), and those that the webhook writes:
`injected` on pods, `pinned` on the templates of workloads.
"""
