"""The shell: one task per call; event, core, perform commands."""
