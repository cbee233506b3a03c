"""Item and user towers."""
