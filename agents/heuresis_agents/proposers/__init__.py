"""Proposers: they make candidates. One file each; the name in a campaign is an entry point."""
