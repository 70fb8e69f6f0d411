"""Where sealed recordings are kept."""
