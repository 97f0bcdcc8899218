"""The units in which learned policies are shown the world (`features.py`)."""

MBPS_UNIT = 10.0
DOWNLOAD_UNIT_S = 10.0
BUFFER_UNIT_S = 10.0
SIZE_UNIT_BYTES = 1e6
