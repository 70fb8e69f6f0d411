"""The notice: register of approved prompts, audible-speech gate, comparison with what left us."""
