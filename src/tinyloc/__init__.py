"""tinyloc: room-level indoor localisation, from Bluetooth packets to a Cortex-M."""

__version__ = "0.1.0"
