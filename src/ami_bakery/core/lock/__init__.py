"""The lock and its protocol, as pure state machines."""
