"""The SIP engine: the only code that imports pjsua2."""
