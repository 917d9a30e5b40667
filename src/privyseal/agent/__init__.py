"""The face in the desktop session: Secret Service, notifications."""
