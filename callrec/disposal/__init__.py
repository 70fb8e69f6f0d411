"""What may be destroyed, who said so, and the proof that it was: holds, lists, certificates, fixity. Below audit."""
