"""A command on a terminal, as a person types it."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time


class Terminal:
    """A command whose standard streams are a pseudo-terminal of its own."""

    def __init__(self, argv, env, cwd):
        ours, theirs = pty.openpty()
        self.fd = ours
        self.output = ""
        self.process = subprocess.Popen(
            argv, env=dict(env, TERM="xterm"), cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def read(self, seconds=0.05):
        """Take what the command has written, waiting at most seconds for it."""
        end = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # the last process on the terminal has closed it
                break
            if not data:
                break
            self.output += data.decode(errors="replace")
        return self.output

    def press(self, text):
        """Type text; "\\x03" is Ctrl-C."""
        os.write(self.fd, text.encode())

    def wait(self, seconds):
        """Wait for the command's end, reading meanwhile; answer its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"no end within {seconds} s; so far:\n{self.output}")
            self.read(0.02)
        self.read(0)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)
