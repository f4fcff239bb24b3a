"""Binding of a guest by a host: hosts, placements, energies in implicit water."""
