package engine

import "strconv"

// rankVariables are where MPI starters tell a process its rank and how many
// ranks there are. The first that is set counts: a starter that runs inside
// another one's allocation is the inner one.
var rankVariables = [...]struct{ rank, size string }{
	{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, // Open MPI
	{"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},   // MVAPICH2
	{"PMI_RANK", "PMI_SIZE"},                         // MPICH, Intel MPI, srun --mpi=pmi2
	{"SLURM_PROCID", "SLURM_NTASKS"},                 // srun
}

// Rank answers this process's rank among those that were started together, as
// getenv (os.Getenv) tells it. Not ok: nobody says, or it is the only one.
func Rank(getenv func(string) string) (rank int, ok bool) {
	for _, v := range rankVariables {
		text := getenv(v.rank)
		if text == "" {
			continue
		}
		rank, err := strconv.Atoi(text)
		size, sizeErr := strconv.Atoi(getenv(v.size))
		if err != nil || sizeErr != nil || rank < 0 || rank >= size || size == 1 {
			return 0, false
		}
		return rank, true
	}
	return 0, false
}
