// Package engine is the native engine: it registers with a controller, answers
// heartbeats, queues requests and replies to them, and publishes output. The user's
// code runs in a separate Python process (package worker), so none of this ever waits
// for that code.
//
// # Connections
//
//	registration  DEALER           registration_request, unregistration_request
//	mux, task,    one ROUTER       execute_request, apply_request and the
//	broadcast                      Jupyter shell requests, queued
//	control       ROUTER           handled at once, except clear_request
//	iopub         PUB              status, output, results on display, errors
//	hb_ping       SUB              each ping goes back unchanged on
//	hb_pong       DEALER
//
// All sockets but the SUB have the engine's uuid as identity. The heartbeat starts when
// the other connections are established, so that an announced engine can be reached on
// all of them.
//
// # Requests
//
// One request runs at a time, in order of arrival. Requests that are aborted while
// they wait get their reply at once. The size of the queue depends on what clients
// send; beyond Options.QueueBytes or QueueLength, a request gets an EngineError reply.
//
// # When a process dies
//
// When the worker dies, the running request fails with an EngineError that names the
// cause, and a new worker continues with the queue under the same engine id. The
// namespace is lost, which a line on stderr reports. When the engine dies, its worker
// ends too. Processes started by user code end with the worker unless they left its
// process group (setsid, setpgid).
//
// When the controller is gone, the engine tries to reconnect until it has missed
// MaxHeartbeatMisses heartbeats in a row (by default 50 periods of 3.5 s), and then
// exits. When a client shuts a controller down, the controller first ends its engines
// with shutdown_request.
package engine
