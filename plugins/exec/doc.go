// Package exec serves launchers that are scripts, in any language and without
// gRPC: one process of the script for each verb.
//
//	SCRIPT describe | start COMMAND... | status | stop | signal NUMBER | output
//
// What a script has to do is in docs/authoring.md.
package exec
