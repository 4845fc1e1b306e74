// Package mongodb stores task records on a MongoDB server in IPython Parallel's format:
// each program can read records of the other. Changes are written in batches by
// package writer; waiting for the server is limited by its timeouts.
package mongodb
