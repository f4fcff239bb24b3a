"""Where tasks run: in this process, in a child process, or in Ray actors. Same semantics in each.

Nothing is imported here, so that a child process starts in milliseconds and so that only
`heuresis.execution.ray_pool` and `heuresis.execution.ray_team` ever load Ray.
"""
