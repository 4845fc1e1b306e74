"""What SIGINT does. User code is interrupted; the worker's own code finishes what it has begun.

IDLE   nothing runs for a client, or its reply is on its way: the signal is dropped.
HELD   a frame is being written for user code: the signal is kept.
BUSY   unpickling, pickling, formatting: the signal is kept and raised on the way back into user code; a second one breaks
       in, because all three run user code too and may never end.
USER   user code: KeyboardInterrupt.

Python runs signal handlers on the main thread only. The states are the main thread's; other threads leave them alone.
"""

import _signal
import _thread
from time import monotonic

IDLE, HELD, BUSY, USER = 0, 1, 2, 3

GRACE = 0.05  # seconds after a KeyboardInterrupt in which another signal is dropped, so that unwinding is not interrupted

_state = IDLE
_pending = False
_raised = 0.0
_main = _thread.get_ident()


def _handle(signum, frame):
    global _pending, _raised
    if _state == IDLE:
        return
    now = monotonic()
    if now - _raised < GRACE:
        return
    if _state == USER or (_state == BUSY and _pending):
        _pending = False
        _raised = now
        raise KeyboardInterrupt
    _pending = True


def install():
    """Make this module's the handler of SIGINT, also when user code had put its own in place."""
    if _signal.getsignal(_signal.SIGINT) is not _handle:
        _signal.signal(_signal.SIGINT, _handle)


def begin():
    """Enter BUSY for a new request. What arrived before is forgotten."""
    global _state, _pending, _raised
    _pending = False
    _raised = 0.0
    _state = BUSY


def end():
    """Enter IDLE."""
    global _state
    _state = IDLE


def enter(state):
    """Enter state. Return the state before, for leave. Entering USER raises what was kept back."""
    global _state, _pending
    before = _state
    if _thread.get_ident() == _main:
        if state == USER and _pending:
            _pending = False
            raise KeyboardInterrupt
        if state == USER or state < before:
            _state = state
    return before


def leave(before):
    """Go back to the state before. Returning to USER raises what was kept back."""
    global _state, _pending
    if _thread.get_ident() == _main:
        if before == USER and _pending:
            _pending = False
            _state = before
            raise KeyboardInterrupt
        _state = before
