package engine

import "testing"

func TestRank(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		rank int
		ok   bool
	}{
		{env: nil},
		{env: map[string]string{"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, rank: 3, ok: true},
		{env: map[string]string{"PMI_RANK": "0", "PMI_SIZE": "2"}, rank: 0, ok: true},
		{env: map[string]string{"SLURM_PROCID": "7", "SLURM_NTASKS": "8"}, rank: 7, ok: true},
		// MPICH inside a Slurm job: every rank sees the job step's own number.
		{env: map[string]string{"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "PMI_RANK": "1", "PMI_SIZE": "2"}, rank: 1, ok: true},
		// A single process has no usable rank: an engine of another set may have its id.
		{env: map[string]string{"PMI_RANK": "0", "PMI_SIZE": "1"}},
		{env: map[string]string{"PMI_RANK": "x", "PMI_SIZE": "2"}},
		{env: map[string]string{"PMI_RANK": "2", "PMI_SIZE": "2"}},
		{env: map[string]string{"PMI_RANK": "1"}},
	} {
		rank, ok := Rank(func(name string) string { return c.env[name] })
		if rank != c.rank || ok != c.ok {
			t.Errorf("%v: %d, %v", c.env, rank, ok)
		}
	}
}
