// Package relay joins the sockets of clients and engines: the direct relays mux
// and control, iopub, task, which asks a scheduler, and broadcast.
//
// Relays forward messages on the goroutine that read them, without decoding
// them. They check the signature, so that a forged message is not passed on and
// the log can name the peer that sent it. Each message is also reported to a
// monitor, which is the hub.
//
// A message at each hop, where C is a client's routing id, U an engine's uuid
// and M the message from the delimiter on:
//
//	mux, control   client [U, M] -> engine [<relay id>, C, M] -> client [U, M]
//	task           client [M]    -> engine [task_out, C, M]   -> client [U, M], or [M]
//	broadcast      client [M]    -> engine [<leaf id> ... sub_scheduler_0, C, M] -> client [M]
//	iopub          engine [topic, M] -> client [topic, M]
package relay
