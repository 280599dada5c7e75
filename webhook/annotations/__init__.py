"""The user's contract: every annotation (`contract`), what a pod asks for by them (`parsing`), and what is written back:
`injected` on pods, `pinned` on the templates of workloads."""
