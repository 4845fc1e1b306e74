package engine

import "strconv"

// rankVariables are the variables in which MPI starters pass a process its rank and the
// number of ranks. The first one that is set is used, since a starter inside another
// starter's allocation is the inner one.
var rankVariables = [...]struct{ rank, size string }{
	{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, // Open MPI
	{"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},   // MVAPICH2
	{"PMI_RANK", "PMI_SIZE"},                         // MPICH, Intel MPI, srun --mpi=pmi2
	{"SLURM_PROCID", "SLURM_NTASKS"},                 // srun
}

// Rank returns this process's rank among the processes that were started together,
// according to the environment (getenv is os.Getenv). ok is false if no variable says
// so, or if it is the only process.
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
