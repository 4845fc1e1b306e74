// Package client runs code on the engines of a cluster from Go.
//
// Connect reads the connection file that the controller wrote, Execute runs
// code on chosen engines and brings back output and values, and Submit hands
// code to the task queue, which finds an engine for it:
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
// Code travels as text and values come back as Python's own renderings: the
// value of the last expression in Result.Data, and those of named expressions
// in Result.Expressions, each a bundle of MIME types of which "text/plain" is
// Python's repr.
//
// # Errors
//
// An exception on an engine is no failure of the call: it is the Err of its
// Result, with ename, evalue and traceback (Errors joins those of many
// results). The error that a method itself answers says that the request could
// not be made or that its answer can no longer come.
//
// # Ends
//
// Every request ends: with its reply, with its context, with the loss of its
// engine (an EngineError as the Result's Err), with the loss of the connection
// (ErrDisconnected) or with Close (ErrClosed).
package client
