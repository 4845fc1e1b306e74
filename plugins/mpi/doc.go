// Package mpi is the launcher that starts engines as the ranks of one MPI job,
// with mpiexec (Open MPI, MPICH, Intel MPI) or srun, and a controller as a job of
// one rank that is in no universe with them.
//
// The starter is a process of this machine; what it is told reaches the ranks.
package mpi
