// Package mongodb keeps task records on a MongoDB server, in the form of IPython
// Parallel's: either program reads what the other has written. Changes are
// written in batches by package writer, and no answer of the server is waited
// for longer than its time-outs.
package mongodb
