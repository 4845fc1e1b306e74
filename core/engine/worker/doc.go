// Package worker starts the Python process that runs an engine's code and
// talks to it: framed requests over a socket pair, its standard output and
// error over pipes, and the reason when it dies.
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
// One request is under way at a time; its R frame ends it. What R holds after
// "ok" depends on the request: result buffers (A), user_expressions JSON (E),
// content JSON (J), nothing (C).
//
// # Output
//
// The worker's file descriptors 1 and 2 are pipes that are read all the time,
// so the output of C code and of child processes is seen too, and a worker
// that prints while we write to it cannot lock up. A write to a pipe is in the
// pipe when it returns: reading both until they are empty, on an R or D frame,
// puts all output before the reply or display that it precedes, without marks
// in the stream. (What is written right after a display may be read with it,
// and then comes before it.) The end of the pipes is never waited for, because
// children of user code may hold them open.
package worker
