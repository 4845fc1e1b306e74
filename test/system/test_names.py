"""The names of launchers: ours, upstream's abbreviations, its classes with and without their module."""

import json

from harness.case import Case
from harness.cluster import IPCORE

# Upstream's abbreviation of each launcher's classes.
ABBREVIATIONS = {
    "local": "Local", "mpi": "MPI", "ssh": "SSH", "sshproxy": "SSHProxy", "slurm": "Slurm", "sge": "SGE", "pbs": "PBS", "lsf": "LSF",
    "htcondor": "HTCondor", "winhpc": "WindowsHPC", "batch": "Batch",
}
SUFFIXES = {"controller": "ControllerLauncher", "engine": "EngineSetLauncher"}


class Names(Case):
    deadline = 120

    def test_both_ways(self):
        """A launcher names its classes as upstream does, and each of them finds it."""
        c = self.cluster(start=False)
        launchers = {e["name"]: e for e in json.loads(c.run(IPCORE, "launchers", "--json").stdout)}
        self.assertEqual(sorted(launchers), sorted(ABBREVIATIONS))
        for name, abbreviation in ABBREVIATIONS.items():
            kinds = [k for k in SUFFIXES if k in launchers[name]["kinds"]]
            self.assertEqual(kinds, ["engine"] if name == "sshproxy" else ["controller", "engine"], name)
            names = [] if abbreviation.lower() == name else [abbreviation]
            for kind in kinds:
                classes = launchers[name]["classes"][kind]
                self.assertEqual(classes[0], abbreviation + SUFFIXES[kind])
                self.assertIn("BaseLauncher", classes)
                names.append("ipyparallel.cluster.launcher." + classes[0])
            for n in names:
                with self.subTest(name=n):
                    self.assertEqual(json.loads(c.run(IPCORE, "launchers", "show", n, "--json").stdout)["name"], name)

    def test_old_name_is_told(self):
        c = self.cluster(start=False)
        done = c.run(IPCORE, "script", "engines", "-n", "2", "--engines=MPIExec", "--mpi.mpi=mpich", "--MPIExecEngineSetLauncher.mpi_cmd=/bin/true",
                     f"--profile-dir={c.profile}")
        self.assertRegex(done.stdout, r"^/bin/true -n 2 \S*ipcore engine .* --mpi\n$")
        self.assertRegex(done.stderr, "(?m)^warning: the launcher MPIExec has a new name: mpi$")
        self.assertRegex(done.stderr, "(?m)^warning: --MPIExecEngineSetLauncher.mpi_cmd is an old name; use MPIEngineSetLauncher.mpi_cmd$")
