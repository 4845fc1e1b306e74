// Package mpi is the launcher that starts engines as the ranks of one MPI job,
// with mpiexec (Open MPI, MPICH, Intel MPI) or srun, and a controller as a job of
// one rank that does not share an MPI universe with them.
//
// The starter is a process of this machine, and passes signals on to the ranks.
package mpi
