"""Oracles that live outside of this process: a program, a service. One exchange for both."""
