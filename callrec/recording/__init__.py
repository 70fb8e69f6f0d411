"""From memory to a sealed file: capture, spool, seal."""
