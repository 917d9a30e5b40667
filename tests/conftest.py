"""What the outside of a test run may not change: how examples are drawn, what signals do."""

import signal

from hypothesis import HealthCheck, settings

# A deadline for one example, or for drawing ten, would measure how busy the machine is.
settings.register_profile(
    "unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

# Whoever runs the tests in the background has these ignored, and every program that a test starts
# would inherit that; a function is not inherited.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda _number, _frame: None)
