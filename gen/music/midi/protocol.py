"""The numbers of MIDI 1.0: channels, statuses, controllers, and the types of meta events."""

CHANNELS = 16  # of a port
DRUM_CHANNEL = 9  # of each port; the manuals count from 1 and call it 10

# Statuses of channel events; the lower four bits are the channel. PROGRAM and CHANNEL_PRESSURE have one data byte, the
# others two.
NOTE_OFF, NOTE_ON, KEY_PRESSURE, CONTROLLER, PROGRAM, CHANNEL_PRESSURE, BEND = range(0x80, 0xF0, 0x10)
FIRST_SYSTEM_STATUS, EXCLUSIVE_STATUS, CONTINUED_STATUS, META_STATUS = 0xF0, 0xF0, 0xF7, 0xFF
NO_BEND = 8192  # the middle of the 14 bits of a bend

BANK_SELECT, MODULATION, DATA_ENTRY, VOLUME, BALANCE, PAN, EXPRESSION = 0, 1, 6, 7, 8, 10, 11
FINE = 32  # controllers 0 to 31 set the upper seven bits of a value, controllers 32 to 63 the lower seven
SUSTAIN_PEDAL, SOSTENUTO_PEDAL, SOFT_PEDAL, HOLD_PEDAL = 64, 66, 67, 69
UNREGISTERED_FINE, UNREGISTERED, REGISTERED_FINE, REGISTERED = 98, 99, 100, 101  # choose a parameter for DATA_ENTRY
ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 120, 121, 123

TEXT, COPYRIGHT, TRACK_NAME, LYRIC, MARKER, CUE_POINT, DEVICE_NAME = 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x09
CHANNEL_PREFIX, PORT_PREFIX, END_OF_TRACK = 0x20, 0x21, 0x2F
TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x58, 0x59

MAX_DELTA_TICKS = 0x0FFFFFFF  # between two events: four bytes of seven bits
