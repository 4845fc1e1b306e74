"""The README shows what the commands print."""

import os

from harness.case import Case
from harness.cluster import ROOT, Sandbox


class Readme(Case):
    def test_transcript(self):
        s = Sandbox()
        self.addCleanup(s.close)
        s.run(os.path.join(ROOT, "test", "transcript.sh"), "--check", timeout=50)
        s.wait_no_processes()
