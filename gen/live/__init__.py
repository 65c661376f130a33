"""Playing while it is written: MIDI ports, a clock, and notes sent ahead of time.

Begin with player.py. What is sent where is decided in channels.py; ports.py finds the ports of this machine.
"""
