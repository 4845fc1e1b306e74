// Package client runs code on the engines of a cluster from Go.
//
// Connect reads the controller's connection file. Execute runs code on chosen engines
// and returns its output and values. Submit sends code to the task queue, which picks
// an engine for it:
//
//	c, err := client.Connect(ctx, client.Options{File: file})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	if err := c.WaitForEngines(ctx, 4, nil); err != nil {
//		return err
//	}
//	results, err := c.Execute(ctx, nil, "import os; os.getpid()", client.ExecuteOptions{})
//	for _, r := range results {
//		fmt.Println(r.Engine, r.Text())
//	}
//
// # Values
//
// Code is sent as text, and values are returned in the forms in which Python displays
// them: the value of the last expression in Result.Data, and those of named
// expressions in Result.Expressions, each by MIME type. "text/plain" is Python's repr.
//
// # Errors
//
// An exception on an engine is not an error of the call: it is the Err of that
// engine's Result, with ename, evalue and traceback. Errors joins those of many
// results. An error returned by a method means that the request could not be sent or
// that its reply can no longer arrive.
//
// # How requests end
//
// Every request ends: with its reply, with its context, when its engine is lost (the
// Result's Err is an EngineError), when the connection is lost (ErrDisconnected) or
// with Close (ErrClosed).
package client
