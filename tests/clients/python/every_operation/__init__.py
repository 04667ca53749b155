"""Every operation of the Administration API, called with the official client on real things."""
