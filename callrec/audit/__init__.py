"""Judging again, without agent, engine or server. Public."""
