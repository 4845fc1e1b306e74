// Package relay joins the sockets of clients and engines: the direct relays mux
// and control, iopub, the task queue, which asks a scheduler, and broadcast.
//
// Relays forward straight from the goroutine that read the message, without
// decoding it; they check its signature, so that nothing forged gets further
// and the log can name the peer. Each message is also shown to a Monitor, which
// is the hub.
//
// What a message looks like at each hop, with C a client's routing id, U an
// engine's uuid and M the message from the delimiter on:
//
//	mux, control   client [U, M] -> engine [<relay id>, C, M] -> client [U, M]
//	task           client [M]    -> engine [task_out, C, M]   -> client [U, M], or [M]
//	broadcast      client [M]    -> engine [<leaf id> ... sub_scheduler_0, C, M] -> client [M]
//	iopub          engine [topic, M] -> client [topic, M]
package relay
