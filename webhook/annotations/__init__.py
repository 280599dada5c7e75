"""The user's contract: every annotation (`contract`) and what a pod asks for by them (`parsing`). The webhook writes
`injected` on pods, and `pinned` on the templates of workloads.
"""
