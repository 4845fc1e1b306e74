// Package batch is the launcher for batch systems that have none of their own: its
// options say all that sdk/batch needs to know of a system.
package batch
