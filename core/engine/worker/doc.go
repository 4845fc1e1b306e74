// Package worker starts the Python process that runs an engine's code, and
// communicates with it: framed requests over a socket pair, its standard output and
// error over pipes. It also reports why the process died.
//
// # Channel
//
// One AF_UNIX stream socket pair. A frame is, little-endian,
//
//	u8 kind, u8 flags, u16 n, n × u64 length, n parts
//
//	to the worker                                  from the worker
//	S  name, source, ... (first frame, once)       H  JSON: pid, python, packages (ready)
//	H  JSON: engine_id, uuid                       R  msg_id, "ok", ...
//	A  msg_id, session number, buffer...           R  msg_id, "error", ename, evalue, traceback lines
//	E  msg_id, code, count, user_expressions          joined by NUL, user_expressions, flags JSON
//	   flags: bit 0 silent, bit 1 store_history    D  msg_type, parent msg_id, content JSON, buffer...
//	C  msg_id (clear the namespace)
//	J  msg_id, request type, content JSON
//	Q  (quit)
//
// One request is in progress at a time; its R frame ends it. The parts of R after "ok"
// depend on the request: result buffers (A), user_expressions JSON (E), content JSON
// (J), nothing (C).
//
// # Output
//
// The worker's file descriptors 1 and 2 are pipes that are read continuously. So the
// output of C code and of child processes is captured too, and a worker that prints
// while a request is being written to it can't deadlock. Data is in a pipe when the
// write returns: on an R or D frame, both pipes are read until they are empty, which
// puts all output before the reply or display that it precedes, without marks in the
// stream. (Output written right after a display may be read with it and then appears
// before it.) The package never waits for the end of the pipes, because children of
// user code may hold them open.
package worker
