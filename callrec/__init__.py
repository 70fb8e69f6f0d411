"""callrec: no recording without proof; the call goes through."""
